"""Fan-out users beside ordinary Locust users: ``harness run … --locustfile locustfiles/mixed.py``.

Browsers load a page and then the history of the chat, as people do who come back to it. How many
there are says the workload: ``[population.others]`` of scenarios/workloads/mixed.toml.
"""

import os

from locust import HttpUser, between, task

from harness.load.plugin import install
from harness.load.users import ChatterUser, SubscriberUser
from harness.systems.appsync_events.client import AppSyncEventsApi


class Subscriber(SubscriberUser):
    """Joins its channels and listens."""


class Chatter(ChatterUser):
    """Publishes its share of the schedule."""


class Browser(HttpUser):
    """Loads the page, and now and then the history."""

    host = os.environ.get("WEB_HOST", "http://127.0.0.1:8000")
    wait_time = between(0.5, 1.5)

    @task(3)
    def page(self) -> None:
        """Load the page."""
        self.client.get("/")

    @task
    def history(self) -> None:
        """Load what was written before."""
        self.client.get("/history?before=0", name="/history")


install(AppSyncEventsApi)
