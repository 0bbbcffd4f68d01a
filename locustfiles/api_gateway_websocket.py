"""Locust users of API Gateway: `locust -f locustfiles/api_gateway_websocket.py --help`."""

import locust  # noqa: F401  first, because it patches the standard library for gevent

from harness.load.plugin import install
from harness.load.users import ChatterUser, SubscriberUser
from harness.systems.api_gateway_websocket.client import ApiGatewayWebSocketApi


class Subscriber(SubscriberUser):
    """Joins its channels and listens."""


class Chatter(ChatterUser):
    """Publishes its share of the schedule."""


install(ApiGatewayWebSocketApi)
