"""The state of a run in progress: the sum of the master's seconds.

Adding a second costs the master a few additions per worker; percentiles and texts are computed only
when an output reads them.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.core.clock import NS_PER_S
from harness.core.metric_types import MEASURE
from harness.live.ledger import SETTLE_AFTER_S, LiveLedger
from harness.measure.histogram import LatencyHistogram
from harness.scenario.plan import Plan

MAX_ERRORS = 200
"""Distinct errors kept over the run; all others are one entry."""

HISTORY_S = 300
"""Seconds of the run that a chart can show."""

Histograms = Mapping[str, LatencyHistogram]
"""By tag: ``metric.user_class.phase``."""


@dataclass(slots=True)
class Second:
    """The newest second that all workers have reported."""

    number: int = -1
    counters: Counter[str] = field(default_factory=Counter)
    histograms: dict[str, LatencyHistogram] = field(default_factory=dict)
    deliveries_offered: int = 0


class PastSecond(NamedTuple):
    """What the charts show of a second: percentiles of its fan-out latency, and its deliveries."""

    number: int
    latency_ms: Mapping[str, float | None]
    offered: int
    deliveries: int


class LiveRun:
    """The state of one run so far.

    Args:
        intended_s: When each publish of the schedule is due, seconds of the run, shape (n,).
        channels: Index of the channel of each, shape (n,).

    Attributes:
        counters: By user class: the timeline's counters since the start.
        peaks: By user class: the highest number connected.
        histograms: Merged over workers and user classes, by metric and phase.
        errors: Count by stage, code and message.
        health: Each worker's newest row of the generator table.
        publishes: By phase: messages offered and sent, and their outcomes.
        history: The last seconds.
    """

    def __init__(
        self, plan: Plan, intended_s: npt.NDArray[np.float64], channels: npt.NDArray[np.int64]
    ) -> None:
        self.plan = plan
        self.timetable = plan.timetable
        self.run_id = ""
        self.epoch_ns = 0
        self.workers = 0
        self.state = "waiting"
        self.ended_s: float | None = None
        self.cause: str | None = None
        self.verdict: str | None = None
        self.exit_code: int | None = None
        self.counters: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.connected: Mapping[str, int] = {}
        self.peaks: Counter[str] = Counter()
        self.joins_per_s_peak = 0
        self.deliveries_per_s: list[int] = []
        self.histograms: defaultdict[tuple[str, str], LatencyHistogram] = defaultdict(
            LatencyHistogram
        )
        self.errors: Counter[tuple[str, str, str]] = Counter()
        self.health: dict[int, Mapping[str, Any]] = {}
        self.publishes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.ledger = LiveLedger()
        self.last = Second()
        self.history: deque[PastSecond] = deque(maxlen=HISTORY_S)
        self.disturbances: Sequence[Mapping[str, Any]] = ()
        self.warnings: Sequence[Mapping[str, Any]] = ()
        self._due = _due_by_second(plan, intended_s, channels)

    def begin(
        self,
        run_id: str,
        epoch_ns: int,
        workers: int,
        disturbances: Sequence[Mapping[str, Any]],
        warnings: Sequence[Mapping[str, Any]],
    ) -> None:
        """Note that the run starts; the two lists go on growing and are only read."""
        self.run_id, self.epoch_ns, self.workers = run_id, epoch_ns, workers
        self.disturbances, self.warnings = disturbances, warnings
        self.state = "running"

    @property
    def elapsed_s(self) -> float:
        """Seconds of the run that are over, 0 before it and fixed after it."""
        if self.ended_s is not None:
            return self.ended_s
        return max((time.time_ns() - self.epoch_ns) / NS_PER_S, 0.0) if self.epoch_ns else 0.0

    def second(
        self,
        number: int,
        reports: Sequence[Mapping[str, Any]],
        counters: Mapping[str, Counter[str]],
        histograms: Histograms,
        connected: Mapping[str, int],
    ) -> None:
        """Take a second of the run: the workers' reports, and their sums by user class."""
        now = Second(number)
        self.connected = connected
        for user_class, row in counters.items():
            self.counters[user_class].update(row)
            now.counters.update(row)
        for user_class, count in connected.items():
            self.peaks[user_class] = max(self.peaks[user_class], count)
        for tag, histogram in histograms.items():
            self._merge(now, tag, histogram)
        for report in reports:
            self._take(number, report)
        self.ledger.settle(number - SETTLE_AFTER_S)
        now.deliveries_offered = self._offered(number)
        self._note_rates(now)
        self.last = now

    def _merge(self, now: Second, tag: str, histogram: LatencyHistogram) -> None:
        metric, _, phase = tag.split(".")
        self.histograms[metric, phase].hdr.add(histogram.hdr)
        now.histograms.setdefault(metric, LatencyHistogram()).hdr.add(histogram.hdr)

    def _take(self, number: int, report: Mapping[str, Any]) -> None:
        self.ledger.add(number, report)
        self.health[report["worker"]] = report["generator"]
        for row in report["publishes"]:
            of_phase = self.publishes[row["phase"]]
            of_phase["offered"] += 1
            of_phase["sent"] += row["sent_ns"] is not None
            of_phase[row["outcome"]] += 1
        for stage, _, code, message, count in report["errors"]:
            key = (stage, code, message)
            if key not in self.errors and len(self.errors) >= MAX_ERRORS:
                key = (stage, code, "other messages")
            self.errors[key] += count

    def _offered(self, number: int) -> int:
        """Return the deliveries scheduled for a second, for the subscriptions open then."""
        middle_ns = self.epoch_ns + number * NS_PER_S + NS_PER_S // 2
        return sum(
            messages * self.ledger.open_at(channel, middle_ns)
            for channel, messages in self._due.get(number, {}).items()
        )

    def _note_rates(self, now: Second) -> None:
        deliveries = now.counters["deliveries"]
        self.joins_per_s_peak = max(self.joins_per_s_peak, now.counters["joins_succeeded"])
        if self.timetable.phase_at(now.number) == MEASURE:
            self.deliveries_per_s.append(deliveries)
        fan_out = now.histograms.get("fan_out_latency")
        latency_ms = fan_out.percentiles_ms() if fan_out else {}
        self.history.append(PastSecond(now.number, latency_ms, now.deliveries_offered, deliveries))

    def end(self, ended_s: float, cause: str | None) -> None:
        """Close the account: every report is in, so everything can be settled."""
        self.ledger.settle(float("inf"))
        self.ended_s, self.cause = ended_s, cause
        self.state = "reporting"

    def concluded(self, verdict: str | None, exit_code: int) -> None:
        """Note how the report judges it."""
        self.verdict, self.exit_code = verdict, exit_code
        self.state = "ended"

    def histogram(self, metric: str, phase: str | None = MEASURE) -> LatencyHistogram:
        """Return a latency so far: of one phase, or of all of them."""
        if phase is not None:
            return self.histograms.get((metric, phase)) or LatencyHistogram()
        merged = LatencyHistogram()
        for (name, _), histogram in self.histograms.items():
            if name == metric:
                merged.hdr.add(histogram.hdr)
        return merged


def _due_by_second(
    plan: Plan, intended_s: npt.NDArray[np.float64], channels: npt.NDArray[np.int64]
) -> dict[int, dict[str, int]]:
    """Return how many messages are due on each channel, by second of the run."""
    batch = plan.workload.publishing.batch_size
    seconds = np.floor(intended_s).astype(np.int64)
    pairs, counts = np.unique(np.stack((seconds, channels)), axis=1, return_counts=True)
    due: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for second, channel, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        due[second][plan.channel_path(channel)] = count * batch
    return due
