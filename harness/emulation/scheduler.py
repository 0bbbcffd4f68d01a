"""What one process has to do at certain times, with one timer in all and never out of order.

The event loop's own timers count in milliseconds: of two that are due in the same one, either may
come first.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

Action = Callable[[], None]


class Scheduler:
    """Things to do later; made inside the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = 0.0

    def at(self, due_s: float, action: Action) -> None:
        """Do something at a time, or soon where that has passed.

        Args:
            due_s: On ``time.monotonic``; what is due at the same time is done in the order in
                which it was asked for.
            action: What to do.
        """
        heapq.heappush(self._heap, (due_s, next(self._order), action))
        if self._timer is None or due_s < self._timer_due_s:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_s = self._heap[0][0]
        left_s = max(0.0, self._timer_due_s - time.monotonic())
        self._timer = self._loop.call_later(left_s, self._do_what_is_due)

    def _do_what_is_due(self) -> None:
        self._timer = None
        now_s = time.monotonic()
        try:
            while self._heap and self._heap[0][0] <= now_s:
                heapq.heappop(self._heap)[2]()
        finally:
            # A bug in one action must not keep the others from being done.
            if self._heap:
                self._set_timer()
