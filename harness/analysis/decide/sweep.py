"""The steps of a sweep: what each run measured, whether the system held, and the next load.

A search is a function of its history alone: the same trials always lead to the same next load. An
interrupted sweep therefore goes on where it stopped, and a simulated one is as good as a real one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from harness.analysis.decide.backlog import Backlog, find_backlog
from harness.analysis.run.clocks import error_of
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.slo import scope_words
from harness.analysis.run.validity import invalidates
from harness.core.clock import NS_PER_MS
from harness.core.exit_codes import ExitCode
from harness.core.metric_types import MEASURE
from harness.scenario.axes import Axis
from harness.scenario.workload import Workload

_DIGITS: Final = 5
"""Loads that need not be whole are rounded to so many significant digits, to be readable."""
_SMALLEST: Final = 1e-3
"""No search goes below this share of where it began."""
_TRIES_WITHOUT_AN_ANSWER: Final = 2
"""A generator that failed once may have been disturbed; one that failed twice is at its limit."""


class TrialResult(StrEnum):
    """The result of a trial."""

    HELD = "held"
    BROKE = "broke"
    NONE = "none"
    """The load generator itself failed, so that nothing is known about the system."""


class Trial(NamedTuple):
    """One run at one load."""

    load: float
    answer: TrialResult


@dataclass(frozen=True, slots=True)
class Resolution:
    """The greatest distance between the two loads around the edge at the end of a search.

    The size is in the unit of the load, or, where it is relative, a share of the lower load.
    """

    size: float
    is_relative: bool

    def is_reached(self, low: float, high: float) -> bool:
        """Return whether two loads are as close as required; rounding does not count."""
        wanted = low * self.size if self.is_relative else self.size
        return high - low <= wanted * (1 + 10**-_DIGITS)

    def middle(self, low: float, high: float) -> float:
        """Return the load that halves what is left: of a ratio the geometric mean."""
        return float((low * high) ** 0.5) if self.is_relative else (low + high) / 2


class Bracket(NamedTuple):
    """What is known of the edge: it lies between two loads that were tried.

    Attributes:
        low: The highest load that held, below every load that did not; None if there is none.
        high: The lowest load that did not hold; None if there is none.
        answer: What happened at ``high``.
    """

    low: float | None
    high: float | None
    answer: TrialResult


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the highest load that holds: grow until one does not, then bisect.

    Attributes:
        most: No load above this is tried.
        resolution: How finely the edge is wanted.
        factor: By how much a load that held is raised, and one that broke lowered.
        repeats: Runs at each of the two loads around the edge, of which the majority counts; a tie
            is against the system.
        max_steps: Most trials in all, repeated ones included.
    """

    start: float
    most: float
    resolution: Resolution
    factor: float = 2.0
    repeats: int = 1
    max_steps: int = 16
    is_whole: bool = False

    def next_load(self, trials: Sequence[Trial]) -> float | None:
        """Return the load to try next; None when the search is over."""
        if len(trials) >= self.max_steps:
            return None
        return self._wanted(trials)

    def is_settled(self, trials: Sequence[Trial]) -> bool:
        """Return whether the search is complete, and did not run out of steps."""
        return self._wanted(trials) is None

    def bracket(self, trials: Sequence[Trial]) -> Bracket:
        """Return the two tried loads between which the edge lies."""
        answers = {load: _majority(_at(trials, load)) for load in {one.load for one in trials}}
        failed = [load for load, answer in answers.items() if answer is not TrialResult.HELD]
        high = min(failed, default=None)
        held = [load for load in answers if load not in failed and (high is None or load < high)]
        answer = TrialResult.HELD if high is None else answers[high]
        return Bracket(max(held, default=None), high, answer)

    def _wanted(self, trials: Sequence[Trial]) -> float | None:
        low, high, answer = self.bracket(trials)
        tries = 0 if high is None else len(_at(trials, high))
        if answer is TrialResult.NONE and tries < _TRIES_WITHOUT_AN_ANSWER:
            return high
        if low is None and high is None:
            return self._rounded(min(self.start, self.most))
        if high is None:
            assert low is not None  # noqa: S101 - one of the two is there
            grown = self._rounded(min(max(low * self.factor, low + self.is_whole), self.most))
            return grown if low < self.most and grown > low else self._unsure(trials, (low,))
        if low is None:
            shrunk = self._rounded(high / self.factor)
            least = max(self.start * _SMALLEST, float(self.is_whole))
            return shrunk if least <= shrunk < high else self._unsure(trials, (high,))
        middle = self._rounded(self.resolution.middle(low, high))
        middle = max(middle, low + self.is_whole)
        if low < middle < high and not self.resolution.is_reached(low, high):
            return middle
        return self._unsure(trials, (high, low))

    def _unsure(self, trials: Sequence[Trial], loads: Sequence[float]) -> float | None:
        """Return the first of these loads whose majority could still change."""
        for load in loads:
            answers = [one.answer for one in _at(trials, load)]
            held, broke = answers.count(TrialResult.HELD), answers.count(TrialResult.BROKE)
            is_open = 2 * held <= self.repeats and 2 * broke < self.repeats
            if is_open and answers.count(TrialResult.NONE) < _TRIES_WITHOUT_AN_ANSWER:
                return load
        return None

    def _rounded(self, load: float) -> float:
        # Down, so that a whole load never passes the most.
        return float(int(load)) if self.is_whole else float(f"{load:.{_DIGITS}g}")


def _at(trials: Sequence[Trial], load: float) -> list[Trial]:
    return [one for one in trials if one.load == load]


def _majority(trials: Sequence[Trial]) -> TrialResult:
    answers = [one.answer for one in trials]
    held, broke = answers.count(TrialResult.HELD), answers.count(TrialResult.BROKE)
    if not held and not broke:
        return TrialResult.NONE
    return TrialResult.HELD if held > broke else TrialResult.BROKE


MS_PER_S: Final = 1000.0


@dataclass(frozen=True, slots=True)
class SweepStep:
    """A step of a sweep; what was not measured is None.

    Attributes:
        load: In the unit of the sweep's axis.
        reason: Why it did not, or why nothing is known, in words; empty where it held.
        run: Name of the run's folder inside the sweep's.
        broken: Metrics of the objectives that failed or had no data, with their part of the run.
        warnings: Codes of the warnings that made the run invalid.
        offered_per_s: Deliveries a second of the schedule: messages × listeners.
        achieved_per_s: Deliveries a second that arrived.
        joins_per_s: Joins a second of the schedule.
        delivery_ratio: Delivered ÷ owed.
        mean_ms: Mean time of a delivery in the system; along joins, of a join.
        growth_ms_per_s: By how much the latency grew each second; None where too few were seen.
        has_backlog: Whether that growth is one.
        clock_error_ms: How wrong the workers' clocks may make a fan-out latency; 0 for not at all.
    """

    load: float
    answer: TrialResult
    reason: str
    run: str
    verdict: str
    exit_code: int
    broken: tuple[str, ...]
    warnings: tuple[str, ...]
    offered_per_s: float | None
    achieved_per_s: float | None
    joins_per_s: float
    delivery_ratio: float | None
    fan_out_p50_ms: float | None
    fan_out_p99_ms: float | None
    fan_out_max_ms: float | None
    join_p99_ms: float | None
    mean_ms: float | None
    growth_ms_per_s: float | None
    has_backlog: bool
    clock_error_ms: float

    @property
    def trial(self) -> Trial:
        """Its load and its result, for the search."""
        return Trial(self.load, self.answer)

    def to_json(self) -> Json:
        """Return it as plain data under stable names."""
        return asdict(self) | {"answer": str(self.answer)}


def judge_step(analysis: Analysis, workload: Workload, axis: Axis, load: float) -> SweepStep:
    """Return the step that a run was, at this load along the axis."""
    record, summary = analysis.record, analysis.summary
    backlog = find_backlog(record)
    answer, reason = _answer(summary, backlog)
    latency, deliveries = summary["fan_out_latency_ms"], summary["deliveries"]
    return SweepStep(
        load=load,
        answer=answer,
        reason=reason,
        run=record.folder.name,
        verdict=summary["verdict"],
        exit_code=summary["exit_code"],
        broken=tuple(_broken(summary)),
        warnings=tuple(one["code"] for one in summary["warnings"] if invalidates(one)),
        offered_per_s=_offered_per_s(analysis, workload),
        achieved_per_s=deliveries["per_s_mean"],
        joins_per_s=workload.joins.rate_per_s,
        delivery_ratio=deliveries["ratio"],
        fan_out_p50_ms=latency["p50"],
        fan_out_p99_ms=latency["p99"],
        fan_out_max_ms=latency["max"],
        join_p99_ms=summary["joins"]["latency_ms"]["p99"],
        mean_ms=_mean_ms(analysis, axis),
        growth_ms_per_s=None if backlog is None else round(backlog.growth_ms_per_s, 3),
        has_backlog=backlog is not None and backlog.is_growing,
        clock_error_ms=error_of("fan_out_latency_ms", summary),
    )


def _answer(summary: Json, backlog: Backlog | None) -> tuple[TrialResult, str]:
    """Return whether the system held, and why not."""
    code = summary["exit_code"]
    piled_up = backlog is not None and backlog.is_growing
    if code not in (ExitCode.PASS, ExitCode.SLO_FAILED, ExitCode.TARGET_UNREACHABLE):
        codes = [one["code"] for one in summary["warnings"] if invalidates(one)]
        return TrialResult.NONE, f"not measured: {', '.join(codes) or 'the run did not end'}"
    parts = ["no user could join"] if code == ExitCode.TARGET_UNREACHABLE else []
    if piled_up and backlog is not None:
        parts.append(f"backlog: latency grew by {backlog.growth_ms_per_s:.0f} ms each second")
    if broken := _broken(summary):
        parts.append(f"objective failed: {', '.join(broken)}")
    if not parts and code != ExitCode.PASS:
        parts.append("no data")
    return (TrialResult.BROKE if parts else TrialResult.HELD), "; ".join(parts)


def _broken(summary: Json) -> list[str]:
    return [one["metric"] + scope_words(one) for one in summary["slos"] if one["verdict"] != "pass"]


def _offered_per_s(analysis: Analysis, workload: Workload) -> float | None:
    """Return messages due a second × the listeners a message reaches."""
    seconds, offered = analysis.record.measured_s(), analysis.summary["publishes"]["offered"]
    if not seconds or offered is None:
        return None
    messages_per_s = offered / seconds
    listeners = workload.population.listeners * workload.channels.reach
    return round(float(messages_per_s * listeners), 3)


def _mean_ms(analysis: Analysis, axis: Axis) -> float | None:
    histograms = analysis.record.histograms
    if axis.is_of_joins:
        merged = histograms.merged("join_latency")
    else:
        merged = histograms.merged("service_latency", phase=MEASURE)
    return round(float(merged.hdr.get_mean_value()) / NS_PER_MS, 6) if merged.count else None
