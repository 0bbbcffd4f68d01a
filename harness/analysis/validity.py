"""Whether a run's figures can be trusted, and what to do when they cannot.

A warning that invalidates says that the measurement, not the system, was at fault: whatever the
figures then say, the run is invalid.
"""

from typing import Any, Final

from harness.analysis.ledger import contradictions
from harness.analysis.record import Json, Record
from harness.analysis.slo import observe
from harness.analysis.summary import is_complete

_END_TOLERANCE_S: Final = 0.5
"""A run that ended this much before its plan did was not cut short."""

_GENERATOR_LIMITS: Final = (
    (
        "send_delay_p99_ms",
        "publishes.send_delay_ms.p99",
        "generator_send_delay",
        "the generator sent later than scheduled: use more workers or a lower publish rate",
    ),
    (
        "loop_lag_p99_ms",
        "generator.loop_lag_ms.p99",
        "generator_loop_lag",
        "the workers' event loops were overloaded: use more workers or fewer users",
    ),
    (
        "cpu_ratio",
        "generator.cpu_ratio_peak",
        "generator_cpu",
        "a worker used up its core: use more workers, or a machine with more cores",
    ),
)
"""Key in the workload's ``generator`` table, figure judged, warning code, hint."""


def find_warnings(record: Record, figures: Json) -> list[Json]:
    """Return all warnings about a run: those raised while it ran, then those found now."""
    return [
        *record.run.get("warnings", []),
        *_cut_short(record),
        *_saturation(record, figures),
        *_incomplete(record),
        *_disagreement(record),
        *_clock(record),
        *_unsent(figures),
    ]


def invalidates(warning: Json) -> bool:
    """Say whether a warning makes the run invalid."""
    return bool(warning.get("invalidates", False))


def saturates(warning: Json) -> bool:
    """Say whether a warning is that the load generator itself did not keep up."""
    return warning["code"] in {code for _, _, code, _ in _GENERATOR_LIMITS}


def warning(code: str, observed: Any, limit: Any, hint: str, *, invalid: bool = True) -> Json:
    """Build a warning: what was observed, what it should have been, what to do."""
    return {
        "code": code,
        "observed": observed,
        "limit": limit,
        "hint": hint,
        "invalidates": invalid,
    }


def _saturation(record: Record, figures: Json) -> list[Json]:
    limits = record.workload.get("generator", {})
    found = []
    for key, metric, code, hint in _GENERATOR_LIMITS:
        observed, limit = observe(figures, metric), limits.get(key)
        if observed is not None and limit is not None and observed > limit:
            found.append(warning(code, observed, limit, hint))
    return found


def _cut_short(record: Record) -> list[Json]:
    status = record.run.get("status")
    planned_s = max((phase["end_s"] for phase in record.phases), default=0.0)
    whole = record.ended_s >= planned_s - _END_TOLERANCE_S
    if status == "completed" and whole:
        return []
    hints = {
        "running": "the run was killed, or is still going; what it wrote until then is shown",
        "interrupted": "the run was stopped by hand; let it finish to judge it",
        "aborted": "the run gave up early; see its cause",
    }
    hint = hints.get(str(status), "messages still on their way count as lost; let the drain end")
    # A target that lets nobody in ends the run early through no fault of the measurement.
    invalid = not unreachable(record.run)
    return [warning("run_cut_short", round(record.ended_s, 1), planned_s, hint, invalid=invalid)]


def unreachable(run: Json) -> bool:
    """Say whether the run ended because the target let nobody in."""
    return (run.get("cause") or {}).get("code") in {"nobody_joined", "target_unreachable"}


def _incomplete(record: Record) -> list[Json]:
    found = [
        warning("record_damaged", problem, None, "the rest of the record is shown as it is")
        for problem in record.problems
    ]
    if not is_complete(record):
        joined = int(record.timeline["joins_succeeded"].sum())
        on_record = int(record.connections["joined"].sum())
        hint = "connections are recorded when they close; what was owed to the others is unknown"
        found.append(warning("connections_missing", on_record, joined, hint))
    return found


def _disagreement(record: Record) -> list[Json]:
    if not is_complete(record):
        return []
    hint = "messages and connections were counted apart and must agree; please report this"
    return [
        warning("ledger_disagrees", found, None, hint)
        for found in contradictions(record.messages, record.connections)
    ]


def _clock(record: Record) -> list[Json]:
    negative = int(record.timeline["negative_count"].sum())
    too_long = int(record.timeline["out_of_range_count"].sum())
    found = []
    if negative:
        hint = "messages arrived before they were sent: synchronise the workers' clocks"
        found.append(warning("clock_unsound", negative, 0, hint))
    if too_long:
        hint = "latencies above one hour are counted here and missing from the percentiles"
        found.append(warning("latency_out_of_range", too_long, 0, hint))
    return found


def _unsent(figures: Json) -> list[Json]:
    publishes = figures["publishes"]
    missing = publishes["offered"] - publishes["sent"]
    if not missing:
        return []
    hint = "scheduled publishes whose chatter was not connected; the load was lighter than planned"
    return [
        warning("publishes_not_sent", publishes["sent"], publishes["offered"], hint, invalid=False)
    ]
