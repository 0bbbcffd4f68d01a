"""Fan-out users beside ordinary Locust users, who load a page and the history of the chat.

``harness run scenarios/workloads/mixed.toml --target FILE --locustfile locustfiles/mixed.py``. The
workload sets the number of users of each class: ``[population]`` and ``[population.others]``.
"""

import os

from locust import HttpUser, between, task

import harness


class Subscriber(harness.Subscriber):
    """Joins its channels and listens."""


class Chatter(harness.Chatter):
    """Publishes its share of the schedule."""


class Browser(HttpUser):
    """Loads the page, and sometimes the history."""

    host = os.environ.get("WEB_HOST", "http://127.0.0.1:8000")
    wait_time = between(0.5, 1.5)

    @task(3)
    def page(self) -> None:
        """Load the page."""
        self.client.get("/")

    @task
    def history(self) -> None:
        """Load the history; one name for all its pages."""
        self.client.get("/history?before=0", name="/history")
