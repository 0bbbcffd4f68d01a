"""Service level objectives: which figure of a run's summary must keep which limit."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from harness.scenario.model import ScenarioModel, broken_rule
from harness.scenario.spelling import did_you_mean

_PERCENTILES = ("p50", "p90", "p99", "p999", "max")
_LATENCIES = (
    "joins.latency_ms",
    "publishes.latency_ms",
    "publishes.send_delay_ms",
    "fan_out_latency_ms",
    "service_latency_ms",
    "receive_delay_ms",
    "completion_latency_ms",
    "generator.loop_lag_ms",
)
_FIGURES = {
    "population": ("subscribers_peak", "chatters_peak", "pollers_peak", "unique_chatters_sent"),
    "joins": ("attempted", "succeeded", "failed", "per_s_peak"),
    "publishes": ("offered", "sent", "acknowledged", "failed", "throttled"),
    "deliveries": (
        "owed",
        "received",
        "lost",
        "duplicated",
        "reordered",
        "late",
        "unowed",
        "ratio",
        "per_s_peak",
        "per_s_mean",
        "missed_before_measuring",
        "missed_while_away",
    ),
    "stall_s": (
        *("p50", "p99", "max"),
        *("over_1s_ratio", "over_10s_ratio", "over_60s_ratio", "over_120s_ratio"),
    ),
    "recovery_s": ("max",),
    "cost": ("usd_run", "usd_day_at_reference"),
    "generator": (
        "workers",
        "cpu_ratio_peak",
        "cpu_wait_ratio_peak",
        "machine_others_ratio_peak",
        "receive_delay_growth_ms",
        "gc_pause_max_ms",
        "late_slots_ratio",
        "clock_step_max_ms",
        "unstamped_receives",
        "rss_bytes_peak",
        "clock_error_ms",
    ),
}

SUMMARY_METRICS: tuple[str, ...] = tuple(
    f"{table}.{figure}" for table, figures in _FIGURES.items() for figure in figures
) + tuple(f"{latency}.{percentile}" for latency in _LATENCIES for percentile in _PERCENTILES)
"""Dotted paths of every figure of a run's summary that an SLO may name."""


class Slo(ScenarioModel):
    """One objective: ``metric op limit`` holds, or the run fails."""

    metric: str = Field(
        description="Figure of the run's summary, as a dotted path.",
        json_schema_extra={"enum": list(SUMMARY_METRICS)},
    )
    op: Literal["<=", "<", ">=", ">", "=="] = Field(
        description="How the figure observed must compare with the limit."
    )
    limit: float = Field(description="The limit, in the unit that the metric's name ends with.")

    @field_validator("metric")
    @classmethod
    def _metric_exists(cls, metric: str) -> str:
        if metric not in SUMMARY_METRICS:
            raise broken_rule(
                "must be a figure of the run's summary",
                hint=did_you_mean(metric, SUMMARY_METRICS)
                or "for example fan_out_latency_ms.p99 or deliveries.ratio",
            )
        return metric

    @field_validator("limit")
    @classmethod
    def _limit_can_be_met(cls, limit: float, info: ValidationInfo) -> float:
        if info.data.get("metric", "").endswith("ratio") and not 0 <= limit <= 1:
            raise broken_rule(
                "must be between 0 and 1, because the metric is a ratio",
                hint="for 99.9 % write limit = 0.999",
            )
        return limit

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.limit:g}"
