"""Locust users of server-sent events: `locust -f locustfiles/server_sent_events.py --help`."""

import locust  # noqa: F401  first, because it patches the standard library for gevent

from harness.load.plugin import install
from harness.load.users import ChatterUser, SubscriberUser
from harness.systems.server_sent_events.client import ServerSentEventsApi


class Subscriber(SubscriberUser):
    """Holds the stream of its channels and listens."""


class Chatter(ChatterUser):
    """Publishes its share of the schedule."""


install(ServerSentEventsApi)
