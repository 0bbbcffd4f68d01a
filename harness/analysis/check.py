"""Judging a finished run by other objectives than its own, per phase and kind of user if asked.

Nothing is measured again and nothing is written: everything comes from the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from harness.analysis.columns import COUNTS
from harness.analysis.finalise import Analysis
from harness.analysis.histograms import latency_ms
from harness.analysis.record import MEASURE, Json, Record
from harness.analysis.slo import judge, margin
from harness.analysis.summary import stall_s
from harness.analysis.verdict import decide, exit_code

JSON_VERSION: Final = 1
"""Of what ``verdict_json`` returns; a name that goes, or means something else, raises it."""

_HISTOGRAMS: Final = {
    "fan_out_latency_ms": "fan_out_latency",
    "service_latency_ms": "service_latency",
    "receive_delay_ms": "receive_delay",
    "publishes.latency_ms": "publish_latency",
    "publishes.send_delay_ms": "send_delay",
    "joins.latency_ms": "join_latency",
}
"""The log's metric behind each block of latencies in the summary."""

_WHOLE_RUN: Final = {"joins.latency_ms"}
"""Latencies that the summary has for all phases and not for the measured one alone."""


def judge_again(analysis: Analysis, slos: Sequence[Mapping[str, Any]]) -> Analysis:
    """Return a run's analysis with its verdict by other objectives.

    Args:
        analysis: The run.
        slos: Each with metric, op and limit, and perhaps phase and user_class.
    """
    judged = [_judge(analysis, slo) for slo in slos]
    record, summary = analysis.record, analysis.summary
    verdict = decide(record.run, judged, summary["warnings"])
    changes = {"verdict": verdict, "exit_code": exit_code(record.run, verdict), "slos": judged}
    return replace(analysis, summary=summary | changes)


def verdict_json(analysis: Analysis) -> Json:
    """Return a verdict as plain data under stable names."""
    run, summary = analysis.record.run, analysis.summary
    return {
        "version": JSON_VERSION,
        "run_id": run.get("run_id"),
        "workload": analysis.record.workload.get("name"),
        "target": analysis.record.target.get("name"),
        "verdict": summary["verdict"],
        "exit_code": summary["exit_code"],
        "slos": [
            {"phase": None, "user_class": None, **slo, "margin": margin(slo)}
            for slo in summary["slos"]
        ],
        "warnings": summary["warnings"],
    }


def _judge(analysis: Analysis, slo: Mapping[str, Any]) -> Json:
    scope = {key: slo[key] for key in ("phase", "user_class") if slo.get(key) is not None}
    if not scope:
        return judge(slo, analysis.summary)
    *blocks, _figure = slo["metric"].split(".")
    found: Json = _figures(analysis.record, ".".join(blocks), **scope)
    for block in reversed(blocks):
        found = {block: found}
    return judge(slo, found) | scope


def _figures(
    record: Record, block: str, *, phase: str | None = None, user_class: str | None = None
) -> Json:
    """Return one block of the summary's figures, of one phase or one kind of user."""
    if block in _HISTOGRAMS:
        of_phase = phase or (None if block in _WHOLE_RUN else MEASURE)
        histograms = record.histograms
        return latency_ms(
            histograms.merged(_HISTOGRAMS[block], user_class=user_class, phase=of_phase)
        )
    if block == "joins":
        return _joins(record.timeline, phase, user_class)
    if block == "deliveries":
        return _deliveries(record, phase)
    return stall_s(_only(record.connections, "user_class", user_class))


def _joins(timeline: pd.DataFrame, phase: str | None, user_class: str | None) -> Json:
    rows = _only(_only(timeline, "phase", phase), "user_class", user_class)
    if rows.empty:
        return {}
    return {name: int(rows[f"joins_{name}"].sum()) for name in ("attempted", "succeeded", "failed")}


def _deliveries(record: Record, phase: str | None) -> Json:
    """Sum over the messages due in a phase; nothing where what was owed is unknown."""
    rows = _only(record.messages, "phase", phase)
    if rows.empty or not record.is_complete:
        return {}
    total = rows[["owed", "lost", *COUNTS]].sum()
    owed, received = int(total["owed"]), int(total["delivered"])
    names = ("lost", "duplicated", "reordered", "late", "unowed")
    return {
        "owed": owed,
        "received": received,
        **{name: int(total[name]) for name in names},
        "ratio": received / owed if owed else None,
    }


def _only(frame: pd.DataFrame, column: str, value: str | None) -> pd.DataFrame:
    return frame if value is None else frame[(frame[column] == value).to_numpy(bool)]
