"""What a worker collects between two reports: counters, histograms, errors and subscriptions."""

from collections import Counter, defaultdict
from typing import Any

from harness.measure.histogram import Int64Array, LatencyHistogram

MAX_ERROR_KINDS = 200
"""Distinct errors that one worker keeps in a run, so that unique texts cannot fill the record."""

OTHER_MESSAGES = "other messages"

IDLE_TAKES = 30
"""A histogram without values in this many takes is deleted: its phase is over. A new histogram for
each second with a value would leave 400 KB to the garbage collector each time."""


class IntervalStats:
    """Counters, histograms and errors of one worker since the last ``take``."""

    def __init__(self) -> None:
        self._counters: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._histograms: defaultdict[str, LatencyHistogram] = defaultdict(LatencyHistogram)
        self._idle: Counter[str] = Counter()
        self._errors: Counter[tuple[str, str, str, str]] = Counter()
        self._error_kinds: set[tuple[str, str, str, str]] = set()
        self._lowest_ns = 0

    def count(self, user_class: str, name: str, amount: int = 1) -> None:
        """Add to one of the record's timeline counters."""
        self._counters[user_class][name] += amount

    def latency(self, metric: str, user_class: str, phase: str, value_ns: int) -> None:
        """Count one latency, in ns."""
        self._histograms[f"{metric}.{user_class}.{phase}"].record(value_ns)

    def latencies(self, metric: str, user_class: str, phase: str, values_ns: Int64Array) -> None:
        """Count many latencies, in ns, shape (n,)."""
        self._histograms[f"{metric}.{user_class}.{phase}"].record_many(values_ns)

    def error(self, stage: str, error_class: str, code: str, message: str, count: int = 1) -> None:
        """Count errors by where they happened and what the system called them."""
        kinds = self._error_kinds
        less_and_less = ((code, message), (code, OTHER_MESSAGES), ("other", OTHER_MESSAGES))
        for place, told in enumerate(less_and_less, start=1):
            key = (stage, error_class, *told)
            if key in kinds or len(kinds) < place * MAX_ERROR_KINDS:
                break
        kinds.add(key)
        self._errors[key] += count

    def take(self) -> dict[str, Any]:
        """Return everything counted as plain values for a message, and reset."""
        for tag, histogram in self._histograms.items():
            user_class = tag.split(".")[1]
            self._lowest_ns = min(self._lowest_ns, histogram.lowest_ns)
            for name in ("negative_count", "out_of_range_count"):
                if getattr(histogram, name):
                    self.count(user_class, name, getattr(histogram, name))
        taken = {
            "counters": {user_class: dict(row) for user_class, row in self._counters.items()},
            "histograms": {tag: h.encode() for tag, h in self._histograms.items() if h.count},
            "errors": [[*key, count] for key, count in self._errors.items()],
        }
        self._counters.clear()
        self._clear_histograms()
        self._errors.clear()
        return taken

    def _clear_histograms(self) -> None:
        for tag, histogram in list(self._histograms.items()):
            self._idle[tag] = 0 if histogram.count else self._idle[tag] + 1
            histogram.clear()
            if self._idle[tag] >= IDLE_TAKES:
                del self._histograms[tag], self._idle[tag]

    def take_lowest_ns(self) -> int:
        """Return the lowest negative latency since the last call, 0 if there was none."""
        taken, self._lowest_ns = self._lowest_ns, 0
        return taken


Edges = dict[str, tuple[list[int], list[int]]]
"""By channel: run-clock ns at which connections begin, and cease, to be owed messages."""


class SubscriptionIntervals:
    """Subscriptions that began or ended since the last ``take``.

    The record's ledger uses the connections table, which is complete only after the run. From these
    intervals the master keeps the same ledger while the run goes on.
    """

    def __init__(self) -> None:
        self._edges: defaultdict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))

    def opened(self, channel: str, from_ns: int) -> None:
        """Note a subscription that is owed messages from ``from_ns`` on, run clock."""
        self._edges[channel][0].append(from_ns)

    def closed(self, channel: str, from_ns: int, until_ns: int) -> None:
        """Note the end of a subscription, which may precede the end of its settle time.

        Args:
            channel: Path of its channel.
            from_ns: As given to ``opened``.
            until_ns: Run clock from which it is owed no messages.
        """
        self._edges[channel][1].append(max(from_ns, until_ns))

    def take(self) -> Edges:
        """Return what was noted as plain values for a message, and reset."""
        taken = dict(self._edges)
        self._edges.clear()
        return taken
