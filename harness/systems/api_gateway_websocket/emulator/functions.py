"""The functions behind the API, as Lambda runs them.

Source: docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency, read November 2026.
"""

import time
from collections.abc import Callable

from harness.emulation.counters import Counters
from harness.emulation.scheduler import Scheduler
from harness.systems.api_gateway_websocket.options import Broadcast


class Functions:
    """The functions of one process: when they begin, and how many run at a time."""

    def __init__(self, options: Broadcast, scheduler: Scheduler, counters: Counters) -> None:
        self._options = options
        self._scheduler = scheduler
        self._counters = counters
        self._running = 0
        self._environments = 0

    def invoke(self, run: Callable[[float], None], at_s: float | None = None) -> bool:
        """Start a function, now or at a time; return False where as many run as may.

        ``run`` is called when its first line would run, with that time on ``time.monotonic``. When
        the function has run, ``ended`` must be called.
        """
        if self._running >= self._options.concurrency:
            self._counters.add("functions.throttled")
            return False
        begins_s = (time.monotonic() if at_s is None else at_s) + self._options.invoke_ms / 1000
        self._running += 1
        self._counters.add("functions.started")
        if self._running > self._environments:
            self._environments = self._running
            self._counters.add("functions.cold_starts")
            begins_s += self._options.cold_start_ms / 1000
        self._scheduler.at(begins_s, lambda: run(begins_s))
        return True

    def ended(self) -> None:
        """Let another one take this one's environment."""
        self._running -= 1

    def call(self, act: Callable[[], None]) -> bool:
        """Start a function that does one quick thing and ends."""

        def run(_began_s: float) -> None:
            self.ended()
            act()

        return self.invoke(run)
