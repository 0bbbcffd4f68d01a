"""Locust users of polling: `locust -f locustfiles/polling.py --help`."""

import locust  # noqa: F401  first, because it patches the standard library for gevent

from harness.load.plugin import install
from harness.load.users import ChatterUser, SubscriberUser
from harness.systems.polling.client import PollingApi


class Subscriber(SubscriberUser):
    """Polls its channels."""


class Chatter(ChatterUser):
    """Publishes its share of the schedule."""


install(PollingApi)
