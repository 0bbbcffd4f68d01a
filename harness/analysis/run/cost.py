"""What a run used, what that costs, and what a day at the reference load would.

What a run used is counted over the whole run. Where the emulator kept a bill of its own, that bill
is the truth about connections, subscriptions and handler calls.
"""

from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from harness.analysis.run.ledger import subscriptions
from harness.analysis.run.record import Json, Record, emulator_stats, measured
from harness.core.clock import NS_PER_S
from harness.core.pricing import Day, Events, Usage, economics_of, total_usd, usage_on
from harness.scenario.target import client_model

REFERENCE: Final = Day()
"""30,000 connected, 25,000 messages a day: the reference load."""

_COPIES: Final = ("delivered", "duplicated", "late", "unexpected")
"""What subscribers got of a message: a service bills what it sends, not what was owed."""


def cost_of(record: Record) -> Json:
    """Return what a run used by kind, what it costs at list prices, and a day at the reference.

    Returns:
        ``operations`` by kind, ``usd_run`` and ``usd_day_at_reference``; None where the system has
        no price list, or the record lacks what it takes.
    """
    system = economics_of(str(record.target.get("system")))
    if system is None or not record.is_complete:
        return {"operations": {}, "usd_run": None, "usd_day_at_reference": None}
    lines = system.bill(usage_of(record))
    day = day_like(record)
    at_reference = None if day is None else total_usd(system.bill(usage_on(system, day)))
    return {
        "operations": {line.name: round(line.quantity, 6) for line in lines if line.counts()},
        "usd_run": round(total_usd(lines), 6),
        "usd_day_at_reference": None if at_reference is None else round(at_reference, 2),
    }


@dataclass(frozen=True)
class RunCost:
    """What one run used by kind and cost, beside what its emulator would have billed, if any."""

    folder: str
    system: str
    operations: Json
    billed: Json
    usd_run: float | None
    usd_day_at_reference: float | None
    problems: tuple[str, ...] = ()


def run_cost(record: Record) -> RunCost:
    """Return what a run cost, with the emulator's bill beside it."""
    folder, system = str(record.folder), str(record.target.get("system", "an unknown system"))
    billed, problems = _emulators_bill(record), record.problems
    return RunCost(folder, system, billed=billed, problems=problems, **cost_of(record))


def usage_of(record: Record) -> Usage:
    """Return what a run used of its system, from join to end.

    Users who poll use polls; connections and deliveries are those of all others.
    """
    all_users = record.connections[record.connections["joined"].to_numpy(dtype=bool)]
    joined = all_users[~all_users["user_class"].isin(record.polling_classes)]
    pollers = all_users.drop(joined.index)
    pushed = record.timeline[~record.timeline["user_class"].isin(record.polling_classes)]
    connected = pushed.groupby("second")["connected"].sum()
    sent = record.messages[record.messages["outcome"] == "acknowledged"]
    peak = float(connected.max()) if len(connected) else 0.0
    usage = Usage(
        hours=record.ended_s / 3600,
        events=_events(sent, _share(joined, all_users)),
        connected_peak=peak,
        provisioned=peak,
        connection_minutes=_connected_s(joined) / 60,
        connects=len(joined),
        subscribes=len(subscriptions(joined)),
        polls=_connected_s(pollers) / poll_interval_s(record) if len(pollers) else 0.0,
    )
    return _with_bill(usage, _emulators_bill(record))


def day_like(record: Record, day: Day = REFERENCE) -> Day | None:
    """Return a day with this run's event sizes, reach and handlers; None if nothing was measured.

    ``day`` gives users, messages and whatever else a short run cannot tell.
    """
    messages = measured(record.messages)
    sent = messages[messages["outcome"] == "acknowledged"]
    connected = measured(record.timeline).groupby("second")["connected"].sum()
    if sent.empty or not connected.any():
        return None
    copies = sent[list(_COPIES)].sum().sum()
    usage = usage_of(record)
    return replace(
        day,
        sizes=tuple((each.size_bytes, each.published / len(sent)) for each in _events(sent)),
        reach=min(float(copies) / (len(sent) * float(connected.mean())), 1.0),
        handler_calls_per_message=usage.handler_calls / usage.published if usage.published else 0,
        poll_interval_s=poll_interval_s(record),
        subscriptions_per_session=usage.subscribes / usage.connects if usage.connects else 1,
    )


def poll_interval_s(record: Record) -> float:
    """Return the interval at which a run's users poll; meaningless where none do."""
    options = record.target.get("client")
    if not isinstance(options, dict):
        options = client_model(record.target.get("system"))().model_dump()
    return float(options.get("interval_s", REFERENCE.poll_interval_s))


def _share(some: pd.DataFrame, all_users: pd.DataFrame) -> float:
    """Return the share of all deliveries that some users got; 1 where there are no others."""
    received = float(all_users["received"].sum())
    return float(some["received"].sum()) / received if received else 1.0


def _events(sent: pd.DataFrame, share: float = 1.0) -> tuple[Events, ...]:
    """Return what was published and the share of what arrived of it that counts, by size.

    Copies are paid for too.
    """
    copies = sent[list(_COPIES)].sum(axis=1) * share
    by_size = copies.groupby(sent["bytes"].astype(int)).agg(["count", "sum"])
    return tuple(
        Events(float(size), float(published), float(delivered))
        for size, published, delivered in by_size.reset_index().to_numpy(dtype=float)
    )


def _connected_s(joined: pd.DataFrame) -> float:
    return float((joined["closed_ns"] - joined["join_start_ns"]).sum()) / NS_PER_S


def _emulators_bill(record: Record) -> Json:
    """Return what the emulator would have billed; empty where there was none, or it kept none."""
    billed = emulator_stats(record).get("billed")
    return billed if isinstance(billed, dict) else {}


def _with_bill(usage: Usage, billed: Json) -> Usage:
    """Take from the emulator's bill what clients cannot count; its minutes may be rounded up."""
    return replace(
        usage,
        connects=float(billed.get("connects", usage.connects)),
        subscribes=float(billed.get("subscribes", usage.subscribes)),
        handler_calls=float(billed.get("handlers", usage.handler_calls)),
        polls=float(billed.get("polls", usage.polls)),
    )
