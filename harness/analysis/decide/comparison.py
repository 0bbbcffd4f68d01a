"""Comparing sides, each of one or more runs: every figure, the difference and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import numpy as np

from harness.analysis.decide import bootstrap
from harness.analysis.decide.between_runs import BetweenRuns, StoredRun
from harness.analysis.decide.bootstrap import Counts, Floats, Interval
from harness.analysis.decide.comparability import Incompatibility
from harness.analysis.decide.run_noise import RunNoise, hull
from harness.analysis.run.clocks import error_of
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.histograms import read_seconds, values_ns
from harness.analysis.run.record import Record, measured
from harness.analysis.run.run_file import differing_tags, shared_label
from harness.analysis.run.slo import observe
from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.metric_types import MEASURE, PERCENTILES
from harness.core.metrics import LATENCIES
from harness.measure.histogram import LatencyHistogram
from harness.measure.record import HISTOGRAMS_FILE

SEED: Final = 20261123
"""Of the bootstrap, so that the same records always give the same page."""

_LATENCIES: Final = ("fan_out_latency_ms", "publishes.latency_ms", "joins.latency_ms")
"""The blocks of the summary whose percentiles are compared."""

RATIO: Final = "deliveries.ratio"

_MEANS: Final = (
    "deliveries.lost",
    "deliveries.duplicated",
    "deliveries.per_s_mean",
    "joins.failed",
)
"""Figures of which a side has the mean of its runs."""
_WORST: Final = (
    "joins.per_s_peak",
    "stall_s.p99",
    "stall_s.max",
    "recovery_s.max",
    "cost.usd_day_at_reference",
)
"""Figures of which a side has the highest of its runs."""

_PERCENTILE_METRICS: Final = tuple(
    f"{block}.{name}" for block in _LATENCIES for name in PERCENTILES
)
_VARYING: Final = frozenset({*_PERCENTILE_METRICS, "deliveries.per_s_mean", *_WORST})
"""Figures that differ from run to run of one thing; losses and failures are no matter of chance."""

METRICS: Final = (
    *_PERCENTILE_METRICS,
    RATIO,
    *_MEANS,
    *_WORST,
)
"""All figures that are compared."""


@dataclass(frozen=True)
class Side:
    """Runs of one thing, pooled.

    Attributes:
        name: A, B, C and so on.
        figures: Each of ``METRICS``; None where there was nothing to measure.
        draws: Figures of each bootstrap draw, of those that have an interval.
        blocks: Blocks of seconds that each of those was drawn from.
        latencies: Fan-out latencies of the measured phase, of all runs together.
    """

    name: str
    runs: Sequence[Analysis]
    figures: dict[str, float | None]
    draws: dict[str, Floats]
    blocks: dict[str, float]
    latencies: LatencyHistogram

    @property
    def label(self) -> str:
        """What all its runs tested, in the user's words; empty where they do not agree."""
        return shared_label([one.record.run for one in self.runs])

    @property
    def title(self) -> str:
        """What it is called: its letter, its label where it has one, and its target."""
        target = self.runs[0].record.target.get("name", "unknown target")
        return f"{self.name}: {self.label} on {target}" if self.label else f"{self.name}: {target}"

    def clock_error_ms(self, metric: str) -> float:
        """Return how wrong the clocks may make a figure in the worst run; 0 for not at all."""
        return max(error_of(metric, one.summary) for one in self.runs)


@dataclass(frozen=True)
class Difference:
    """One figure of a side beside the first side's, and how sure the difference is.

    Attributes:
        metric: Dotted name in the summary.
        absolute: Where other − first may lie; None where there is no interval.
        relative: Where other ÷ first may lie; None where there is no interval.
        errors_ms: How wrong the workers' clocks may make either side's, first and other.
        noises: How far runs of either side's thing are apart, which the interval contains; none
            for figures of which that is not known.
    """

    metric: str
    first: float | None
    other: float | None
    absolute: Interval | None = None
    relative: Interval | None = None
    errors_ms: tuple[float, float] = (0.0, 0.0)
    noises: tuple[RunNoise, ...] = ()

    @property
    def clock_error_ms(self) -> float:
        """How wrong the clocks of both sides together may make the difference."""
        return sum(self.errors_ms)

    @property
    def is_within_clocks(self) -> bool:
        """Whether the difference may be that of the clocks alone."""
        return bool(self.difference) and abs(self.difference or 0.0) <= self.clock_error_ms

    @property
    def difference(self) -> float | None:
        """Other − first, in the metric's unit."""
        return None if self.first is None or self.other is None else self.other - self.first

    @property
    def ratio(self) -> float | None:
        """Other ÷ first; None where the first is 0, or either is less than its clocks' error."""
        if self.other is None or not self.first:
            return None
        pairs = zip((self.first, self.other), self.errors_ms, strict=True)
        unknown = any(value < error_ms for value, error_ms in pairs)
        return None if unknown else self.other / self.first

    @property
    def is_shown(self) -> bool:
        """Whether there is an interval and, with the clocks' error added, it does not hold 0."""
        if self.absolute is None:
            return False
        low, high = self.absolute
        return low > self.clock_error_ms or high < -self.clock_error_ms

    @property
    def least_rise(self) -> float | None:
        """The smallest rise that would have been shown, as a share; None without an interval."""
        if self.relative is None or self.ratio is None or self.relative.low <= 0:
            return None
        return self.ratio / self.relative.low - 1


@dataclass(frozen=True)
class Comparison:
    """Sides, and of each but the first its differences from the first."""

    sides: Sequence[Side]
    differences: Sequence[Sequence[Difference]]
    unlike: Sequence[Incompatibility]

    @property
    def tags(self) -> list[str]:
        """The tags in which the sides differ, of each side in words; empty for none."""
        return differing_tags([[one.record.run for one in side.runs] for side in self.sides])


def compare(
    sides: Sequence[Sequence[Analysis]],
    unlike: Sequence[Incompatibility] = (),
    replicates: int = bootstrap.REPLICATES,
    stored: Sequence[StoredRun] = (),
) -> Comparison:
    """Compare sides of runs with the first of them.

    Args:
        sides: The runs of each side.
        unlike: In what they differ.
        replicates: Draws of the bootstrap.
        stored: Runs made earlier, oldest first, which show how far like runs are apart.
    """
    random = np.random.default_rng(SEED)
    pooled = [
        _pool(chr(ord("A") + place), runs, random, replicates) for place, runs in enumerate(sides)
    ]
    between = BetweenRuns(sides, stored, other_machines=any(one.widens for one in unlike))
    differences = [
        [_difference(metric, pooled[0], one, between, place) for metric in METRICS]
        for place, one in enumerate(pooled[1:], 1)
    ]
    return Comparison(pooled, differences, unlike)


def _difference(
    metric: str, first: Side, other: Side, between: BetweenRuns, place: int
) -> Difference:
    """Return one difference: its interval holds both what seconds and what runs differ by."""
    values = first.figures[metric], other.figures[metric]
    seen = Difference(
        metric, *values, errors_ms=(first.clock_error_ms(metric), other.clock_error_ms(metric))
    )
    known = between.interval(metric, 0, place) if metric in _VARYING else None
    if known is not None and first.figures[metric]:
        relative, noises = known
        if metric in _WORST and seen.ratio is not None:
            # The highest runs of both sides may differ otherwise than the sides' means do.
            relative = hull(relative, Interval(seen.ratio, seen.ratio)) or relative
        low, high = ((bound - 1) * (first.figures[metric] or 0.0) for bound in relative)
        seen = replace(seen, absolute=Interval(low, high), relative=relative, noises=noises)
    if metric not in first.draws or metric not in other.draws:
        return seen
    a, b = first.draws[metric], other.draws[metric]
    fewest = min(first.blocks[metric], other.blocks[metric])
    absolute = bootstrap.interval(b - a, fewest)
    of_ratio = bootstrap.interval(b / np.where(a > 0, a, np.nan), fewest)
    if metric in _VARYING:
        absolute, of_ratio = hull(absolute, seen.absolute), hull(of_ratio, seen.relative)
    return replace(seen, absolute=absolute, relative=of_ratio)


def _pool(
    name: str, runs: Sequence[Analysis], random: np.random.Generator, replicates: int
) -> Side:
    figures: dict[str, float | None] = {}
    for metric in (*_MEANS, *_WORST):
        known = [value for one in runs if (value := observe(one.summary, metric)) is not None]
        pooled = float(np.mean(known) if metric in _MEANS else max(known)) if known else None
        figures[metric] = pooled if len(known) == len(runs) else None
    side = Side(name, runs, figures, {}, {}, LatencyHistogram())
    for one in runs:
        merged = one.record.histograms.merged("fan_out_latency", phase=MEASURE)
        side.latencies.hdr.add(merged.hdr)
    for block in _LATENCIES:
        _draw_latencies(side, block, random, replicates)
    _draw_ratio(side, random, replicates)
    return side


def _draw_latencies(side: Side, block: str, random: np.random.Generator, replicates: int) -> None:
    of_block = LATENCIES[block]
    shares = [percentile / 100 for percentile in PERCENTILES.values()]
    counts, values_ms = _latency_counts(side.runs, of_block.histogram, of_block.phase)
    if not len(values_ms):
        side.figures.update({f"{block}.{name}": None for name in PERCENTILES})
        return

    def figure(sums: Counts) -> Floats:
        return bootstrap.percentiles(sums, shares, values_ms)

    total = np.concatenate(counts).sum(axis=0, keepdims=True)
    drawn = bootstrap.draw(counts, figure, random, replicates)
    for column, name in enumerate(PERCENTILES):
        metric = f"{block}.{name}"
        side.figures[metric] = float(figure(total)[0, column])
        side.draws[metric] = drawn[:, column]
        side.blocks[metric] = bootstrap.blocks(counts)


def _latency_counts(
    runs: Sequence[Analysis], metric: str, phase: str | None
) -> tuple[list[Counts], Floats]:
    """Return each run's counts by second, and what their columns stand for, in ms."""
    found = [read_seconds(one.record.folder / HISTOGRAMS_FILE, metric, phase) for one in runs]
    total = np.zeros(len(values_ns()), np.int64)
    for counts in chain.from_iterable(one.values() for one in found):
        total += counts
    used = np.flatnonzero(total)
    counts_of_runs = []
    for analysis, merged in zip(runs, found, strict=True):
        first, last = _span(analysis.record, merged, phase)
        table = np.zeros((last - first, len(used)), np.float32)
        for second, counts in merged.items():
            table[second - first] = counts[used]
        counts_of_runs.append(table)
    return counts_of_runs, values_ns()[used] / NS_PER_MS


def _span(record: Record, merged: dict[int, Any], phase: str | None) -> tuple[int, int]:
    """Return the seconds from which blocks are drawn: the measured ones, silent ones as well."""
    seen = [*merged, *(second + 1 for second in merged)]
    if phase == MEASURE and record.measure_start_s is not None:
        start_s = record.measure_start_s
        seen += [round(start_s), max(round(start_s), int(start_s + record.measured_s()))]
    return min(seen, default=0), max(seen, default=0)


def _draw_ratio(side: Side, random: np.random.Generator, replicates: int) -> None:
    side.figures[RATIO] = None
    if not all(one.record.is_complete for one in side.runs):
        return
    counts = [_owed_by_second(one.record) for one in side.runs]
    owed, lost = np.concatenate(counts).sum(axis=0, dtype=np.float64)
    if not owed:
        return
    side.figures[RATIO] = float((owed - lost) / owed)

    def figure(sums: Counts) -> Floats:
        exact = sums.astype(np.float64)
        with np.errstate(invalid="ignore"):
            return 1 - exact[:, 1:] / exact[:, :1]

    side.draws[RATIO] = bootstrap.draw(counts, figure, random, replicates)[:, 0]
    side.blocks[RATIO] = bootstrap.blocks(counts)


def _owed_by_second(record: Record) -> Counts:
    """Return owed and lost by the second in which messages were due, shape (seconds, 2)."""
    messages = measured(record.messages)
    due = ((messages["intended_ns"] - record.epoch_ns) // NS_PER_S).to_numpy(np.int64)
    start = round(record.measure_start_s or 0.0)
    length = max(int(record.measured_s()), int(due.max()) - start + 1 if len(due) else 0)
    columns = [
        np.bincount(due - start, messages[name].to_numpy(np.float64, na_value=0.0), length)
        for name in ("owed", "lost")
    ]
    return np.stack(columns, axis=1).astype(np.float32)
