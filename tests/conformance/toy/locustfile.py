"""Locust users of the toy system."""

import locust  # noqa: F401, I001  first, because it patches the standard library for gevent

from harness.load.plugin import install
from harness.load.users import ChatterUser, SubscriberUser

# The module is there once the toy has been added.
from harness.systems.toy.client import ToyApi  # type: ignore[import-not-found,import-untyped,unused-ignore]


class Subscriber(SubscriberUser):
    """Holds a subscription on one channel and listens."""


class Chatter(ChatterUser):
    """Publishes its share of the schedule."""


install(ToyApi)
