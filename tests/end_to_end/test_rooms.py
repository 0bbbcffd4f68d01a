"""Users in several rooms, some in all: the report agrees with the emulator to the last delivery."""

from collections import Counter

from tests.end_to_end.stage import ROOT, after, lenient
from tests.end_to_end.test_disturbances import (
    CROWD,
    disturbed,
    faults,
    hits,
    key_of,
    table,
    totals,
    truth,
)

ROOMS = ROOT / "scenarios" / "workloads" / "rooms.toml"
SEVERAL = {
    "channels.count": 5,
    "channels.zipf_skew": 1.0,
    "channels.subscriptions_per_client": 3,
    "channels.wildcard_share": 0.1,
}
DROPS = 137


def rooms_with_drops(stage):
    """200 users in three of five rooms each, every tenth in all; every tenth delivery dropped."""
    told = faults({"kind": "drop", "count": DROPS, "ratio": 0.1})
    return disturbed(stage, told, settings=SEVERAL, processes=2)


def shipped(stage):
    """The workload as it is, shortened."""
    shorter = {key: CROWD[key] for key in CROWD if key.startswith("phases.")}
    patient = {"slos.4.limit": 60_000.0, "joins.rate_per_s": 500.0}
    return stage.run(lenient() | shorter | patient, workload=ROOMS).outcome()


def owed_by_hand(outcome):
    """Count, pair by pair, what each connection was owed, from the record's tables alone."""
    messages, connections = table(outcome, "messages"), table(outcome, "connections")
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
    held = [path.split(" ") for path in table(outcome, "connections")["channel"]]
    assert 20 == held.count(["/default/*"])
    assert [3] * 180 == [len(set(paths)) for paths in held if paths != ["/default/*"]]


@after(rooms_with_drops)
def test_dropped_deliveries_are_the_lost_ones(outcome):
    """As many as the emulator says it dropped, and nothing is duplicated or out of order."""
    assert DROPS == len(hits(outcome, "dropped")) == totals(outcome)["lost"]
    assert 0 == totals(outcome)["duplicated"]
    told = Counter(key_of(entry["text"]) for entry in hits(outcome, "dropped"))
    messages = table(outcome, "messages")
    lost = messages[messages["lost"] > 0]
    assert told == {(int(m.stream), int(m.sequence)): int(m.lost) for m in lost.itertuples()}


@after(rooms_with_drops)
def test_owed_and_delivered_are_what_the_emulator_counted(outcome):
    """Every delivery it owed is one of ours, and every one that it sent arrived."""
    counted = truth(outcome)["stats"]["deliveries"]
    ours = totals(outcome)
    assert (counted["owed"], counted["sent"]) == (ours["owed"], ours["delivered"])


@after(rooms_with_drops)
def test_owed_of_each_user_is_what_counting_by_hand_gives(outcome):
    """From the tables of the record, without the ledger."""
    assert owed_by_hand(outcome) == table(outcome, "connections")["owed"].tolist()


@after(rooms_with_drops)
def test_subscriptions_are_billed_one_by_one(outcome):
    """Twenty users with one subscription each, the others with three."""
    operations = outcome.summary["cost"]["operations"]
    assert 20 + 180 * 3 == operations["subscribes"]


@after(shipped)
def test_shipped_workload_of_rooms_passes(outcome):
    """Nothing is lost, nothing comes twice, and the fullest room has 60-100 % of the users."""
    assert (0, []) == (outcome.exit_code, outcome.errors)
    assert owed_by_hand(outcome) == table(outcome, "connections")["delivered"].tolist()
    in_the_first = table(outcome, "connections")["channel"].str.contains(r"room-0\b|\*")
    assert 0.6 <= in_the_first.mean() <= 1.0
