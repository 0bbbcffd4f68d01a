"""Actions at a given time, and actions of all connections at regular intervals: one timer each.

The event loop's own timers count in milliseconds: of two that are due in the same one, either may
come first. A timer for each connection would cost more than what it does.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Action = Callable[[], None]


class Scheduler:
    """Runs actions later, in the order they are due; made inside the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = 0.0

    def at(self, due_s: float, action: Action) -> None:
        """Run an action at a time on ``time.monotonic``, or soon where that has passed.

        Actions due at the same time run in the order they were added.
        """
        heapq.heappush(self._heap, (due_s, next(self._order), action))
        if self._timer is None or due_s < self._timer_due_s:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_s = self._heap[0][0]
        left_s = max(0.0, self._timer_due_s - time.monotonic())
        self._timer = self._loop.call_later(left_s, self._run_due)

    def _run_due(self) -> None:
        self._timer = None
        now_s = time.monotonic()
        try:
            while self._heap and self._heap[0][0] <= now_s:
                heapq.heappop(self._heap)[2]()
        finally:
            # A bug in one action must not keep the others from running.
            if self._heap:
                self._set_timer()


ConnectionT = TypeVar("ConnectionT", bound=Hashable)


class Intervals(Generic[ConnectionT]):
    """Acts on each connection once in every interval; made inside the running event loop.

    An interval of 0 is never over.
    """

    def __init__(self, interval_s: float, act: Callable[[ConnectionT], None]) -> None:
        self._interval_s = interval_s
        self._act = act
        self._loop = asyncio.get_running_loop()
        # With one interval for all, the order of insertion is the order of due times.
        self._due_s: dict[ConnectionT, float] = {}

    def restart(self, connection: ConnectionT) -> None:
        """Begin a connection's interval, or begin it anew."""
        self._due_s.pop(connection, None)
        if self._interval_s:
            self._due_s[connection] = self._loop.time() + self._interval_s

    def stop(self, connection: ConnectionT) -> None:
        """Forget a connection."""
        self._due_s.pop(connection, None)

    async def run(self) -> None:
        """Sweep once a second, or more often where the interval is short, until cancelled."""
        pause_s = min(1.0, self._interval_s / 4)
        while self._interval_s:
            await asyncio.sleep(pause_s)
            self._sweep()

    def _sweep(self) -> None:
        now_s, due_s = self._loop.time(), self._due_s
        for connection in list(itertools.takewhile(lambda one: due_s[one] <= now_s, due_s)):
            self.restart(connection)
            self._act(connection)
