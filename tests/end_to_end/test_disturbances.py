"""Runs whose faults are known: the report must agree with what the emulator did on purpose."""

import json
from collections import Counter
from functools import partial

import pytest

from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.message_token import PREFIX, TOKEN_BYTES, MessageToken
from tests.support.runs import EMULATED, after, after_each

CROWD = {
    "population.subscribers": 190,
    "population.chatters": 10,
    "joins.rate_per_s": 400.0,
    "publishing.rate_per_s": 20.0,
    "publishing.arrival": '"uniform"',
    "phases.settle_s": 3.0,  # All are in before the first message, also on a busy machine.
    "phases.warm_up_s": 1.0,
    "phases.measure_s": 6.0,
    "phases.drain_s": 2.0,
    "target.emulator.quotas.enabled": "false",
    "reconnect.policy": '"fixed"',
    "reconnect.base_s": 0.5,
    "slos.2.limit": 1000.0,  # Recovery is measured by it.
}
USERS = 200
ONE_CHATTER = {"population.subscribers": USERS - 1, "population.chatters": 1}
"""Messages that leave on several sockets have no order that could be kept."""


def disturbed(launcher, *disturbances, settings=None, processes=1):
    """Run the crowd with these disturbances, each a table of the workload."""
    flags = CROWD | {"target.emulator.processes": processes} | (settings or {})
    flags |= {"disturbances": as_toml(disturbances)}
    return launcher.run(flags, target=EMULATED).outcome()


def as_toml(tables):
    """Return tables as a value that ``--set`` takes."""
    return json.dumps(tables).replace('": ', '" = ')


def faults(*told, at_s=1.0, length_s=4.0):
    """The disturbance that has the emulator play these faults."""
    return {"kind": "faults", "at_s": at_s, "length_s": length_s, "faults": told}


def hits(outcome, what):
    """The entries of the emulator's log of one kind of fault."""
    return [entry for entry in outcome.truth["log"] if entry["what"] == what]


def totals(outcome):
    """The counts of all connections, whatever the phase."""
    connections = outcome.table("connections")
    names = ("owed", "delivered", "lost", "duplicated", "reordered")
    return {name: int(connections[name].sum()) for name in names}


def dropped(launcher):
    told = faults({"kind": "drop", "count": 137, "ratio": 0.1})
    return disturbed(launcher, told, settings=ONE_CHATTER)


@after(dropped)
def test_137_dropped_deliveries_are_137_lost(outcome):
    """Nothing else is missing, and the emulator says it dropped as many."""
    assert 137 == len(hits(outcome, "dropped"))
    assert 137 == totals(outcome)["lost"] == outcome.summary["deliveries"]["lost"]
    assert 0 == totals(outcome)["duplicated"] == totals(outcome)["reordered"]


@after(dropped)
def test_lost_deliveries_are_of_the_messages_that_were_dropped(outcome):
    """Message by message, as many are lost as the emulator's log says were dropped."""
    dropped, lost = by_message(outcome)
    assert dropped == lost


@after(dropped)
def test_lost_deliveries_are_spread_over_connections_as_they_were_dropped(outcome):
    """As many connections lost one, two or more as the log names."""
    told = Counter(entry["subscription"] for entry in hits(outcome, "dropped"))
    lost = outcome.table("connections")["lost"]
    assert sorted(told.values()) == sorted(lost[lost > 0].tolist())


def by_message(outcome):
    """Return how many deliveries of each message the emulator dropped, and how many were lost."""
    dropped = Counter(key_of(entry["text"]) for entry in hits(outcome, "dropped"))
    rows = outcome.table("messages").query("lost > 0").itertuples()
    return dropped, {(int(row.stream), int(row.sequence)): int(row.lost) for row in rows}


def key_of(text):
    """Stream and sequence in the beginning of an event, as the log quotes it."""
    start = text.index(PREFIX.decode())
    token = MessageToken.parse(text[start : start + TOKEN_BYTES].encode())
    assert token is not None
    return token.stream, token.sequence


def doubled_and_shuffled(launcher):
    told = ({"kind": "duplicate", "ratio": 0.05}, {"kind": "reorder", "ratio": 0.02, "depth": 3})
    return disturbed(launcher, faults(*told), processes=2, settings=ONE_CHATTER)


@after(doubled_and_shuffled)
def test_duplicates_and_reordering_are_counted_as_the_emulator_played_them(outcome):
    """Both at once, over two processes: exactly those counts, and nothing lost."""
    counted = totals(outcome)
    assert len(hits(outcome, "duplicated")) == counted["duplicated"] > 0
    assert len(hits(outcome, "reordered")) == counted["reordered"] > 0
    assert 0 == counted["lost"]


def delayed(launcher, delay_ms):
    """Run the crowd on an emulator that delays every delivery, and measure all of them."""
    told = as_toml([{"kind": "delay", "delay_ms": delay_ms}])
    settings = {"target.emulator.faults": told, "phases.warm_up_s": 0}
    return disturbed(launcher, settings=settings)


late_by_250_ms = partial(delayed, delay_ms=250)
late_by_chance = partial(delayed, delay_ms={"distribution": "lognormal", "median": 80, "p99": 600})
HISTOGRAM_ERROR = 0.002
"""Both sides round to three digits."""


@after_each({"fixed": late_by_250_ms, "lognormal": late_by_chance})
def test_every_percentile_holds_the_delay_that_the_emulator_added(outcome):
    """No latency is below its delay, so no percentile is below that of the delays.

    How little else is in them, a busy machine cannot show: ``tests/load/worker/test_latencies.py``
    has latencies that are known.
    """
    told, found = outcome.truth["stats"]["delays_ms"], outcome.summary["fan_out_latency_ms"]
    assert told["count"] == found["count"] == outcome.summary["deliveries"]["received"] > 0
    for name in ("p50", "p90", "p99", "max"):
        assert found[name] >= told[name] * (1 - HISTOGRAM_ERROR), name


@after(late_by_250_ms)
def test_fixed_delay_is_in_the_earliest_delivery_of_every_message(outcome):
    """No subscriber got any message sooner than 250 ms after it was sent."""
    messages = outcome.table("messages")
    assert (messages["first_arrival_ns"] - messages["sent_ns"]).min() >= 250 * NS_PER_MS * 0.999


STALL_AT_S, STALL_S = 1.0, 4.0


def stalled(launcher):
    stall = {"kind": "stall", "until_s": STALL_S}
    return disturbed(
        launcher,
        faults(stall, at_s=STALL_AT_S, length_s=STALL_S + 0.5),
        settings={"phases.measure_s": 11.0, "slos.2.limit": 3000.0},  # The stall is longer.
    )


def held_back(outcome):
    """Return the messages sent in the stall, with how long each waits for its end, in ms.

    The stall has begun where the record says so, and ends no sooner than its length after the
    moment for which it was planned.
    """
    (stall,) = outcome.run["disturbances"]
    (measure,) = (each for each in outcome.run["phases"] if each["name"] == "measure")
    release_ns = outcome.run["epoch_ns"] + (measure["start_s"] + STALL_AT_S + STALL_S) * NS_PER_S
    messages = outcome.table("messages")
    sent_s = (messages["sent_ns"] - outcome.run["epoch_ns"]) / NS_PER_S
    held = messages[(sent_s > stall["start_s"]) & (messages["sent_ns"] < release_ns)]
    return held.assign(wait_ms=(release_ns - held["intended_ns"]) / NS_PER_MS)


@after(stalled)
def test_no_message_arrives_during_a_stall_and_none_is_lost(outcome):
    """What was sent in it arrives after its end, at every subscriber."""
    held = held_back(outcome)
    first_ms = (held["first_arrival_ns"] - held["intended_ns"]) / NS_PER_MS
    assert len(held) > 0
    assert (first_ms >= held["wait_ms"] - 1).all()
    assert 0 == outcome.summary["deliveries"]["lost"]


@after(stalled)
def test_stall_is_in_the_latency_from_the_intended_send_time_and_in_the_longest_stall(outcome):
    """No latency is shorter than the wait of those held; the stall may count from their sending."""
    waits_ms = sorted(held_back(outcome)["wait_ms"], reverse=True)
    measured = (outcome.table("messages")["phase"] == "measure").sum()
    summary = outcome.summary
    assert summary["fan_out_latency_ms"]["max"] >= waits_ms[0] - 1
    assert summary["fan_out_latency_ms"]["p90"] >= waits_ms[int(0.1 * measured)] - 1
    assert summary["stall_s"]["max"] >= STALL_S / 2


@after(stalled)
def test_recovery_from_the_stall_is_found(outcome):
    """All that was held leaves at once, and latency is inside its objective again."""
    assert outcome.summary["recovery_s"]["max"] >= 0


def cut(launcher):
    told = faults({"kind": "disconnect", "share": 0.3}, at_s=2.0, length_s=1.0)
    return disturbed(launcher, told, settings={"reconnect.policy": '"full_jitter"'})


@after(cut)
def test_those_cut_off_come_back_and_owe_nothing_for_their_time_away(outcome):
    """30 % have a second connection; what was sent while they were away is owed to nobody."""
    connections = outcome.table("connections")
    again = connections[connections["connection"] > 0]
    assert 60 == again[again["joined"]]["user"].count()
    lost_in_flight = connections[connections["lost"] > 0]
    assert set(lost_in_flight["connection"]) <= {0}
    assert set(lost_in_flight["user"]) <= set(again["user"])


@after(cut)
def test_second_peak_of_joins_is_in_the_timeline(outcome):
    """Nobody joins between the ramp and the cut; then those who were cut off do."""
    timeline = outcome.table("timeline").groupby("second")["joins_succeeded"].sum()
    (disturbance,) = outcome.run["disturbances"]
    assert 60 == timeline[timeline.index >= int(disturbance["start_s"])].sum()


def throttled(launcher):
    told = faults({"kind": "throttle_publishes", "ratio": 0.5}, at_s=1.0, length_s=3.0)
    return disturbed(launcher, told, settings={"safety.back_off_s": 0})


@after(throttled)
def test_throttled_publishes_are_counted_with_the_systems_code_and_move_nothing(outcome):
    """They are no failures and owe nothing; the others leave at their times."""
    summary = outcome.summary
    errors = outcome.table("errors")
    refused = errors[errors["code"] == "LimitExceededError"]
    assert summary["publishes"]["throttled"] == refused["count"].sum() > 0
    assert 0 == summary["deliveries"]["lost"] == summary["publishes"]["failed"]
    gaps_s = outcome.table("messages").sort_values("id")["intended_ns"].diff().dropna()[5:] / 1e9
    assert gaps_s.max() == pytest.approx(0.05, abs=1e-6)


def throttled_connects(launcher):
    crowd = {"kind": "flash_crowd", "share": 0.5, "at_s": 1.0, "rate_per_s": 400.0}
    told = faults({"kind": "throttle_connects", "ratio": 0.5}, at_s=0.5, length_s=4.0)
    settings = {"joins.retries": 30, "joins.retry_base_s": 0.2, "joins.retry_cap_s": 1.0}
    return disturbed(launcher, crowd, told, settings=settings)


@after(throttled_connects)
def test_throttled_connects_are_counted_with_the_systems_code_and_tried_again(outcome):
    """As many as the emulator turned away; in the end all are in, and nobody published late."""
    errors = outcome.table("errors")
    turned_away = errors[errors["code"] == "LimitExceededError"]["count"].sum()
    assert outcome.truth["stats"]["connects"]["throttled"]["fault"] == turned_away > 0
    assert turned_away == outcome.summary["joins"]["failed"]
    assert USERS == outcome.table("timeline").groupby("second")["connected"].sum().max()


def killed_process(launcher):
    kill = {"kind": "kill_process", "process": 1, "at_s": 2.0, "back_after_s": 1.0}
    return disturbed(launcher, kill, processes=2, settings={"phases.measure_s": 20.0})


@after(killed_process)
def test_killed_process_loses_its_connections_and_no_worker(outcome):
    """Its users come back on the other, or on its successor; nobody else notices."""
    connections = outcome.table("connections")
    gone = connections[(connections["connection"] == 0) & (connections["close_code"] == 1006)]
    assert 0 < len(gone) < USERS
    assert outcome.exit_code in {0, 3}  # What was in flight may be lost, which fails an SLO.
    assert ("completed", []) == (outcome.run["status"], outcome.left)
    last = connections.sort_values("connection").groupby(["user_class", "user"]).last()
    assert USERS == (last["joined"]).sum()


def restarted(launcher):
    restart = {"kind": "restart", "at_s": 2.0, "back_after_s": 1.0}
    return disturbed(launcher, restart, processes=2, settings={"phases.measure_s": 20.0})


@after(restarted)
def test_restarted_system_gets_everybody_back(outcome):
    """All lose their connection, all come back, and the run goes on to its end."""
    connections = outcome.table("connections")
    assert {1006} == set(connections[connections["connection"] == 0]["close_code"].astype(int))
    last = connections.sort_values("connection").groupby(["user_class", "user"]).last()
    assert USERS == last["joined"].sum()
    assert "completed" == outcome.run["status"]


def gone_and_back(launcher):
    leave = {"kind": "exit", "share": 0.96, "at_s": 1.0, "length_s": 2.0}
    leave |= {"back_after_s": 5.5, "back_rate_per_s": 400.0}
    crowd = {"kind": "flash_crowd", "share": 0.25, "at_s": 0.5, "rate_per_s": 400.0}
    slow = {"kind": "slow_readers", "share": 0.1, "at_s": 0.0, "length_s": 1.0}
    return disturbed(launcher, leave, crowd, slow, settings={"phases.measure_s": 11.0})


@after(gone_and_back)
def test_users_who_leave_and_return_lose_nothing(outcome):
    """A cliff to 4 %, a flash crowd and slow readers: all joined, none cut off, nothing lost."""
    assert (0, 0) == (outcome.summary["deliveries"]["lost"], totals(outcome)["lost"])
    timeline = outcome.table("timeline").groupby("second")[["connected", "disconnects"]].sum()
    start = int(outcome.run["disturbances"][0]["start_s"])
    assert 8 == timeline["connected"][start : start + 6].min()
    assert (USERS, 0) == (timeline["connected"].max(), timeline["disconnects"].sum())


def pollers_gone_and_back(launcher):
    leave = {"kind": "exit", "share": 1.0, "at_s": 1.0, "length_s": 1.0}
    leave |= {"back_after_s": 2.0, "back_rate_per_s": 400.0}
    flags = {
        name: value for name, value in CROWD.items() if not name.startswith(("target", "slos"))
    }
    flags |= {"disturbances": as_toml([leave]), "target.client.interval_s": 1.0, "slos": "[]"}
    flags |= {"phases.measure_s": 12.0, "phases.drain_s": 4.0}
    return launcher.run(flags, target=EMULATED.with_name("polling-emulated.toml")).outcome()


@after(pollers_gone_and_back)
def test_users_who_poll_leave_with_what_was_under_way_and_all_come_back(outcome):
    """What was sent before they left waits for their next poll; a wish to return waits for them."""
    connections = outcome.table("connections")
    assert (0, USERS) == (totals(outcome)["lost"], (connections["connection"] == 1).sum())
    assert totals(outcome)["owed"] > 0


def one_in_a_hundred(launcher):
    told = faults({"kind": "drop", "ratio": 0.01}, at_s=0.0, length_s=13.0)
    return disturbed(launcher, told, settings={"phases.measure_s": 10.0, "phases.drain_s": 4.0})


@after(one_in_a_hundred)
def test_one_percent_of_40_000_deliveries_dropped_are_found_to_the_last(outcome):
    """What the emulator dropped is what the report lost, one in a hundred."""
    dropped_count = outcome.truth["stats"]["deliveries"]["dropped"]["fault"]
    assert dropped_count == totals(outcome)["lost"]
    assert outcome.summary["deliveries"]["owed"] == 40_000
    assert dropped_count == pytest.approx(400, rel=0.25)
