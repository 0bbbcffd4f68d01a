"""What a sweep found: capacity, knee, headroom and the law, of one cell of its grid."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.decide.backlog import LEAST_GROWTH_MS_PER_S, LEAST_SECONDS, SIGNIFICANCE
from harness.analysis.decide.scalability import Scalability, fit_scalability
from harness.analysis.decide.sweep import MS_PER_S, Bracket, Search, SweepStep, TrialResult
from harness.analysis.run.record import Json
from harness.core.exit_codes import ExitCode
from harness.scenario.axes import DELIVERIES, Axis
from harness.scenario.workload import Workload

Floats = npt.NDArray[np.float64]

LEAST_LOADS: Final = 5
"""Loads that a knee needs: two points on each side of the bend, and the bend."""


class Knee(NamedTuple):
    """A knee, and between which loads it may lie.

    At either end is the tested load next to it, or the furthest knee found with a step left out.
    """

    load: float
    low: float
    high: float


def find_knee(loads: Sequence[float], latencies_ms: Sequence[float]) -> Knee | None:
    """Find where latency begins to bend away from a line as the load grows.

    Several latencies at one load count with their median. Both axes are scaled to 0…1, and the knee
    is the tested load at which the curve is furthest below the line from its first to its last
    point. Source: Satopää, Albrecht, Irwin and Raghavan, "Finding a 'Kneedle' in a Haystack", 2011.

    Its uncertainty is the distance to the tested loads beside it, made wider by the knees that are
    found when each load is left out in turn.

    Returns:
        None with fewer than ``LEAST_LOADS`` loads, and where the curve has no bend upwards.
    """
    at = np.unique(np.asarray(loads, np.float64))
    given, values = np.asarray(loads, np.float64), np.asarray(latencies_ms, np.float64)
    medians = np.array([np.median(values[given == load]) for load in at])
    if len(at) < LEAST_LOADS or (found := _kneedle(at, medians)) is None:
        return None
    place = int(np.searchsorted(at, found))
    without = [
        knee
        for left_out in range(len(at))
        if (knee := _kneedle(np.delete(at, left_out), np.delete(medians, left_out))) is not None
    ]
    beside = [at[max(place - 1, 0)], at[min(place + 1, len(at) - 1)], *without]
    return Knee(found, float(min(beside)), float(max(beside)))


def _kneedle(loads: Floats, latencies_ms: Floats) -> float | None:
    """Return the knee of latencies that rise at different, ascending loads, at least three."""
    if latencies_ms.max() <= latencies_ms.min():
        return None
    # The paper's curve rises and flattens: this one, seen from its other end.
    along = np.flip(1 - _scaled(loads))
    gap = np.flip(1 - _scaled(latencies_ms)) - along
    before, after = np.r_[gap[:1], gap[:-1]], np.r_[gap[1:], gap[-1:]]
    is_peak, is_trough = (gap >= before) & (gap >= after), (gap <= before) & (gap <= after)
    step = float(np.diff(along).mean())
    peak: int | None = None
    for place in range(len(gap) - 1):
        if is_peak[place]:
            peak = place
        if is_trough[place]:
            peak = None
        # Sensitivity 1: the gap has closed by one mean step before it widens again.
        if peak is not None and gap[place + 1] < gap[peak] - step:
            # The first and the last point can be no bend, whatever the scaling makes of them.
            return float(loads[-(peak + 1)]) if 0 < peak < len(gap) - 1 else None
    return None


def _scaled(values: Floats) -> Floats:
    """Return values moved and scaled so that they reach from 0 to 1."""
    scaled: Floats = (values - values.min()) / (values.max() - values.min())
    return scaled


JSON_VERSION: Final = 1
"""Version of ``sweep_json``: raised when a name is removed or changes its meaning."""

FOUND: Final = "found"
AT_LEAST_GENERATOR: Final = "at_least_generator"
AT_LEAST_MOST: Final = "at_least_most"
NONE_HELD: Final = "none_held"
NOT_MEASURED: Final = "not_measured"
_EXIT_CODES: Final = {
    FOUND: ExitCode.PASS,
    AT_LEAST_MOST: ExitCode.PASS,
    AT_LEAST_GENERATOR: ExitCode.RUN_INVALID,
    NOT_MEASURED: ExitCode.RUN_INVALID,
    NONE_HELD: ExitCode.SLO_FAILED,
}


@dataclass(frozen=True)
class Headroom:
    """How much the step at the capacity and the reference load have of an axis.

    The moment is "outside bursts" or "in a burst".
    """

    axis: Axis
    moment: str
    capacity: float
    reference: float

    @property
    def ratio(self) -> float:
        """Capacity ÷ reference; below 1 it does not suffice."""
        return self.capacity / self.reference


@dataclass(frozen=True)
class Cell:
    """One search: its steps and their result.

    Attributes:
        fixed: Loads along the grid's other axes; empty without a grid.
        steps: In the order they were run.
        workload: The workload of the step at the capacity; of the first step where none held.
        bracket: Between which loads the edge lies.
        knee: Where latency bends; None where it does not.
        law: The Universal Scalability Law, or why it was refused.
        headroom: Beside the reference load; empty where nothing held.
    """

    axis: Axis
    fixed: Mapping[Axis, float]
    search: Search
    steps: tuple[SweepStep, ...]
    workload: Workload
    bracket: Bracket
    is_settled: bool
    knee: Knee | None
    law: Scalability
    headroom: tuple[Headroom, ...]

    @property
    def result(self) -> str:
        """What kind of answer this is, under a stable name."""
        low, high, answer = self.bracket
        if low is None:
            return NOT_MEASURED if answer is TrialResult.NONE or high is None else NONE_HELD
        if high is None:
            return AT_LEAST_MOST
        return AT_LEAST_GENERATOR if answer is TrialResult.NONE else FOUND

    @property
    def exit_code(self) -> ExitCode:
        """What the answer means to a pipeline."""
        return _EXIT_CODES[self.result]

    @property
    def at_capacity(self) -> SweepStep | None:
        """The last step that held at the capacity."""
        held = [one for one in self.steps if one.load == self.bracket.low]
        return next((one for one in reversed(held) if one.answer is TrialResult.HELD), None)


def read_cell(
    axis: Axis,
    fixed: Mapping[Axis, float],
    search: Search,
    steps: Sequence[SweepStep],
    workload: Workload,
    reference: Workload | None = None,
) -> Cell:
    """Return the result of the steps of one search, beside the reference load where it is given.

    The parameters are those of ``Cell``.
    """
    trials = [one.trial for one in steps]
    bracket = search.bracket(trials)
    known = [one for one in steps if one.answer is not TrialResult.NONE]
    curve = [(one.load, latency) for one in known if (latency := latency_ms(one, axis)) is not None]
    points = [point for one in known if (point := _at_work(one, axis)) is not None]
    return Cell(
        axis=axis,
        fixed=fixed,
        search=search,
        steps=tuple(steps),
        workload=workload,
        bracket=bracket,
        is_settled=search.is_settled(trials),
        knee=find_knee([load for load, _ in curve], [value for _, value in curve]),
        law=fit_scalability([work for work, _ in points], [rate for _, rate in points]),
        headroom=_headroom(axis, bracket.low, workload, reference),
    )


def latency_ms(step: SweepStep, axis: Axis) -> float | None:
    """Return the latency that grows along an axis: p99 of joining, or of the fan-out."""
    return step.join_p99_ms if axis.is_of_joins else step.fan_out_p99_ms


def exit_code_of(cells: Sequence[Cell]) -> ExitCode:
    """Return the worst of the cells' exit codes: nothing held is worse than nothing known."""
    codes = {cell.exit_code for cell in cells}
    order = (ExitCode.SLO_FAILED, ExitCode.RUN_INVALID)
    return next((code for code in order if code in codes), ExitCode.PASS)


def sweep_json(status: str, workload: str, target: str, cells: Sequence[Cell]) -> Json:
    """Return a sweep as plain data under stable names; ``workload`` and ``target`` are names."""
    return {
        "version": JSON_VERSION,
        "status": status,
        "workload": workload,
        "target": target,
        "exit_code": int(exit_code_of(cells)),
        "backlog_test": {
            "least_growth_ms_per_s": LEAST_GROWTH_MS_PER_S,
            "significance": SIGNIFICANCE,
            "least_seconds": LEAST_SECONDS,
        },
        "cells": [_cell_json(one) for one in cells],
    }


def _cell_json(cell: Cell) -> Json:
    low, high, _ = cell.bracket
    law = None
    if not cell.law.refusal:
        at = cell.law.limit_at if np.isfinite(cell.law.limit_at) else None
        law = asdict(cell.law) | {"limit_at": at, "is_extrapolated": cell.law.is_extrapolated}
    return {
        "axis": cell.axis.name,
        "key": cell.axis.key,
        "fixed": {axis.name: load for axis, load in cell.fixed.items()},
        "search": asdict(cell.search),
        "result": cell.result,
        "capacity": low,
        "not_held_at": high,
        "is_settled": cell.is_settled,
        "knee": cell.knee and {"method": "kneedle", **cell.knee._asdict()},
        "scalability": law,
        "scalability_refused": cell.law.refusal or None,
        "headroom": [
            vars(one) | {"axis": one.axis.name, "ratio": one.ratio} for one in cell.headroom
        ],
        "steps": [one.to_json() for one in cell.steps],
    }


def _at_work(step: SweepStep, axis: Axis) -> tuple[float, float] | None:
    """Return work in the system at once and throughput; None where it was not steady."""
    rate = step.joins_per_s if axis.is_of_joins else step.achieved_per_s
    all_arrived = not axis.is_of_joins and not step.has_backlog and step.delivery_ratio == 1
    is_steady = step.answer is TrialResult.HELD or all_arrived
    if not is_steady or not rate or not step.mean_ms:
        return None
    return rate * step.mean_ms / MS_PER_S, rate


def _headroom(
    axis: Axis, low: float | None, workload: Workload, reference: Workload | None
) -> tuple[Headroom, ...]:
    """Compare the workload at the capacity with the reference, along its axis and in deliveries."""
    if low is None or reference is None:
        return ()
    of_publishing = axis.name in {"publish-rate", "deliveries"}
    burst = reference.publishing.burst
    found = []
    for one in dict.fromkeys((axis, DELIVERIES)):
        usual, capacity = one.load_of(reference), one.load_of(workload)
        found.append(Headroom(one, "outside bursts", capacity, usual))
        if burst and (of_publishing or one is DELIVERIES):
            found.append(Headroom(one, "in a burst", capacity, usual * burst.factor))
    return tuple(found)
