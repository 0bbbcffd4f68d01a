"""The figures of a run in progress, under the names of the run's summary.

Deliveries, publishes and latencies are about the messages meant for the measure phase, joins and
the population about the whole run, as in the summary; ``last_second`` is about all there was.
"""

from collections import Counter
from typing import Any

from harness.core.join_stages import JOIN_FAILURE_STAGES, JOIN_STAGES
from harness.core.metric_types import MEASURE
from harness.core.metrics import LATENCIES
from harness.live.run import LiveRun
from harness.measure.failure_causes import CAUSES, cause_of
from harness.measure.histogram import LatencyHistogram

MAX_ERRORS_SHOWN = 20
SHOWN = ("p50", "p99", "max")
"""The percentiles of the fan-out latency in the history."""

_PUBLISHES = ("offered", "sent", "acknowledged", "failed", "throttled")
_JOINS = ("attempted", "succeeded", "failed")


def snapshot(run: LiveRun) -> dict[str, Any]:
    """Return all current figures of a run as plain values."""
    return {
        **_progress(run),
        "population": _population(run),
        "last_second": _last_second(run),
        "joins": _joins(run),
        "publishes": _publishes(run),
        "deliveries": _deliveries(run),
        **{
            f"{name}_ms": latency_ms(run.histogram(name))
            for name in ("fan_out_latency", "service_latency", "receive_delay")
        },
        "generator": _generator(run),
        "errors": [
            {"stage": stage, "code": code, "message": message, "count": count}
            for (stage, code, message), count in run.errors.most_common(MAX_ERRORS_SHOWN)
        ],
        "disturbances": _disturbances(run),
        "warnings": list(run.warnings),
        "history": [
            {
                "second": past.number,
                **{f"fan_out_latency_ms_{name}": past.latency_ms.get(name) for name in SHOWN},
                "deliveries_offered": past.offered,
                "deliveries": past.deliveries,
            }
            for past in run.history
        ],
    }


def figure(run: LiveRun, metric: str) -> float | None:
    """Return one of ``harness.scenario.slo.LIVE_METRICS`` so far; None without data."""
    block, _, name = metric.rpartition(".")
    if block in LATENCIES:
        latency = LATENCIES[block]
        return run.histogram(latency.histogram, latency.phase).percentiles_ms()[name]
    if block == "joins":
        return sum(counts[f"joins_{name}"] for counts in run.counters.values())
    of_block = publish_counts(run.publishes[MEASURE]) if block == "publishes" else _deliveries(run)
    return of_block[name]


def latency_ms(histogram: LatencyHistogram | None) -> dict[str, float | None]:
    """Return the number of values and their percentiles, in milliseconds."""
    histogram = histogram or LatencyHistogram()
    rounded = {
        name: None if value is None else round(value, 6)
        for name, value in histogram.percentiles_ms().items()
    }
    return {"count": histogram.count, **rounded}


def _progress(run: LiveRun) -> dict[str, Any]:
    elapsed_s, total_s = run.elapsed_s, run.timetable.total_s
    over = run.state not in {"waiting", "running"}
    return {
        "run_id": run.run_id,
        "workload": run.plan.workload.name,
        "target": run.plan.target.name,
        "label": run.plan.label,
        "tags": run.plan.tags,
        "state": run.state,
        "phase": None if over else run.timetable.phase_at(elapsed_s),
        "second": run.last.number,
        "elapsed_s": round(elapsed_s, 1),
        "total_s": total_s,
        "left_s": 0.0 if over else round(max(total_s - elapsed_s, 0.0), 1),
        "cause": run.cause,
        "verdict": run.verdict,
        "exit_code": run.exit_code,
    }


def _population(run: LiveRun) -> dict[str, int]:
    population = run.plan.workload.population
    return {
        "subscribers": run.connected.get("subscriber", 0),
        "chatters": run.connected.get("chatter", 0),
        "subscribers_peak": run.peaks["subscriber"],
        "chatters_peak": run.peaks["chatter"],
        "subscribers_planned": population.subscribers,
        "chatters_planned": population.chatters,
    }


def _last_second(run: LiveRun) -> dict[str, Any]:
    counters, found = run.last.counters, run.last.histograms
    return {
        "deliveries": {
            "offered_per_s": run.last.deliveries_offered,
            "achieved_per_s": counters["deliveries"],
        },
        "joins": {name: counters[f"joins_{name}"] for name in _JOINS},
        "publishes": {name: counters[f"publishes_{name}"] for name in _PUBLISHES},
        "errors": counters["errors"],
        "disconnects": counters["disconnects"],
        **{
            f"{name}_ms": latency_ms(found.get(name))
            for name in ("fan_out_latency", "receive_delay", "send_delay", "loop_lag")
        },
    }


def _joins(run: LiveRun) -> dict[str, Any]:
    totals: Counter[str] = sum(run.counters.values(), Counter())
    failed: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for (stage, code, _), count in run.errors.items():
        if stage in JOIN_FAILURE_STAGES:
            failed[stage] += count
            causes[cause_of(stage, code)] += count
    return {
        **{name: totals[f"joins_{name}"] for name in _JOINS},
        "per_s_peak": run.joins_per_s_peak,
        "latency_ms": latency_ms(run.histogram("join_latency", phase=None)),
        "stages_ms": {
            stage: latency_ms(run.histogram(f"join_{stage}", phase=None)) for stage in JOIN_STAGES
        },
        "failed_by_stage": dict(failed),
        "failed_by_cause": {cause: causes[cause] for cause in CAUSES},
    }


def publish_counts(counts: Counter[str]) -> dict[str, int]:
    """Return the summary's counts of publishes from those of their outcomes."""
    return {
        "offered": counts["offered"],
        "sent": counts["sent"],
        "acknowledged": counts["acknowledged"],
        "failed": counts["refused"] + counts["unanswered"],
        "throttled": counts["throttled"],
    }


def _publishes(run: LiveRun) -> dict[str, Any]:
    return {
        **publish_counts(run.publishes[MEASURE]),
        "latency_ms": latency_ms(run.histogram("publish_latency")),
        "send_delay_ms": latency_ms(run.histogram("send_delay")),
    }


def _deliveries(run: LiveRun) -> dict[str, Any]:
    totals, rates = run.ledger.totals[MEASURE], run.deliveries_per_s
    return {
        "owed": totals["owed"],
        "received": totals["delivered"],
        "lost": run.ledger.lost(MEASURE),
        **{name: totals[name] for name in ("duplicated", "reordered", "late", "unexpected")},
        "ratio": totals["delivered"] / totals["owed"] if totals["owed"] else None,
        "per_s_peak": max(rates, default=None),
        "per_s_mean": round(sum(rates) / len(rates), 3) if rates else None,
    }


def _generator(run: LiveRun) -> dict[str, Any]:
    rows = list(run.health.values())

    def most(name: str) -> float | None:
        return max((row[name] for row in rows if row.get(name) is not None), default=None)

    return {
        "workers": run.workers,
        "workers_reporting": sum(row["second"] >= run.last.number - 1 for row in rows),
        "cpu_ratio": most("cpu_ratio"),
        "cpu_wait_ratio": most("cpu_wait_ratio"),
        "gc_pause_ms": most("gc_pause_ms_max"),
        "rss_bytes": sum(row.get("rss_bytes") or 0 for row in rows),
        "connections": sum(row.get("connections") or 0 for row in rows),
        "send_delay_ms": most("send_delay_ms_max"),
        "receive_backlog": most("receive_backlog"),
        "late_slots": sum(row.get("late_slots") or 0 for row in rows),
        "loop_lag_ms": latency_ms(run.histogram("loop_lag")),
    }


def _disturbances(run: LiveRun) -> list[dict[str, Any]]:
    now_s = run.elapsed_s
    return [
        {**row, "state": _state(row["start_s"], row["end_s"], now_s)} for row in run.disturbances
    ]


def _state(start_s: float | None, end_s: float, now_s: float) -> str:
    if start_s is None:
        return "not played"
    if now_s < start_s:
        return "to come"
    return "now" if now_s < end_s else "over"
