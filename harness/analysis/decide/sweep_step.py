"""One step of a sweep: what its run measured, and whether the system held at that load."""

from dataclasses import asdict, dataclass
from typing import Final

from harness.analysis.decide.sweep_search import Answer, Trial
from harness.analysis.run.backlog import Backlog, find_backlog
from harness.analysis.run.clocks import error_of
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import MEASURE, Json
from harness.analysis.run.slo import scope_words
from harness.analysis.run.validity import invalidates
from harness.core.clock import NS_PER_MS
from harness.core.exit_codes import ExitCode
from harness.scenario.axes import Axis
from harness.scenario.workload import Workload

MS_PER_S: Final = 1000.0


@dataclass(frozen=True, slots=True)
class SweepStep:
    """A step of a sweep; what was not measured is None.

    Attributes:
        load: In the unit of the sweep's axis.
        answer: Whether the system held.
        reason: Why it did not, or why nothing is known, in words; empty where it held.
        run: Name of the run's folder inside the sweep's.
        verdict: The run's own.
        exit_code: The run's own.
        broken: Metrics of the objectives that failed or had no data, with their part of the run.
        warnings: Codes of the warnings that made the run invalid.
        offered_per_s: Deliveries a second that the schedule asked for: messages × listeners.
        achieved_per_s: Deliveries a second that arrived.
        joins_per_s: Joins a second that the schedule asked for.
        delivery_ratio: Delivered ÷ owed.
        fan_out_p50_ms: Median fan-out latency.
        fan_out_p99_ms: Its 99th percentile.
        fan_out_max_ms: Its longest.
        join_p99_ms: 99th percentile of the join latency.
        mean_ms: Mean time of a delivery in the system; along joins, of a join.
        growth_ms_per_s: By how much the latency grew each second; None where too few were seen.
        has_backlog: Whether that growth is one.
        clock_error_ms: How wrong the workers' clocks may make a fan-out latency; 0 for not at all.
    """

    load: float
    answer: Answer
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
        """What the search needs to know of it."""
        return Trial(self.load, self.answer)

    def to_json(self) -> Json:
        """Return it as plain data under stable names."""
        return asdict(self) | {"answer": str(self.answer)}


def judge_step(analysis: Analysis, workload: Workload, axis: Axis, load: float) -> SweepStep:
    """Return the step that a run was.

    Args:
        analysis: The run.
        workload: What it was asked to do.
        axis: What the sweep raises.
        load: How far it was raised.
    """
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


def _answer(summary: Json, backlog: Backlog | None) -> tuple[Answer, str]:
    """Return whether the system held, and why not."""
    code = summary["exit_code"]
    piled_up = backlog is not None and backlog.is_growing
    if code not in (ExitCode.PASS, ExitCode.SLO_FAILED, ExitCode.TARGET_UNREACHABLE):
        codes = [one["code"] for one in summary["warnings"] if invalidates(one)]
        return Answer.NONE, f"not measured: {', '.join(codes) or 'the run did not end'}"
    parts = ["no user could join"] if code == ExitCode.TARGET_UNREACHABLE else []
    if piled_up and backlog is not None:
        parts.append(f"backlog: latency grew by {backlog.growth_ms_per_s:.0f} ms each second")
    if broken := _broken(summary):
        parts.append(f"objective failed: {', '.join(broken)}")
    if not parts and code != ExitCode.PASS:
        parts.append("no data")
    return (Answer.BROKE if parts else Answer.HELD), "; ".join(parts)


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
