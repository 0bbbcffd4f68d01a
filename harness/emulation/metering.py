"""What AWS bills alike for its systems: messages in steps, and the time connections are open."""

import bisect
import math
import time
from collections.abc import Hashable, Mapping

from harness.emulation.counters import Counters

CONNECTED_MS = "billed.connection_ms"
_MINUTE_MS = 60_000


def steps_of(size_bytes: int, step_bytes: int) -> int:
    """Return the steps in which a message is metered; one that has begun counts in full."""
    return max(1, -(-size_bytes // step_bytes))


class ConnectionTime:
    """The connection time of one process.

    Args:
        counters: Has ``CONNECTED_MS`` among its columns.
        is_rounded_up: Whether the last minute of a connection is billed in full.
    """

    def __init__(self, counters: Counters, *, is_rounded_up: bool = False) -> None:
        self.counters = counters
        self._is_rounded_up = is_rounded_up
        self._opened_s: dict[Hashable, float] = {}
        self._closed_ms = counters.own(CONNECTED_MS)

    def connected(self, connection: Hashable) -> None:
        """Bill a connection that was admitted."""
        self._opened_s[connection] = time.monotonic()
        self.counters.add("billed.connects")

    def disconnected(self, connection: Hashable) -> None:
        """Bill the time of a connection that was admitted and has closed; ignore any other."""
        opened_s = self._opened_s.pop(connection, None)
        if opened_s is not None:
            unit_ms = _MINUTE_MS if self._is_rounded_up else 1
            self._closed_ms += math.ceil((time.monotonic() - opened_s) * 1000 / unit_ms) * unit_ms

    def refresh(self) -> None:
        """Bring the connection time up to now, before it is read."""
        now_s, opened_s = time.monotonic(), list(self._opened_s.values())
        open_ms = round(1000 * (len(opened_s) * now_s - sum(opened_s)))
        if self._is_rounded_up:
            # As many minutes as have begun: of each age, all that are older. They came in order.
            minutes = 0
            while older := bisect.bisect_left(opened_s, now_s):
                minutes += older
                now_s -= 60
            open_ms = minutes * _MINUTE_MS
        self.counters.put(CONNECTED_MS, self._closed_ms + open_ms)

    def reset(self) -> None:
        """Bill from now on; the minutes of open connections begin anew."""
        self._closed_ms = 0
        self._opened_s = dict.fromkeys(self._opened_s, time.monotonic())


def connection_minutes(totals: Mapping[str, int]) -> float:
    """Return the connection time that is billed, from the sums of the counters."""
    return totals[CONNECTED_MS] / _MINUTE_MS
