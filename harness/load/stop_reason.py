"""Why Locust stopped a run by itself: a user class raised ``StopTest`` or called ``quit``."""

import logging

from gevent import getcurrent
from locust import runners
from locust.exception import StopTest


class StopReason:
    """Keeps what a ``StopTest`` of a user class said; Locust only logs it."""

    def __init__(self) -> None:
        self.said: str | None = None
        logging.getLogger(runners.__name__).addFilter(self._hear)

    def __str__(self) -> str:
        return self.said or "it called runner.quit()"

    def _hear(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, StopTest):
            self.said = " ".join(str(record.msg).split()) or "StopTest"
        return True


def is_called_by_user(runner: runners.Runner) -> bool:
    """Say whether the code that runs now is that of one of the runner's users."""
    return getcurrent() in runner.user_greenlets
