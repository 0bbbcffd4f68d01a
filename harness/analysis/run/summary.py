"""The summary of a run: all figures of a run, under stable names.

A figure that was not measured is None, never 0. Deliveries, publishes and latencies are about the
messages meant for the measure phase; joins and the population are about the whole run. What each
figure means stands in ``harness.core.metrics``.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from harness.analysis.run.cost import cost_of
from harness.analysis.run.disturbances import longest_recovery_s, outcomes
from harness.analysis.run.generator import generator_figures
from harness.analysis.run.histograms import latency_ms
from harness.analysis.run.record import Json, Record, before_measuring, measured
from harness.analysis.run.slo import judge, part_of
from harness.analysis.run.waits import first_message_s, stall_s
from harness.core.metric_types import CHATTER, MEASURE, SUBSCRIBER
from harness.core.metrics import AGGREGATED, LATENCIES
from harness.measure.failure_causes import CAUSES, cause_of
from harness.measure.histogram import LatencyHistogram
from harness.measure.record import REQUEST_LATENCY, request_tag
from harness.measure.record_schema import DELIVERY_COUNTS, IRREGULAR_COUNTS

_OF_DELIVERIES: Final = ("fan_out_latency_ms", "service_latency_ms", "receive_delay_ms")
_JOIN_COUNTS: Final = ("attempted", "succeeded", "failed")

_KNOWN_FROM: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "timeline": {
        "population": ("subscribers_peak", "chatters_peak", "pollers_peak"),
        "joins": (*_JOIN_COUNTS, "per_s_peak"),
        "deliveries": ("received", "per_s_peak", "per_s_mean"),
    },
    "messages": {
        "population": ("unique_chatters_sent",),
        "publishes": ("offered", "sent", "acknowledged", "failed", "throttled"),
    },
}
"""Counts that are unknown, and not 0, where nothing of a table could be read."""


def figures(record: Record) -> Json:
    """Return all figures of a run, without the judgement on them."""
    disturbed = outcomes(record)
    found: Json = {
        "population": _population(record),
        "joins": _joins(record),
        "publishes": _publishes(record),
        "deliveries": _deliveries(record),
        **{block: record.histograms.block_ms(block) for block in _OF_DELIVERIES},
        "completion_latency_ms": _completion_latency_ms(measured(record.messages)),
        "stall_s": stall_s(record.connections),
        "first_message_s": first_message_s(
            record.connections, record.messages, owed_own=record.owed_own
        ),
        "requests": _requests(record),
        "recovery_s": {"max": longest_recovery_s(disturbed)},
        "generator": generator_figures(record),
        "cost": cost_of(record),
        "disturbances": disturbed,
    }
    for table in record.lost & _KNOWN_FROM.keys():
        for block, names in _KNOWN_FROM[table].items():
            found[block] |= dict.fromkeys(names)
    return found


def judge_part(slo: Mapping[str, Any], record: Record, summary: Json) -> Json:
    """Return an SLO as ``judge`` does, of the phase and the kind of user that it names.

    Both are in the result where they are given. Where nothing narrows the SLO down, the whole run's
    figures in the summary are judged.
    """
    part = part_of(slo)
    if not part:
        return judge(slo, summary)
    *blocks, _figure = slo["metric"].split(".")
    found = _figures_of_part(record, ".".join(blocks), **part)
    for block in reversed(blocks):
        found = {block: found}
    # How well the clocks agree is known of the whole run alone.
    return judge(slo, {"generator": summary["generator"]} | found)


def failed_joins(errors: pd.DataFrame) -> pd.DataFrame:
    """Return how many joins failed, a row a cause and a column a stage; only what occurred."""
    joins = errors[(errors["error_class"] == "JoinError").to_numpy(dtype=bool, na_value=False)]
    joins = joins.fillna({"code": "", "stage": ""})
    causes = [cause_of(*pair) for pair in zip(joins["stage"], joins["code"], strict=True)]
    counts = joins.assign(cause=pd.Categorical(causes, CAUSES)).pivot_table(
        index="cause", columns="stage", values="count", aggfunc="sum", fill_value=0, observed=True
    )
    return counts.astype("int64")


def _figures_of_part(
    record: Record, block: str, *, phase: str | None = None, user_class: str | None = None
) -> Json:
    """Return one block of the summary's figures, of one phase or one kind of user."""
    if block in LATENCIES:
        return record.histograms.block_ms(block, phase=phase, user_class=user_class)
    if block == "joins":
        rows = _only(_only(record.timeline, "phase", phase), "user_class", user_class)
        return {} if rows.empty else _join_counts(rows)
    if block == "deliveries":
        rows = _only(record.messages, "phase", phase)
        # In a record that was cut short, what was owed is unknown.
        return {} if rows.empty or not record.is_complete else _delivery_counts(rows)
    connections = _only(record.connections, "user_class", user_class)
    if block == "first_message_s":
        return first_message_s(connections, record.messages, owed_own=record.owed_own)
    return stall_s(connections)


def _only(frame: pd.DataFrame, column: str, value: str | None) -> pd.DataFrame:
    return frame if value is None else frame[(frame[column] == value).to_numpy(bool)]


def _population(record: Record) -> Json:
    connected = record.timeline.groupby("user_class")["connected"].max()
    pollers = record.timeline[record.timeline["user_class"].isin(record.polling_classes)]
    polling = pollers.groupby("second")["connected"].sum()
    measured_messages = measured(record.messages)
    sent = measured_messages[measured_messages["sent_ns"].notna()]
    return {
        "subscribers_peak": int(connected.get(SUBSCRIBER, 0)),
        "chatters_peak": int(connected.get(CHATTER, 0)),
        "pollers_peak": _maximum(polling) or 0,
        "unique_chatters_sent": int(sent["chatter"].nunique()),
    }


def _joins(record: Record) -> Json:
    per_second = record.timeline.groupby("second")["joins_succeeded"].sum()
    by_cause = failed_joins(record.errors).sum(axis=1)
    return {
        **_join_counts(record.timeline),
        "failed_by_cause": {cause: int(by_cause.get(cause, 0)) for cause in CAUSES},
        "per_s_peak": _maximum(per_second),
        "latency_ms": record.histograms.block_ms("joins.latency_ms"),
    }


def _join_counts(timeline: pd.DataFrame) -> Json:
    return {name: int(timeline[f"joins_{name}"].sum()) for name in _JOIN_COUNTS}


def _publishes(record: Record) -> Json:
    messages = measured(record.messages)
    outcomes = messages["outcome"].value_counts()
    return {
        "offered": len(messages),
        "sent": int(messages["sent_ns"].notna().sum()),
        "acknowledged": int(outcomes.get("acknowledged", 0)),
        "failed": int(outcomes.get("refused", 0)) + int(outcomes.get("unanswered", 0)),
        "throttled": int(outcomes.get("throttled", 0)),
        "latency_ms": record.histograms.block_ms("publishes.latency_ms"),
        "send_delay_ms": record.histograms.block_ms("publishes.send_delay_ms"),
    }


def _recorded_sum(counts: "pd.Series[int]") -> int | None:
    """Return a sum over connections; None where the version that recorded them did not count."""
    return None if len(counts) and counts.isna().all() else int(counts.sum())


def _deliveries(record: Record) -> Json:
    """Return the sums over measured messages; what was owed is unknown in a cut record."""
    timeline = measured(record.timeline)
    per_second = timeline.groupby("second")["deliveries"].sum()
    seconds = record.measured_s()
    found = _delivery_counts(measured(record.messages)) | {
        "missed_before_measuring": int(before_measuring(record.messages)["lost"].sum()),
        "missed_while_away": int(record.connections["missed_while_away"].sum()),
        **{name: _recorded_sum(record.connections[name]) for name in IRREGULAR_COUNTS},
    }
    if not record.is_complete:
        found = dict.fromkeys(found) | {"received": int(per_second.sum())}
    return {
        **found,
        "per_s_peak": _maximum(per_second),
        "per_s_mean": round(int(per_second.sum()) / seconds, 3) if seconds else None,
    }


def _delivery_counts(messages: pd.DataFrame) -> Json:
    total = messages[["owed", "lost", *DELIVERY_COUNTS]].sum()
    owed, received = int(total["owed"]), int(total["delivered"])
    return {
        "owed": owed,
        "received": received,
        **{name: int(total[name]) for name in ("lost", *DELIVERY_COUNTS) if name != "delivered"},
        "ratio": received / owed if owed else None,
    }


def _completion_latency_ms(messages: pd.DataFrame) -> Json:
    """Percentiles over the messages that reached everyone they were owed to."""
    complete = messages[(messages["owed"] > 0) & (messages["lost"] == 0)]
    complete = complete[complete["last_arrival_ns"].notna()]
    histogram = LatencyHistogram()
    waits_ns = complete["last_arrival_ns"] - complete["intended_ns"]
    histogram.record_many(np.asarray(waits_ns, dtype=np.int64))
    return latency_ms(histogram)


def _requests(record: Record) -> Json:
    """Return the figures of each kind of ordinary request, and of all together; empty for none."""
    requests = record.requests
    names = sorted(requests["name"].dropna().unique())
    if not names:
        return {}
    rows = measured(requests)
    of_each = {name: _of_request(record, rows[rows["name"] == name], name) for name in names}
    return of_each | {AGGREGATED: _of_request(record, rows, None)}


def _of_request(record: Record, rows: pd.DataFrame, name: str | None) -> Json:
    count, failures = int(rows["count"].sum()), int(rows["failures"].sum())
    seconds = record.measured_s()
    tag = None if name is None else request_tag(name)
    merged = record.histograms.merged(REQUEST_LATENCY, user_class=tag, phase=MEASURE)
    return {
        "count": count,
        "failures": failures,
        "failure_ratio": failures / count if count else None,
        "per_s": round(count / seconds, 3) if seconds else None,
        "bytes": int(rows["bytes"].sum()),
        "latency_ms": latency_ms(merged),
    }


def _maximum(per_second: "pd.Series[Any]") -> int | None:
    return int(per_second.max()) if len(per_second) else None
