"""Counters that several processes write and any of them can add up: the ground truth of a run.

They are integers in a small memory-mapped file, of which each process writes only its own part, so
no lock is needed.

A sum read while others write may be behind by what they are just counting. Names have dots:
``deliveries.dropped.fault`` stands in table ``deliveries``, in it in table ``dropped``.
"""

import mmap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.emulation.worker import WorkerContext

INTEGER_BYTES = 8


def open_integers(file: Path, count: int) -> memoryview:
    """Return integers that processes share, 0 at first; the first process makes the file."""
    with file.open("a+b") as opened:
        opened.truncate(count * INTEGER_BYTES)
        return memoryview(mmap.mmap(opened.fileno(), 0)).cast("q")


CONNECTIONS, SUBSCRIPTIONS, PENDING = "connections", "subscriptions", "deliveries.pending"
GAUGES = (CONNECTIONS, SUBSCRIPTIONS, PENDING)
"""What is counted as of now: open connections, confirmed subscriptions, deliveries held back."""

OWED, SENT, GONE = "deliveries.owed", "deliveries.sent", "deliveries.dropped.process_gone"

DELIVERY_COUNTS = (
    OWED,  # subscriptions that matched an event when it was broadcast
    SENT,  # of these, written to a socket; owed = sent + dropped + pending, at any time
    "deliveries.dropped.fault",
    "deliveries.dropped.quota",
    "deliveries.dropped.slow_subscriber",  # to one that did not read, which is cut off
    "deliveries.dropped.closed",  # held back until the connection had gone
    GONE,  # held back by a process that has gone
    "deliveries.duplicated",  # copies written besides, not among sent
    "deliveries.reordered",  # deliveries that later ones of their subscription passed
    "deliveries.malformed",  # frames written besides, not among sent
    "deliveries.delayed.fault",  # including those that waited behind a delayed one
    "deliveries.delayed.quota",
    "deliveries.delayed.stall",
    "deliveries.settling",  # not owed: the subscription was confirmed but not yet routed
    "deliveries.steps",  # of metering, in what was written, copies included
    "bytes_out",
)
"""What the way out of every emulator counts; its comments define the figures."""

CONNECTION_COUNTS = (
    "connects.slowed",
    "connects.refused.fault",
    "connects.throttled.fault",
    "connects.throttled.quota",
    "disconnects.fault",
    "disconnects.slow_subscriber",
    "publishes.throttled.fault",
    "publishes.throttled.quota",
    "publishes.throttled.connection_quota",
    "credentials.expired",
)
"""What faults and quotas count on the way in; the last is of single checks."""

LOG_COUNTS = ("fault_log.entries", "fault_log.left_out")

SHARED_COUNTS = (*GAUGES, *DELIVERY_COUNTS, *CONNECTION_COUNTS, *LOG_COUNTS)
"""What every emulator counts; each adds names of its own."""


class Counters:
    """One process's row of counts, in a table with one row a process.

    Its gauges start at zero, whichever process had the row before.
    """

    def __init__(self, context: WorkerContext, names: Sequence[str]) -> None:
        self._values = open_integers(context.folder / "counters", context.processes * len(names))
        self._names = tuple(names)
        first = context.index * len(names)
        self._columns = {name: place for place, name in enumerate(names, first)}
        self._zero(set(GAUGES))

    def add(self, name: str, amount: int = 1) -> None:
        """Add to our own count; a negative amount takes away."""
        self._values[self._columns[name]] += amount

    def own(self, name: str) -> int:
        """Return our own count."""
        return self._values[self._columns[name]]

    def put(self, name: str, value: int) -> None:
        """Replace our own count."""
        self._values[self._columns[name]] = value

    def reset(self) -> None:
        """Begin anew, but for what is as of now; a delivery held back stays owed."""
        self._zero(set(self._names) - set(GAUGES))
        if OWED in self._columns:
            self.put(OWED, self.own(PENDING))

    def _zero(self, names: Collection[str]) -> None:
        for name, place in self._columns.items():
            if name in names:
                self._values[place] = 0

    def totals(self, gone: Collection[int] = ()) -> dict[str, int]:
        """Return each count summed over all processes.

        Args:
            gone: Rows of processes that have ended: what they counted stays, but no connection
                of theirs is open, and what they held back is lost.
        """
        width = len(self._names)
        totals = {name: sum(self._values[place::width]) for place, name in enumerate(self._names)}
        for row in gone:
            for name in set(GAUGES) & totals.keys():
                left_over = self._values[row * width + self._names.index(name)]
                totals[name] -= left_over
                if name == PENDING:
                    totals[GONE] += left_over
        return totals


def nested(totals: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts as tables in tables, split at the dots of their names."""
    tables: dict[str, Any] = {}
    for name, value in totals.items():
        *outer, last = name.split(".")
        table = tables
        for part in outer:
            table = table.setdefault(part, {})
        table[last] = value
    return tables
