import pytest
from locust import User

from harness.core.system import installed_systems
from harness.load.users import Chatter, Subscriber, systems_of
from tests.support.paths import ROOT
from tests.support.programs import finished_python

TWICE = """
import runpy
from locust import events
from harness.cli.options import PACKAGED_LOCUSTFILE
connected = []
for file in ("locustfiles/any_system.py", str(PACKAGED_LOCUSTFILE)):
    found = runpy.run_path(file)
    assert {"Subscriber", "Chatter"} <= found.keys()
    connected.append(len(events.init._handlers))
print(*connected)
"""


class Viewer(Subscriber):
    system = "polling"


class Ordinary(User):
    """A user of somebody else's, whose attributes are their own affair."""

    system = "ubuntu"


def test_users_join_whatever_system_the_target_is_of():
    """They say nothing of a system, so any that is installed will do."""
    assert tuple(installed_systems()) == systems_of([Subscriber, Chatter, Ordinary])


def test_users_bound_to_a_system_join_no_other():
    """One class is enough."""
    assert ("polling",) == systems_of([Viewer, Chatter])


def test_users_bound_to_different_systems_join_none():
    """Then a worker has nothing to offer its master."""

    class Listener(Subscriber):
        system = "hybrid"

    assert () == systems_of([Viewer, Listener])


@pytest.mark.slow
def test_locustfile_connects_to_locust_once_by_being_imported():
    """Also where two locustfiles of one run import the users."""
    done = finished_python("-c", TWICE, cwd=ROOT)
    first, second = map(int, done.stdout.split())
    assert 1 <= first == second, done.stderr
