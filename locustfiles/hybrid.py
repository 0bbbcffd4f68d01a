"""Locust users of the hybrid: `locust -f locustfiles/hybrid.py --help`."""

import locust  # noqa: F401  first, because it patches the standard library for gevent

from harness.load.plugin import install
from harness.load.users import ChatterUser, SubscriberUser
from harness.systems.hybrid.client import HybridApi


class Subscriber(SubscriberUser):
    """Polls its channels."""


class Chatter(ChatterUser):
    """Holds a socket and publishes its share of the schedule."""


install(HybridApi)
