"""Locust users of AppSync Events: `locust -f locustfiles/appsync_events.py --help`."""

import locust  # noqa: F401  first, because it patches the standard library for gevent

from harness.load.plugin import install
from harness.load.users import ChatterUser, SubscriberUser
from harness.systems.appsync_events.client import AppSyncEventsApi


class Subscriber(SubscriberUser):
    """Holds a connection, subscribed to its channels, and listens."""


class Chatter(ChatterUser):
    """Publishes its share of the schedule."""


install(AppSyncEventsApi)
