"""The summary of a run: every figure a person or a pipeline asks for, under stable names.

A figure that was not measured is None, never 0. Deliveries, publishes and latencies are about the
messages meant for the measure phase; joins and the population are about the whole run.
"""

from typing import Any, Final

import numpy as np
import pandas as pd

from harness.analysis.run.cost import cost_of
from harness.analysis.run.disturbances import longest_recovery_s, outcomes
from harness.analysis.run.failed_joins import failed_by_cause
from harness.analysis.run.first_message import first_message_waits_s
from harness.analysis.run.generator import generator_figures
from harness.analysis.run.histograms import latency_ms
from harness.analysis.run.ledger import stalls_s
from harness.analysis.run.record import MEASURE, Json, Record, before_measuring, measured
from harness.analysis.run.requests import request_figures
from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.measure.histogram import LatencyHistogram
from harness.measure.record_schema import DELIVERY_COUNTS

SUBSCRIBER: Final = "subscriber"
CHATTER: Final = "chatter"

STALL_LIMITS_S: Final = (1, 10, 60, 120)
"""A subscriber notices one second, doubts at ten, and has left by one or two minutes."""


_UNKNOWN_WHEN_CUT: Final = (
    *("lost", "duplicated", "reordered", "late", "unexpected", "ratio"),
    "missed_before_measuring",
    "missed_while_away",
)

_KNOWN_FROM: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "timeline": {
        "population": ("subscribers_peak", "chatters_peak", "pollers_peak"),
        "joins": ("attempted", "succeeded", "failed", "per_s_peak"),
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
    histograms = record.histograms
    disturbed = outcomes(record)
    found: Json = {
        "population": _population(record),
        "joins": _joins(record),
        "publishes": _publishes(record),
        "deliveries": _deliveries(record),
        "fan_out_latency_ms": latency_ms(histograms.merged("fan_out_latency", phase=MEASURE)),
        "service_latency_ms": latency_ms(histograms.merged("service_latency", phase=MEASURE)),
        "receive_delay_ms": latency_ms(histograms.merged("receive_delay", phase=MEASURE)),
        "completion_latency_ms": _completion_latency_ms(measured(record.messages)),
        "stall_s": stall_s(record.connections),
        "first_message_s": first_message_s(record.connections, record.messages),
        "requests": request_figures(record),
        "recovery_s": {"max": longest_recovery_s(disturbed)},
        "generator": generator_figures(record),
        "cost": cost_of(record),
        "disturbances": disturbed,
    }
    for table in record.lost & _KNOWN_FROM.keys():
        for block, names in _KNOWN_FROM[table].items():
            found[block] |= dict.fromkeys(names)
    return found


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
    timeline = record.timeline
    per_second = timeline.groupby("second")["joins_succeeded"].sum()
    return {
        "attempted": int(timeline["joins_attempted"].sum()),
        "succeeded": int(timeline["joins_succeeded"].sum()),
        "failed": int(timeline["joins_failed"].sum()),
        "failed_by_cause": failed_by_cause(record.errors),
        "per_s_peak": _maximum(per_second),
        "latency_ms": latency_ms(record.histograms.merged("join_latency")),
    }


def _publishes(record: Record) -> Json:
    messages = measured(record.messages)
    outcomes = messages["outcome"].value_counts()
    return {
        "offered": len(messages),
        "sent": int(messages["sent_ns"].notna().sum()),
        "acknowledged": int(outcomes.get("acknowledged", 0)),
        "failed": int(outcomes.get("refused", 0)) + int(outcomes.get("unanswered", 0)),
        "throttled": int(outcomes.get("throttled", 0)),
        "latency_ms": latency_ms(record.histograms.merged("publish_latency", phase=MEASURE)),
        "send_delay_ms": latency_ms(record.histograms.merged("send_delay", phase=MEASURE)),
    }


def _deliveries(record: Record) -> Json:
    timeline = measured(record.timeline)
    per_second = timeline.groupby("second")["deliveries"].sum()
    seconds = record.measured_s()
    return {
        **_ledger(record),
        "per_s_peak": _maximum(per_second),
        "per_s_mean": round(int(per_second.sum()) / seconds, 3) if seconds else None,
    }


def _ledger(record: Record) -> Json:
    """Return the sums over measured messages; what was owed is unknown in a cut record."""
    messages = measured(record.messages)
    total = messages[["owed", "lost", *DELIVERY_COUNTS]].sum()
    owed, delivered = int(total["owed"]), int(total["delivered"])
    if not record.is_complete:
        received = int(measured(record.timeline)["deliveries"].sum())
        return {"owed": None, "received": received, **dict.fromkeys(_UNKNOWN_WHEN_CUT)}
    return {
        "owed": owed,
        "received": delivered,
        "lost": int(total["lost"]),
        "duplicated": int(total["duplicated"]),
        "reordered": int(total["reordered"]),
        "late": int(total["late"]),
        "unexpected": int(total["unexpected"]),
        "ratio": delivered / owed if owed else None,
        "missed_before_measuring": int(before_measuring(record.messages)["lost"].sum()),
        "missed_while_away": int(record.connections["missed_while_away"].sum()),
    }


def _completion_latency_ms(messages: pd.DataFrame) -> Json:
    """Percentiles over the messages that reached everyone they were owed to."""
    complete = messages[(messages["owed"] > 0) & (messages["lost"] == 0)]
    complete = complete[complete["last_arrival_ns"].notna()]
    return latency_ms(_histogram(complete["last_arrival_ns"] - complete["intended_ns"]))


def stall_s(connections: pd.DataFrame) -> Json:
    """Percentiles over the subscribers that were owed anything, and how many waited too long."""
    return _waiting(stalls_s(connections))


def first_message_s(connections: pd.DataFrame, messages: pd.DataFrame) -> Json:
    """The same of how long users waited for their first message, whether they were in or not."""
    return _waiting(first_message_waits_s(connections, messages))


def _waiting(waits_s: "pd.Series[float]") -> Json:
    in_ms = _histogram((waits_s * NS_PER_S).round()).percentiles_ms()
    to_s = NS_PER_MS / NS_PER_S
    percentiles = {
        name: None if (value := in_ms[name]) is None else round(value * to_s, 6)
        for name in ("p50", "p99", "max")
    }
    shares = {
        f"over_{limit}s_ratio": float((waits_s > limit).mean()) if len(waits_s) else None
        for limit in STALL_LIMITS_S
    }
    return percentiles | shares


def _histogram(values_ns: "pd.Series[Any]") -> LatencyHistogram:
    histogram = LatencyHistogram()
    histogram.record_many(np.asarray(values_ns, dtype=np.int64))
    return histogram


def _maximum(per_second: "pd.Series[Any]") -> int | None:
    return int(per_second.max()) if len(per_second) else None
