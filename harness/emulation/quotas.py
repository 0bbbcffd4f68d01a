"""Quotas: so many a second, counted over all processes of an emulator without a lock.

A quota holds in windows of one second. Each process writes what it takes into its own row of a
shared table and reads the others' rows. Two that take at the same instant may not see each other:
then the quota is exceeded by what one of them took.
"""

import time

from harness.emulation.counters import open_integers
from harness.emulation.worker import WorkerContext

WINDOWS = 64
"""Windows a table has room for: this one and those reserved ahead."""


class Rate:
    """A limit on all processes together.

    Args:
        name: What is limited; names the table.
        limit_per_s: What may be taken in a second; below one, in however many it takes to one.
    """

    def __init__(self, context: WorkerContext, name: str, limit_per_s: float) -> None:
        # A cell is two integers: the number of its window, and what was taken in that.
        cells = context.processes * WINDOWS * 2
        self._cells = open_integers(context.folder / f"rate-{name}", cells)
        self._row = context.index
        self._window_s = max(1.0, 1.0 / limit_per_s)
        self._allowance = limit_per_s * self._window_s
        self._reserved = 0

    def take(self, amount: int = 1) -> bool:
        """Take an amount if this second has room for all of it."""
        if amount > self._allowance:
            return False
        return self._take(int(time.monotonic() / self._window_s), amount) is not None

    def reserve(self, amount: int = 1) -> float | None:
        """Take an amount from the first second with room for it, none before what we reserved last.

        Returns:
            Seconds to wait until then, so that what is reserved leaves evenly; 0 where there is
            room now, None where there is none for a minute. An amount above the whole limit gets
            a second to itself.
        """
        now_s = time.monotonic()
        current = int(now_s / self._window_s)
        for window in range(max(current, self._reserved), current + WINDOWS - 1):
            before = self._take(window, amount)
            if before is None:
                continue
            self._reserved = window
            if window == current:
                return 0.0
            return (window + before / self._allowance) * self._window_s - now_s
        return None

    def _take(self, window: int, amount: int) -> int | None:
        """Take from one window; return what was taken of it before, None if it has no room."""
        cells, first = self._cells, 2 * (window % WINDOWS)
        taken = 0
        for cell in range(first, len(cells), 2 * WINDOWS):
            if cells[cell] == window:
                taken += cells[cell + 1]
        if taken and taken + amount > self._allowance:
            return None
        ours = first + 2 * WINDOWS * self._row
        if cells[ours] != window:
            # In this order, so that no other process sees the old amount under the new number.
            cells[ours + 1] = 0
            cells[ours] = window
        cells[ours + 1] += amount
        return taken


class ConnectionRate:
    """A limit on one connection, in windows of one second."""

    __slots__ = ("_limit", "_taken", "_window")

    def __init__(self, limit_per_s: float) -> None:
        self._limit = limit_per_s
        self._window = 0
        self._taken = 0

    def take(self) -> bool:
        """Take one if this second has room for it."""
        window = int(time.monotonic())
        if window != self._window:
            self._window, self._taken = window, 0
        if self._taken and self._taken >= self._limit:
            return False
        self._taken += 1
        return True
