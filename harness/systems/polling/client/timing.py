"""When users poll: one timer of the event loop for all of them, and the interval of each."""

import random
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub

from harness.net.http_stream import retry_after_s

if TYPE_CHECKING:
    from harness.systems.polling.options import ClientOptions

TICK_S = 0.005
"""Resolution of the timer, and the most that a poll is late."""

NEVER = -1

BACKOFF_DOUBLINGS = 5
"""A server that has too much to do is polled again after up to 2 to 32 intervals, at random."""


class Waiting(Protocol):
    """A user that waits for a time.

    Attributes:
        due_tick: The tick that was last asked for; another one asked for before is passed over.
    """

    due_tick: int

    def due(self) -> None:
        """Do what is due."""


class PollClock:
    """Buckets of 5 ms: asking and being called cost a list's append and pop.

    A timer a user would have the event loop keep a heap of tens of thousands, most of them
    cancelled before they are due.
    """

    def __init__(self) -> None:
        self._buckets: defaultdict[int, list[Waiting]] = defaultdict(list)
        self._passed = _now()
        self._timer: Any = None

    def at(self, due_s: float, user: Waiting) -> None:
        """Call ``user.due`` once at a time, in place of any time asked for before.

        Args:
            due_s: On ``time.monotonic``; what has passed is due with the next tick.
            user: Its ``due_tick`` is set.
        """
        if self._timer is None:
            self._passed = _now()
            self._timer = get_hub().loop.timer(TICK_S, TICK_S)
            self._timer.start(self._turn)
        tick = max(int(due_s / TICK_S) + 1, self._passed + 1)
        user.due_tick = tick
        self._buckets[tick].append(user)

    def _turn(self) -> None:
        now = _now()
        while self._passed < now:
            self._passed = tick = self._passed + 1
            for user in self._buckets.pop(tick, ()):
                if user.due_tick == tick:
                    user.due_tick = NEVER
                    user.due()

    def stop(self) -> None:
        """Cancel everything; safe to call twice."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._buckets.clear()


def _now() -> int:
    return int(time.monotonic() / TICK_S)


class Pace:
    """One user's waits: the interval with jitter, or what a busy server asks for.

    Attributes:
        interval_s: As the options or the server name it.
    """

    __slots__ = ("_busy_count", "_has_begun", "_options", "interval_s")

    def __init__(self, options: "ClientOptions") -> None:
        self._options = options
        self._has_begun = False
        self._busy_count = 0
        self.interval_s = options.interval_s

    def hear(self, interval_s: float | None) -> None:
        """Take the interval that a good answer names, if it is to be followed."""
        self._busy_count = 0
        if interval_s is not None and self._options.follow_server_interval:
            self.interval_s = interval_s

    def wait_s(self) -> float:
        """Return the time from the sending of the last poll to the next.

        The first is a random part of one interval: users that join together do not poll together.
        """
        if not self._has_begun:
            self._has_begun = True
            return self.interval_s * random.random()
        return self.interval_s * (1.0 + self._options.jitter_ratio * random.uniform(-1.0, 1.0))

    def busy_wait_s(self, retry_after: str) -> float:
        """Return the time from now on until a busy server is polled again.

        Args:
            retry_after: The header; where there is none, the waits get longer each time, at
                random between one interval and a limit that doubles (full jitter).
        """
        asked_s = retry_after_s(retry_after, time.time())
        if asked_s is not None:  # Not before, and spread out afterwards.
            return asked_s + self.interval_s * self._options.jitter_ratio * random.random()
        self._busy_count = min(self._busy_count + 1, BACKOFF_DOUBLINGS)
        return self.interval_s * random.uniform(1.0, 2.0**self._busy_count)
