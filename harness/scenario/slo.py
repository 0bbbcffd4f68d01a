"""Service level objectives: a figure of a run and its limit, for the run or a part of it.

Workloads, studies and SLO files share the format.
"""

from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from harness.core.errors import did_you_mean
from harness.core.limits import OPERATORS
from harness.core.metric_types import STATISTICS
from harness.core.metrics import (
    METRICS,
    REQUEST_EXAMPLE,
    REQUEST_FIGURES,
    REQUEST_PATTERN,
    SUMMARY_METRICS,
    find_metric,
)
from harness.scenario.model import ScenarioModel, Seconds, broken_rule

_LIVE_LATENCIES: Final = (
    *("fan_out_latency_ms", "service_latency_ms"),
    *("publishes.latency_ms", "joins.latency_ms"),
)
_LIVE_COUNTS: Final = (
    *("joins.failed", "publishes.failed", "publishes.throttled", "deliveries.lost"),
    *("deliveries.duplicated", "deliveries.reordered", "deliveries.unexpected"),
)
_LIVE_RATIO: Final = "deliveries.ratio"
LIVE_METRICS: Final = (
    *(f"{block}.{one}" for block in _LIVE_LATENCIES for one in STATISTICS),
    *(*_LIVE_COUNTS, _LIVE_RATIO),
)
"""Figures that are known while a run is going on; the counts among them only grow."""


def _narrowed_where_kept_apart() -> dict[str, Any]:
    """Return what tells editors which figures may be narrowed down, and by what."""
    allowed = {
        key: [metric for metric in SUMMARY_METRICS if key in METRICS[metric].scope.narrowed_by]
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
        json_schema_extra={
            "anyOf": [{"enum": list(SUMMARY_METRICS)}, {"pattern": REQUEST_PATTERN}]
        },
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
        found = find_metric(metric)
        if found is None:
            if metric.startswith("requests."):
                raise broken_rule(
                    f"must be requests.NAME and one of {', '.join(REQUEST_FIGURES)}",
                    hint=f"for example {REQUEST_EXAMPLE}",
                )
            raise broken_rule(
                "must be a figure of the run's summary",
                hint=did_you_mean(metric, SUMMARY_METRICS)
                or "for example fan_out_latency_ms.p99 or deliveries.ratio",
            )
        return found.name

    @field_validator("limit")
    @classmethod
    def _limit_can_be_met(cls, limit: float, info: ValidationInfo) -> float:
        # A peak of the generator's may be above 1: a process can use more than one core.
        is_ratio = info.data.get("metric", "").endswith("ratio")
        if is_ratio and not 0 <= limit <= 1:
            raise broken_rule(
                "must be between 0 and 1, because the metric is a ratio",
                hint="for 99.9 % write limit = 0.999",
            )
        return limit

    @model_validator(mode="after")
    def _record_keeps_it_apart(self) -> Self:
        metric = find_metric(self.metric)
        narrowed_by = metric.scope.narrowed_by if metric else ()
        for key in ("phase", "user_class"):
            if getattr(self, key) is not None and key not in narrowed_by:
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


class RunSlo(Slo):
    """One objective: ``metric op limit`` holds, or the run fails; ``abort`` stops it as well."""

    abort: bool = Field(
        default=False,
        description="Stop the run in order as soon as the figure so far fails the limit. Only for "
        "figures that are known during a run; not with phase or user_class.",
    )
    abort_after_s: Seconds = Field(
        default=10.0,
        ge=0,
        description="Seconds from the start of measuring before abort may stop the run.",
    )

    @model_validator(mode="after")
    def _is_known_while_running(self) -> Self:
        if not self.abort:
            return self
        if self.metric not in LIVE_METRICS:
            raise broken_rule(
                f"must be left out for {self.metric}, which is not known while the run goes on",
                hint=f"an SLO can stop a run on {', '.join(_LIVE_LATENCIES)}, each with "
                f"{', '.join(STATISTICS)}; {_LIVE_RATIO}; {', '.join(_LIVE_COUNTS)}",
                key="abort",
            )
        if self.metric in _LIVE_COUNTS and self.op in {">", ">="}:
            rule = "must be left out for a lower limit of a count, which is reached during the run"
            raise broken_rule(rule, hint="use <=, < or ==", key="abort")
        if self.phase or self.user_class:
            rule = "must be left out with phase or user_class"
            hint = "an SLO stops a run on the figure of all users, measured so far"
            raise broken_rule(rule, hint=hint, key="abort")
        return self

    def fails_at(self, observed: float) -> bool:
        """Return whether the figure so far fails the limit; a count may still grow to it."""
        grows = self.op == "==" and self.metric in _LIVE_COUNTS
        return observed > self.limit if grows else not OPERATORS[self.op](observed, self.limit)
