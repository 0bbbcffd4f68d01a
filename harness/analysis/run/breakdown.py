"""Figures of one part of a run, a phase or a kind of user, under the names of the whole run's."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from harness.analysis.run.histograms import latency_ms
from harness.analysis.run.record import MEASURE, Json, Record
from harness.analysis.run.slo import judge
from harness.analysis.run.summary import first_message_s, stall_s
from harness.measure.record_schema import DELIVERY_COUNTS

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


def judge_part(slo: Mapping[str, Any], record: Record, summary: Json) -> Json:
    """Return an SLO as ``judge`` does, of the phase and the kind of user that it names.

    Args:
        slo: Has metric, op and limit, and perhaps phase and user_class; both are in the result
            where they are given.
        record: The run.
        summary: The whole run's figures; they are judged where nothing narrows the SLO down.
    """
    scope = {key: slo[key] for key in ("phase", "user_class") if slo.get(key) is not None}
    if not scope:
        return judge(slo, summary)
    *blocks, _figure = slo["metric"].split(".")
    found: Json = _figures(record, ".".join(blocks), **scope)
    for block in reversed(blocks):
        found = {block: found}
    # How well the clocks agree is known of the whole run alone.
    return judge(slo, {"generator": summary["generator"]} | found) | scope


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
    connections = _only(record.connections, "user_class", user_class)
    if block == "first_message_s":
        return first_message_s(connections, record.messages)
    return stall_s(connections)


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
    total = rows[["owed", "lost", *DELIVERY_COUNTS]].sum()
    owed, received = int(total["owed"]), int(total["delivered"])
    names = ("lost", "duplicated", "reordered", "late", "unexpected")
    return {
        "owed": owed,
        "received": received,
        **{name: int(total[name]) for name in names},
        "ratio": received / owed if owed else None,
    }


def _only(frame: pd.DataFrame, column: str, value: str | None) -> pd.DataFrame:
    return frame if value is None else frame[(frame[column] == value).to_numpy(bool)]
