"""Service level objectives: which figure of a run must keep which limit, and of which part of it.

A workload, a study and a file of SLOs by itself write them alike.
"""

from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from harness.scenario.model import ScenarioModel, broken_rule
from harness.scenario.request_metrics import (
    EXAMPLE,
    PATTERN,
    PREFIX,
    REQUEST_FIGURES,
    request_path,
)
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
_WAITING = (
    *("p50", "p99", "max"),
    *("over_1s_ratio", "over_10s_ratio", "over_60s_ratio", "over_120s_ratio"),
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
        "unexpected",
        "ratio",
        "per_s_peak",
        "per_s_mean",
        "missed_before_measuring",
        "missed_while_away",
    ),
    "stall_s": _WAITING,
    "first_message_s": _WAITING,
    "recovery_s": ("max",),
    "cost": ("usd_run", "usd_day_at_reference"),
    "generator": (
        "workers",
        "cpu_ratio_peak",
        "cpu_wait_ratio_peak",
        "machine_others_ratio_peak",
        "receive_delay_growth_ms",
        "receive_backlog_peak",
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

RENAMED_METRICS: Final = {"deliveries.unowed": "deliveries.unexpected"}
"""Earlier names of figures, which are still read, and their names now."""

_BOTH: Final = frozenset({"phase", "user_class"})
_BY_PHASE: Final = frozenset({"phase"})

PARTS: Final = {
    "fan_out_latency_ms": _BOTH,
    "service_latency_ms": _BOTH,
    "receive_delay_ms": _BOTH,
    "publishes.latency_ms": _BOTH,
    "publishes.send_delay_ms": _BOTH,
    "joins.latency_ms": _BOTH,
    "joins.attempted": _BOTH,
    "joins.succeeded": _BOTH,
    "joins.failed": _BOTH,
    "deliveries.owed": _BY_PHASE,
    "deliveries.received": _BY_PHASE,
    "deliveries.lost": _BY_PHASE,
    "deliveries.duplicated": _BY_PHASE,
    "deliveries.reordered": _BY_PHASE,
    "deliveries.late": _BY_PHASE,
    "deliveries.unexpected": _BY_PHASE,
    "deliveries.ratio": _BY_PHASE,
    "stall_s": frozenset({"user_class"}),
    "first_message_s": frozenset({"user_class"}),
}
"""What a run record keeps apart, and by what: a figure, or all figures of a block."""


def current_name(metric: str) -> str:
    """Return the name that a figure has now; it may have had another."""
    return RENAMED_METRICS.get(metric, metric)


def is_metric(metric: str) -> bool:
    """Say whether a run's summary can have a figure at a dotted path."""
    return current_name(metric) in SUMMARY_METRICS or request_path(metric) is not None


def parts_of(metric: str) -> frozenset[str]:
    """Return the keys by which an SLO on a figure may be narrowed down: phase, user_class."""
    return PARTS.get(metric, PARTS.get(metric.rpartition(".")[0], frozenset()))


def _narrowed_where_kept_apart() -> dict[str, Any]:
    """Return what tells editors which figures may be narrowed down, and by what."""
    allowed = {
        key: [metric for metric in SUMMARY_METRICS if key in parts_of(metric)]
        for key in ("phase", "user_class")
    }
    return {
        "dependentSchemas": {
            key: {"properties": {"metric": {"enum": metrics}}} for key, metrics in allowed.items()
        }
    }


class Slo(ScenarioModel):
    """One objective: ``metric op limit`` holds, or the run fails."""

    model_config = ConfigDict(json_schema_extra=_narrowed_where_kept_apart())

    metric: str = Field(
        description="Figure of the run's summary, as a dotted path.",
        json_schema_extra={"anyOf": [{"enum": list(SUMMARY_METRICS)}, {"pattern": PATTERN}]},
    )
    op: Literal["<=", "<", ">=", ">", "=="] = Field(
        description="How the figure observed must compare with the limit."
    )
    limit: float = Field(description="The limit, in the unit that the metric's name ends with.")
    phase: Literal["join", "settle", "warm_up", "measure", "drain"] | None = Field(
        default=None,
        description="The phase it is about; without it, what the run's summary is about.",
    )
    user_class: Literal["subscriber", "chatter"] | None = Field(
        default=None, description="The kind of user it is about; without it, all of them."
    )

    @field_validator("metric")
    @classmethod
    def _metric_exists(cls, metric: str) -> str:
        metric = current_name(metric)
        if metric.startswith(PREFIX) and request_path(metric) is None:
            raise broken_rule(
                f"must be requests.NAME and one of {', '.join(REQUEST_FIGURES)}",
                hint=f"for example {EXAMPLE}",
            )
        if not is_metric(metric):
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

    @model_validator(mode="after")
    def _record_keeps_it_apart(self) -> Self:
        for key in ("phase", "user_class"):
            if getattr(self, key) is not None and key not in parts_of(self.metric):
                raise broken_rule(
                    f"must not be given for {self.metric}",
                    hint=f"a run record does not keep {self.metric} apart by {key}",
                    key=key,
                )
        return self

    def __str__(self) -> str:
        parts = [part for part in (self.user_class, self.phase) if part]
        narrowed = f" ({', '.join(parts)})" if parts else ""
        return f"{self.metric} {self.op} {self.limit:g}{narrowed}"
