"""Users in several rooms, some in all: the report agrees with the emulator to the last delivery.

On every system that can be emulated, with the same workload file.
"""

from functools import partial

from harness.core.system import system_named
from harness.scenario.loading import load_emulated_target
from tests.end_to_end.test_disturbances import (
    CROWD,
    as_toml,
    by_message,
    disturbed,
    faults,
    hits,
    totals,
)
from tests.support.runs import ROOT, after, after_each

ROOMS = ROOT / "scenarios" / "workloads" / "rooms.toml"
TARGETS = sorted((ROOT / "scenarios" / "targets").glob("*-emulated.toml"))
SEVERAL = {
    "channels.count": 5,
    "channels.zipf_skew": 1.0,
    "channels.subscriptions_per_client": 3,
    "channels.wildcard_share": 0.1,
}
DROPS = 137


def rooms_with_drops(launcher):
    """200 users in three of five rooms each, every tenth in all; every tenth delivery dropped."""
    told = faults({"kind": "drop", "count": DROPS, "ratio": 0.1})
    return disturbed(launcher, told, settings=SEVERAL, processes=2)


def shipped(launcher, target, **settings):
    """The workload as it is, shortened, with a fifth of its users, on two processes."""
    changes = {key: CROWD[key] for key in CROWD if key.startswith("phases.")}
    changes |= {"phases.measure_s": 4.0}
    changes |= {"population.subscribers": 180, "population.chatters": 20}
    changes |= {"slos.4.limit": 60_000.0, "target.emulator.processes": 2}
    if system_named(load_emulated_target(target).system).polling_classes:
        changes["target.client.interval_s"] = 0.5
    return launcher.run(changes | settings, workload=ROOMS, target=target).outcome()


def dropping(launcher, target):
    """The same, while every tenth delivery is dropped."""
    told = faults({"kind": "drop", "count": DROPS, "ratio": 0.1}, length_s=3.0)
    return shipped(launcher, target, disturbances=as_toml([told]))


ON_EACH = {target.stem: partial(shipped, target=target) for target in TARGETS}
DROPPING = {
    target.stem: partial(dropping, target=target)
    for target in TARGETS
    if target.stem.startswith(("server-sent-events", "polling"))
}
"""Where several channels come by one answer, so that a fault has one of them to choose from."""


def counted(outcome, name):
    """Return what the emulator counted of deliveries, on sockets and by polls together."""
    stats = outcome.truth["stats"]
    halves = [stats, stats["polling"]] if "polling" in stats else [stats]
    return sum(half["deliveries"][name] for half in halves)


def owed_by_hand(outcome):
    """Count, pair by pair, what each connection was owed, from the record's tables alone."""
    messages, connections = outcome.table("messages"), outcome.table("connections")
    took = messages[(messages["outcome"] == "acknowledged") & messages["sent_ns"].notna()]
    owed = []
    for row in connections.itertuples():
        held = row.channel.split(" ")
        mine = took["channel"].isin(held) | ("/default/*" in held)
        in_time = (took["sent_ns"] >= row.owed_from_ns) & (took["sent_ns"] < row.owed_until_ns)
        owed.append(int((mine & in_time).sum()))
    return owed


@after(rooms_with_drops)
def test_users_hold_three_rooms_or_all(outcome):
    """Every tenth of each class has the wildcard, everybody else three different rooms."""
    held = [path.split(" ") for path in outcome.table("connections")["channel"]]
    assert 20 == held.count(["/default/*"])
    assert [3] * 180 == [len(set(paths)) for paths in held if paths != ["/default/*"]]


@after(rooms_with_drops)
def test_dropped_deliveries_are_the_lost_ones(outcome):
    """As many as the emulator says it dropped, and nothing is duplicated or out of order."""
    assert DROPS == len(hits(outcome, "dropped")) == totals(outcome)["lost"]
    assert 0 == totals(outcome)["duplicated"]
    dropped, lost = by_message(outcome)
    assert dropped == lost


@after(rooms_with_drops)
def test_owed_and_delivered_are_what_the_emulator_counted(outcome):
    """Every delivery it owed is one of ours, and every one that it sent arrived."""
    counted = outcome.truth["stats"]["deliveries"]
    ours = totals(outcome)
    assert (counted["owed"], counted["sent"]) == (ours["owed"], ours["delivered"])


@after(rooms_with_drops)
def test_owed_of_each_user_is_what_counting_by_hand_gives(outcome):
    """From the tables of the record, without the ledger."""
    assert owed_by_hand(outcome) == outcome.table("connections")["owed"].tolist()


@after(rooms_with_drops)
def test_subscriptions_are_billed_one_by_one(outcome):
    """Twenty users with one subscription each, the others with three."""
    assert 20 + 180 * 3 == outcome.summary["cost"]["operations"]["subscribes"]


@after_each(ON_EACH)
def test_shipped_workload_of_rooms_passes_on_every_system(outcome):
    """Nothing is lost, nothing comes twice, and each user got what counting by hand owes it."""
    assert (0, []) == (outcome.exit_code, outcome.errors)
    assert owed_by_hand(outcome) == outcome.table("connections")["delivered"].tolist()
    ours = totals(outcome)
    assert (0, 0) == (ours["lost"], ours["duplicated"])
    assert ours["owed"] > outcome.summary["publishes"]["acknowledged"] > 0


@after_each(ON_EACH)
def test_users_received_what_the_emulator_sent(outcome):
    """To the last delivery, whichever way it came."""
    received = int(outcome.table("connections")["received"].sum())
    assert counted(outcome, "sent") == received > 0


@after_each(ON_EACH)
def test_users_hold_the_same_rooms_on_every_system(outcome):
    """Every twentieth of a class has the wildcard, all others three rooms; the first is fullest."""
    connections = outcome.table("connections")
    held = [path.split(" ") for path in connections["channel"]]
    assert 10 == held.count(["/default/*"])
    assert [3] * 190 == [len(set(paths)) for paths in held if paths != ["/default/*"]]
    assert 0.6 <= connections["channel"].str.contains(r"room-0\b|\*").mean() <= 1.0


@after_each(DROPPING)
def test_dropped_deliveries_of_several_channels_are_the_lost_ones(outcome):
    """As many as the emulator says, of the messages that it names, and nothing comes twice."""
    ours = totals(outcome)
    assert (DROPS, 0) == (ours["lost"], ours["duplicated"])
    dropped, lost = by_message(outcome)
    assert dropped == lost
