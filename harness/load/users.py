"""Locust users: a subscriber who listens, and a chatter who also publishes.

A Locust user here is a person with a connection, not a loop of requests: it joins in its turn
and then parks. Deliveries reach its ledger through the loop's reader and publishes leave by the
schedule, so its greenlet costs nothing until the run ends.
"""

from typing import ClassVar

from gevent import get_hub
from locust import User, task

from harness.load.worker import Worker


class FanOutUser(User):
    """A user of the system under test; subclasses say of which class."""

    abstract = True
    user_class: ClassVar[str]
    worker: ClassVar[Worker | None] = None
    """The worker of this process; set before the first user starts, if it can start at all."""

    @task
    def live(self) -> None:
        """Join and stay until the run ends."""
        if self.worker is None:
            get_hub().switch()  # Waits for the end of a run that cannot begin.
        else:
            self.worker.live(self.user_class)


class SubscriberUser(FanOutUser):
    """Joins, subscribes and listens."""

    abstract = True
    user_class = "subscriber"


class ChatterUser(FanOutUser):
    """Joins, listens like a subscriber where the workload says so, and publishes."""

    abstract = True
    user_class = "chatter"
