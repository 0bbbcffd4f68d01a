"""Locust users: a subscriber who listens, and a chatter who also publishes.

A Locust user here is a person with a connection, not a loop of requests: it joins in its turn
and then parks. Deliveries reach its ledger through the loop's reader and publishes leave by the
schedule, so its greenlet costs nothing until the run ends.
"""

from collections.abc import Iterable
from typing import ClassVar

from gevent import get_hub
from locust import User, task

from harness.core.errors import MachineError
from harness.core.system import installed_systems
from harness.load.worker import Worker


class FanOutUser(User):
    """A user of the system under test; subclasses say of which class."""

    abstract = True
    user_class: ClassVar[str]
    system: ClassVar[str | None] = None
    """The one system that these users can join; None leaves it to the target."""
    worker: ClassVar[Worker | None] = None
    """The worker of this process; set before the first user starts, if it can start at all."""

    @task
    def live(self) -> None:
        """Join and stay until the run ends."""
        if self.worker is None:
            get_hub().switch()  # Waits for the end of a run that cannot begin.
        else:
            self.worker.live(self.user_class)


class Subscriber(FanOutUser):
    """Joins, subscribes and listens."""

    user_class = "subscriber"


class Chatter(FanOutUser):
    """Joins, listens like a subscriber where the workload says so, and publishes."""

    user_class = "chatter"


def require_system(user_classes: Iterable[type[User]], system: str) -> None:
    """Raise ``MachineError`` where a user class is bound to another system than the target's."""
    for user_class in user_classes:
        bound = _bound_to(user_class)
        if bound not in (None, system):
            raise MachineError(
                f"user class {user_class.__name__}",
                f'is for system "{bound}"',
                f'the target is of system "{system}"',
                "take a target of that system, or leave the class attribute system out",
            )


def systems_of(user_classes: Iterable[type[User]]) -> tuple[str, ...]:
    """Return the installed systems that users of these classes can join."""
    bound = {_bound_to(user_class) for user_class in user_classes} - {None}
    return tuple(name for name in installed_systems() if bound <= {name})


def _bound_to(user_class: type[User]) -> str | None:
    return user_class.system if issubclass(user_class, FanOutUser) else None
