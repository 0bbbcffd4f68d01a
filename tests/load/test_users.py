"""Which system the users of a locustfile can join."""

from locust import User

from harness.core.system import installed_systems
from harness.load.users import Chatter, Subscriber, systems_of


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
