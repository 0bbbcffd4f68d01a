"""Tables of disturbances, the slowest messages and the slowest subscribers."""

from typing import Any, Final

import pandas as pd

from harness.analysis.run.disturbances import objectives_on_p99
from harness.analysis.run.record import Json, Record
from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.measure.record import CHANNELS_APART
from harness.measure.record_schema import REACHED
from harness.report import formatting as q
from harness.report.clocks import latency
from harness.report.glossary import capital
from harness.report.table_cells import Table, table_of

_EXPLAINED: Final = (
    *("", "", "time", "time", "fan_out_latency_ms", "errors.count", "deliveries.lost"),
    "recovery_s",
)

_MOST_ROWS: Final = 10


def disturbed(summary: Json) -> Table:
    """Return the disturbances with their effects, numbered as in the charts."""
    has_objective = bool(objectives_on_p99(summary["slos"]))
    rows = [
        {
            "Disturbance": f"{number} {one['name']}",
            "Kind": capital(str(one["kind"]).replace("_", " ")),
            "From": q.seconds(one["start_s"]),
            "Length": q.seconds(round(one["end_s"] - one["start_s"], 1)),
            "Worst p99": q.milliseconds(one["fan_out_p99_ms_peak"]),
            "Disconnects": q.count(one["disconnects"]),
            "Lost": q.count(one["lost"]),
            "Recovery": _recovery(one["recovery_s"], has_objective=has_objective),
        }
        for number, one in enumerate(summary["disturbances"], 1)
    ]
    note = (
        "Effects count until the next disturbance begins. Recovery is the time from the end of the "
        "disturbance until fan-out p99 is within its objective for five seconds with deliveries."
    )
    if not has_objective:
        note += " Without an objective on fan-out p99, recovery is undefined."
    return table_of("disturbances", "Disturbances", note, rows, texts=2, meanings=_EXPLAINED)


def _recovery(recovery_s: float | None, *, has_objective: bool) -> str:
    if recovery_s is None:
        return "not reached" if has_objective else q.MISSING
    return q.seconds(round(recovery_s, 1)) if recovery_s else "immediate"


def slowest_messages(record: Record, summary: Json) -> Table:
    """Return the messages with the longest completion latency."""
    messages = record.messages[record.messages["last_arrival_ns"].notna()]
    waited_ns = (messages["last_arrival_ns"] - messages["intended_ns"]).sort_values(ascending=False)
    slowest = waited_ns.index[:_MOST_ROWS]
    rows = [_message_row(messages.loc[place], record, summary) for place in slowest]
    note = (
        f"From the intended send time until the last subscriber, 99{q.THIN}%, half and the first "
        "of the subscribers had the message."
    )
    meanings = (
        *("", "", "time", "completion_latency_ms", *["fan_out_latency_ms"] * 3),
        *("deliveries.owed", "deliveries.lost"),
    )
    title = "Slowest messages"
    return table_of("slowest-messages", title, note, rows, texts=2, meanings=meanings)


def slowest_subscribers(record: Record) -> Table:
    """Return the subscribers with the longest stalls, all connections of each together."""
    connections = record.connections[record.connections["stall_s"].notna()]
    totals = connections.groupby(["user_class", "user"]).agg(
        stall_s=("stall_s", "max"),
        connections=("connection", "size"),
        owed=("owed", "sum"),
        lost=("lost", "sum"),
        channel=("channel", "first"),
    )
    worst = totals.nlargest(_MOST_ROWS, "stall_s").reset_index()
    rows = [
        {
            "Subscriber": f"{row['user_class']} {row['user']:,}",
            "Channel": _channels(str(row["channel"])),
            "Longest stall": q.seconds(row["stall_s"]),
            **{capital(name): q.count(row[name]) for name in ("connections", "owed", "lost")},
        }
        for _, row in worst.iterrows()
    ]
    title = "Subscribers with the longest stalls"
    meanings = ("", "", "stall_s", "joins.succeeded", "deliveries.owed", "deliveries.lost")
    return table_of("slowest-subscribers", title, "", rows, texts=2, meanings=meanings)


def _channels(recorded: str) -> str:
    """Return the first of a connection's channels, and how many more there are."""
    first, *others = recorded.split(CHANNELS_APART)
    return f"{first} and {len(others)} more" if others else first


def _message_row(message: "pd.Series[Any]", record: Record, summary: Json) -> dict[str, str]:
    due_ns = int(message["intended_ns"])
    headings = ("Last", f"99{q.THIN}%", "Half", "First")
    return {
        "Message": f"{message['id']:,}",
        "Channel": str(message["channel"]),
        "Due": q.seconds(round((due_ns - record.epoch_ns) / NS_PER_S, 1)),
        **{
            heading: _after(message[name], due_ns, summary)
            for heading, name in zip(headings, reversed(REACHED), strict=True)
        },
        "Owed": q.count(message["owed"]),
        "Lost": q.count(message["lost"]),
    }


def _after(instant_ns: Any, due_ns: int, summary: Json) -> str:
    if pd.isna(instant_ns):
        return q.MISSING
    return latency("fan_out_latency_ms", (instant_ns - due_ns) / NS_PER_MS, summary)
