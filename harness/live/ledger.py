"""The delivery ledger during the run: deliveries owed, received and lost so far.

It counts as ``analysis.run.ledger`` does afterwards, for messages that have had time to arrive. A
message is settled some seconds after its publish was answered: by then every worker has reported
its subscriptions and arrivals. A later arrival corrects the counts.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice, takewhile
from typing import Any, NamedTuple

from harness.core.channels import names_of, own_name
from harness.measure.message_tracker import RETIRE_AFTER_S
from harness.measure.record_schema import DELIVERY_COUNTS

SETTLE_AFTER_S = int(RETIRE_AFTER_S) + 3
"""Arrivals are reported once they have ceased; reports take a second and may be slightly late."""

MAX_SETTLED_KEPT = 200_000
"""Settled messages whose phase is kept for late arrivals; about 20 MB."""

_Key = tuple[int, int]


class _Publish(NamedTuple):
    """One message whose publish has an outcome, waiting to be settled."""

    second: int
    phase: str
    channel: str
    chatter: int
    sent_ns: int
    acknowledged: bool


class LiveLedger:
    """The counts so far, by phase of the run.

    Attributes:
        totals: By phase: messages ``owed``, and each of ``DELIVERY_COUNTS``.
    """

    def __init__(self) -> None:
        self.totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._starts: defaultdict[str, list[int]] = defaultdict(list)
        self._ends: defaultdict[str, list[int]] = defaultdict(list)
        self._unsorted: set[str] = set()
        self._waiting: dict[_Key, _Publish] = {}
        self._arrived: dict[_Key, list[int]] = {}
        self._settled: dict[_Key, tuple[str, int]] = {}

    def add(self, second: int, report: Mapping[str, Any]) -> None:
        """Take one worker's report, at a second of the run."""
        for channel, (starts, ends) in report.get("subscription_intervals", {}).items():
            self._starts[channel] += starts
            self._ends[channel] += ends
            self._unsorted.add(channel)
        for row in report["publishes"]:
            if row["sent_ns"] is not None:
                acknowledged = row["outcome"] == "acknowledged"
                self._waiting[row["stream"], row["sequence"]] = _Publish(
                    second,
                    row["phase"],
                    row["channel"],
                    row["chatter"],
                    row["sent_ns"],
                    acknowledged,
                )
        for row in report["arrivals"]:
            self._take_arrivals(
                (row["stream"], row["sequence"]), [row[name] for name in DELIVERY_COUNTS]
            )

    def open_at(self, channel: str, instant_ns: int) -> int:
        """Return how many subscriptions are owed a message sent at an instant of the run clock."""
        return sum(self._open_at(name, instant_ns) for name in names_of(channel))

    def _own_open(self, publish: _Publish) -> int:
        """Return how many of the open subscriptions are its sender's and not owed the message."""
        names = (own_name(name, publish.chatter) for name in names_of(publish.channel))
        return sum(self._open_at(name, publish.sent_ns) for name in names)

    def _open_at(self, channel: str, instant_ns: int) -> int:
        if channel in self._unsorted:  # Nearly in order already, so this is quick.
            self._starts[channel].sort()
            self._ends[channel].sort()
            self._unsorted.discard(channel)
        begun = bisect_right(self._starts.get(channel, ()), instant_ns)
        return begun - bisect_right(self._ends.get(channel, ()), instant_ns)

    def settle(self, before_second: float) -> None:
        """Settle the messages that were taken before this second of the run."""
        waiting = self._waiting
        for key in list(takewhile(lambda key: waiting[key].second < before_second, waiting)):
            self._settle(key, self._waiting.pop(key))
        surplus = len(self._settled) - MAX_SETTLED_KEPT
        for key in list(islice(self._settled, max(surplus, 0))):
            del self._settled[key]

    def lost(self, phase: str) -> int:
        """Return how many owed deliveries of settled messages of a phase have not arrived."""
        totals = self.totals[phase]
        return totals["owed"] - totals["delivered"]

    def _settle(self, key: _Key, publish: _Publish) -> None:
        owed = self.open_at(publish.channel, publish.sent_ns) - self._own_open(publish)
        totals = self.totals[publish.phase]
        if publish.acknowledged:
            totals["owed"] += owed
            owed = 0
        self._settled[key] = (publish.phase, owed)
        counts = self._arrived.pop(key, None)
        if counts is not None:
            self._take_arrivals(key, counts)

    def _take_arrivals(self, key: _Key, counts: Sequence[int]) -> None:
        if key not in self._settled:
            known = self._arrived.get(key)
            self._arrived[key] = list(map(int.__add__, known, counts)) if known else list(counts)
            return
        phase, owed_once_seen = self._settled[key]
        totals = self.totals[phase]
        totals.update(dict(zip(DELIVERY_COUNTS, counts, strict=True)))
        if owed_once_seen and counts[0]:  # Not acknowledged, but accepted by the system.
            totals["owed"] += owed_once_seen
            self._settled[key] = (phase, 0)
