"""A locustfile beside the shipped one: work is added to every other message as it is received.

Messages with an odd sequence cost ``BUSY_NS`` more, as a tool's own handler might; those with an
even one do not. What the harness reports as fan-out latency is written to ``BUSY_FOLDER`` by
message, and beside it what a tool would report that reads its own clock when it gets to a message.

The loop never sleeps here. A sender on the same machine pays for each time it wakes a receiver,
which one that is busy spares it: messages with work would truly arrive earlier.
"""

import os
from array import array
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns, time_ns
from typing import Any

import numpy as np
from gevent import get_hub

from harness.measure.histogram import Int64Array
from harness.measure.ledger import SubscriberLedger
from harness.measure.message_tracker import Arrivals

FOLDER = Path(os.environ["BUSY_FOLDER"])
BUSY_NS = int(os.environ["BUSY_NS"])

_delivered, _take = SubscriberLedger.delivered, Arrivals.take
_clock_read_ns: dict[int, "array[int]"] = defaultdict(lambda: array("q"))


def _delivered_with_work(self: SubscriberLedger, known: Arrivals, kernel_ns: int) -> None:
    now_ns = time_ns()
    _clock_read_ns[known.sequence].append(now_ns)
    if known.sequence % 2:
        until_ns = perf_counter_ns() + BUSY_NS
        while perf_counter_ns() < until_ns:
            pass
    _delivered(self, known, kernel_ns)


def _together_with_work(
    self: SubscriberLedger,  # noqa: ARG001 - as the method that it stands for
    known: Arrivals,
    listeners: Sequence[Any],
    stamps_ns: Int64Array,
) -> None:
    """Work is done for each: that many get a message at once spares a handler none of it."""
    for listener, kernel_ns in zip(listeners, stamps_ns.tolist(), strict=True):
        _delivered_with_work(listener, known, kernel_ns)


def _take_and_keep(self: Arrivals) -> Int64Array:
    taken = _take(self)
    if taken.size:
        read = np.frombuffer(_clock_read_ns.pop(self.sequence, array("q")), dtype=np.int64)
        sent_ns = self.token.intended_ns
        # Renamed into place, so that no reader sees half a file.
        name = f"{self.sequence:06}-{time_ns()}"
        np.savez(FOLDER / f".{name}.npz", kernel=taken - sent_ns, user=read - sent_ns)
        (FOLDER / f".{name}.npz").rename(FOLDER / f"{name}.npz")
    return taken


SubscriberLedger.delivered = _delivered_with_work  # type: ignore[method-assign]
SubscriberLedger.delivered_together = _together_with_work  # type: ignore[method-assign]
Arrivals.take = _take_and_keep  # type: ignore[method-assign]

_awake = get_hub().loop.idle()
_awake.start(lambda: None)
