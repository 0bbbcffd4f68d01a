"""When each of many users is to do something next, with one timer of the event loop for all."""

import time
from collections import defaultdict
from typing import Any, Protocol

from gevent import get_hub

TICK_S = 0.005
"""Users whose time has come are looked for this often; a poll is late by as much at most."""

NEVER = -1


class Waiting(Protocol):
    """Somebody who waits for a time.

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

    def at(self, due_s: float, who: Waiting) -> None:
        """Call ``who.due`` once at a time, in place of any asked for before.

        Args:
            due_s: On ``time.monotonic``; what has passed is due with the next tick.
            who: Its ``due_tick`` is set.
        """
        if self._timer is None:
            self._passed = _now()
            self._timer = get_hub().loop.timer(TICK_S, TICK_S)
            self._timer.start(self._turn)
        tick = max(int(due_s / TICK_S) + 1, self._passed + 1)
        who.due_tick = tick
        self._buckets[tick].append(who)

    def _turn(self) -> None:
        now = _now()
        while self._passed < now:
            self._passed = tick = self._passed + 1
            for who in self._buckets.pop(tick, ()):
                if who.due_tick == tick:
                    who.due_tick = NEVER
                    who.due()

    def stop(self) -> None:
        """Call nobody any more; safe to call twice."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._buckets.clear()


def _now() -> int:
    return int(time.monotonic() / TICK_S)
