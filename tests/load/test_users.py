"""Which system the users of a locustfile can join."""

import pytest
from locust import User

from harness.core.errors import MachineError
from harness.core.system import installed_systems
from harness.load.users import Chatter, Subscriber, require_system, systems_of


class Viewer(Subscriber):
    system = "polling"


class Ordinary(User):
    """A user of somebody else's, whose attributes are their own affair."""

    system = "ubuntu"


def test_users_join_whatever_system_the_target_is_of():
    """They say nothing of a system, so any that is installed will do."""
    require_system([Subscriber, Chatter, Ordinary], "hybrid")
    assert tuple(installed_systems()) == systems_of([Subscriber, Chatter, Ordinary])


def test_users_bound_to_a_system_join_no_other():
    """The class, its system and the target's are named."""
    require_system([Viewer, Chatter], "polling")
    with pytest.raises(MachineError) as caught:
        require_system([Viewer, Chatter], "hybrid")
    assert (
        'user class Viewer: is for system "polling", the target is of system "hybrid"\n'
        "hint: take a target of that system, or leave the class attribute system out"
    ) == str(caught.value)
    assert ("polling",) == systems_of([Viewer, Chatter])


def test_users_bound_to_different_systems_join_none():
    """Then a worker has nothing to offer its master."""

    class Listener(Subscriber):
        system = "hybrid"

    assert () == systems_of([Viewer, Listener])
