import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.run.ledger import (
    connection_ledger,
    contradictions,
    faults_per_second,
    message_ledger,
    not_routed,
    offered_per_second,
    stalls_s,
)
from harness.analysis.run.tables import JOURNALS, parse_journal
from harness.measure.record_schema import JOURNAL_TABLES
from tests.support.records import EPOCH_NS, arrival, at, connection, publish
from tests.support.waiting import PATIENCE_S

END_NS = at(12.0)


def frame(table, rows):
    """Return rows as the frame that reading their journal gives."""
    import orjson

    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    found, damaged = parse_journal(lines, JOURNALS[table])
    assert damaged == 0
    return found


def ledgers(publishes, arrivals, connections):
    """Return both ledgers of a hand-made run."""
    counted = frame("connections", connections)
    messages = message_ledger(frame("publishes", publishes), frame("arrivals", arrivals), counted)
    return messages, connection_ledger(counted, messages, END_NS)


def test_a_message_is_owed_to_every_connection_confirmed_when_it_was_sent():
    """Two of three subscribers are there at 5 s, all three at 7 s."""
    messages, connections = ledgers(
        [publish(0, 5.0), publish(1, 7.0)],
        [arrival(0, 2, 5.01, 5.02), arrival(1, 3, 7.01, 7.02)],
        [connection(0, 1.0), connection(1, 1.0), connection(2, 6.0)],
    )
    assert [2, 3] == messages["owed"].tolist()
    assert [0, 0] == messages["lost"].tolist()
    assert [2, 2, 1] == connections["owed"].tolist()


@pytest.mark.parametrize(
    ("sent_s", "row", "owed"),
    [
        ((5.0,), connection(0, 5.0), [1]),
        ((4.0, 5.0), connection(0, 1.0, 5.0), [1, 0]),
        ((11.0,), connection(0, 1.0) | {"owed_until_ns": None}, [1]),
        ((5.0,), connection(0, None), [0]),
    ],
    ids=["joined in that nanosecond", "left in that nanosecond", "never ended", "failed to join"],
)
def test_a_connection_is_owed_from_its_confirmation_until_just_before_it_leaves(sent_s, row, owed):
    """The window includes its start and excludes its end; a null end is open."""
    sent = [publish(number, at_s) for number, at_s in enumerate(sent_s)]
    messages, connections = ledgers(sent, [], [row])
    assert owed == messages["owed"].tolist()
    assert [sum(owed)] == connections["owed"].tolist()


@pytest.mark.parametrize("outcome", ["refused", "throttled", "unanswered", "not_sent"])
def test_a_message_the_system_did_not_take_and_nobody_saw_is_owed_to_nobody(outcome):
    """The publisher was told no, or nothing, and no subscriber contradicts it."""
    messages, connections = ledgers([publish(0, 5.0, outcome=outcome)], [], [connection(0, 1.0)])
    assert [0] == messages["owed"].tolist()
    assert [0] == messages["lost"].tolist()
    assert [0] == connections["owed"].tolist()


def test_an_unanswered_message_that_one_subscriber_saw_is_owed_to_all():
    """One arrival proves that the system took it, so the other subscriber lost it."""
    messages, connections = ledgers(
        [publish(0, 5.0, outcome="unanswered")],
        [arrival(0, 1, 5.01, 5.01)],
        [connection(0, 1.0, delivered=1, last_s=5.01), connection(1, 1.0)],
    )
    assert [2] == messages["owed"].tolist()
    assert [1] == messages["lost"].tolist()
    assert [0, 1] == connections["lost"].tolist()


def test_duplicates_and_unexpected_deliveries_never_make_up_for_a_loss():
    """Two owed, one delivered twice, one more to a stranger: one is still lost."""
    messages, _ = ledgers(
        [publish(0, 5.0)],
        [arrival(0, 1, 5.01, 5.03, duplicated=1, unexpected=1)],
        [connection(0, 1.0, delivered=1), connection(1, 1.0)],
    )
    counts = messages[["owed", "delivered", "lost", "duplicated", "unexpected"]]
    assert (2, 1, 1, 1, 1) == tuple(counts.iloc[0])


def test_a_message_seen_only_by_those_it_was_not_owed_to_is_not_owed():
    """A refused message that reached a stranger counts as unexpected and as nothing else."""
    messages, _ = ledgers(
        [publish(0, 5.0, outcome="refused")],
        [arrival(0, 0, 5.01, 5.01, unexpected=1)],
        [connection(0, 6.0)],
    )
    assert (0, 0, 1) == tuple(messages[["owed", "lost", "unexpected"]].iloc[0])


def test_arrivals_of_one_message_at_several_workers_are_added_up():
    """Counts add, the first arrival is the earliest and the last the latest."""
    messages, _ = ledgers(
        [publish(0, 5.0)],
        [arrival(0, 2, 5.02, 5.09), arrival(0, 3, 5.01, 5.04, worker=1, duplicated=1)],
        [connection(number, 1.0) for number in range(5)],
    )
    row = messages.iloc[0]
    assert (5, 0, 1) == (row["delivered"], row["lost"], row["duplicated"])
    assert (at(5.01), at(5.09)) == (row["first_arrival_ns"], row["last_arrival_ns"])


def test_channels_do_not_owe_each_other():
    """A message is owed on its own channel only."""
    other = "/default/room-1"
    messages, connections = ledgers(
        [publish(0, 5.0), publish(1, 5.0, channel=other), publish(2, 5.0, channel="/empty/room")],
        [],
        [connection(0, 1.0), connection(1, 1.0, channel=other), connection(2, 1.0, channel=other)],
    )
    assert [1, 2, 0] == messages["owed"].tolist()
    assert [1, 1, 1] == connections["owed"].tolist()


def test_a_silence_at_the_end_lasts_from_the_first_lost_message_until_the_connection_left():
    """Last arrival at 5 s; messages at 6 s and 7 s were lost; it left at 9 s: 3 s of silence."""
    _, connections = ledgers(
        [publish(0, 5.0), publish(1, 6.0), publish(2, 7.0)],
        [arrival(0, 1, 5.01, 5.01)],
        [connection(0, 1.0, 9.0, delivered=1, last_s=5.01)],
    )
    assert [3.0] == connections["stall_s"].tolist()


def test_a_silence_at_the_end_is_over_with_the_drain():
    """A connection still open at the end is silent until the drain was over, at 12 s."""
    _, connections = ledgers(
        [publish(0, 5.0)],
        [arrival(0, 1, 5.01, 5.01)],
        [connection(0, 1.0, delivered=1, last_s=5.01), connection(1, 1.0, 60.0)],
    )
    assert [0.05, 7.0] == connections["stall_s"].tolist()


def test_a_connection_that_was_owed_nothing_has_no_stall():
    """It cannot have waited for what it was not owed."""
    _, connections = ledgers([publish(0, 5.0)], [], [connection(0, 6.0)])
    assert connections["stall_s"].isna().all()


def test_offered_load_counts_messages_that_were_never_sent():
    """At the intended time of the unsent message two were subscribed, so two were offered."""
    messages, connections = ledgers(
        [publish(0, 5.0), publish(1, 5.5, outcome="not_sent"), publish(2, 7.0)],
        [],
        [connection(0, 1.0), connection(1, 1.0), connection(2, 6.0)],
    )
    assert {5: 4, 7: 3} == offered_per_second(messages, connections, EPOCH_NS).to_dict()


def test_every_message_that_was_never_sent_is_kept():
    """They have no place in a stream, and are still one message each."""
    unsent = {"outcome": "not_sent", "stream": None, "sequence": None}
    messages, _ = ledgers([publish(n, 5.0, **unsent) for n in range(3)], [], [connection(0, 1.0)])
    assert [0, 1, 2] == messages["id"].tolist()


def test_a_message_recorded_twice_is_one_message():
    """The later row holds its fate."""
    rows = [publish(0, 5.0, outcome="unanswered"), publish(0, 5.0)]
    messages, _ = ledgers(rows, [], [connection(0, 1.0)])
    assert ["acknowledged"] == messages["outcome"].tolist()


def test_faults_are_counted_by_the_second_in_which_the_message_was_due():
    """Due at 5.9 s, arrived at 6.1 s: second 5."""
    messages, _ = ledgers(
        [publish(0, 5.9), publish(1, 7.0)],
        [arrival(0, 1, 6.1, 6.1, duplicated=2), arrival(1, 2, 7.1, 7.2, reordered=1)],
        [connection(0, 1.0), connection(1, 1.0)],
    )
    faults = faults_per_second(messages, EPOCH_NS)
    assert {5: 1, 7: 0} == faults["lost"].to_dict()
    assert {5: 2, 7: 0} == faults["duplicated"].to_dict()
    assert {5: 0, 7: 1} == faults["reordered"].to_dict()


def test_a_subscribers_stall_is_the_longest_over_its_connections():
    """It came back once; the chatter of the same number is somebody else."""
    rows = [
        connection(0, 1.0, 5.0, delivered=1, last_s=4.1, longest_stall_s=2.0),
        connection(0, 6.0, delivered=1, last_s=8.1, longest_stall_s=0.5, connection=1),
        connection(0, 1.0, delivered=2, last_s=8.1, user_class="chatter", longest_stall_s=0.1),
        connection(1, 11.0),
    ]
    _, connections = ledgers([publish(0, 4.0), publish(1, 8.0)], [], rows)
    assert {("subscriber", 0): 2.0, ("chatter", 0): 0.1} == stalls_s(connections).to_dict()


def test_what_was_sent_between_two_connections_was_missed_while_away():
    """Away from 5 to 7 s, and from 9 s to the end: three of five messages passed it by."""
    rows = [
        connection(0, 1.0, 5.0, delivered=1),
        connection(0, None, connection=1),
        connection(0, 7.0, 9.0, connection=2, delivered=1),
        connection(1, 1.0, delivered=5),
    ]
    sent = [publish(number, at_s) for number, at_s in enumerate((4.0, 5.0, 6.9, 7.0, 10.0))]
    _, connections = ledgers(sent, [arrival(number, 1, 11.0, 11.0) for number in range(5)], rows)
    assert [2, 0, 1, 0] == connections["missed_while_away"].tolist()
    assert [2.0, 3.0] == connections["away_s"].dropna().tolist()


ROUTED_BY_NS = at(4.0)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1),
        ({"first_arrival_ns": at(4.5), "received": 1}, 1),
        ({"first_arrival_ns": at(3.9), "received": 1}, 0),
        ({"first_arrival_ns": None, "received": 1}, 0),
        ({"owed_from_ns": at(2.9)}, 0),
        ({"owed_until_ns": at(3.5)}, 0),
        ({"channel": "/default/room-1"}, 0),
        ({"owed_from_ns": None, "owed_until_ns": None, "joined": False}, 0),
    ],
    ids=[
        *("silent", "heard too late", "heard in time", "a record that does not say when"),
        *("sent nothing since it joined", "gone before", "another channel", "never joined"),
    ],
)
def test_who_was_sent_a_message_before_measuring_and_heard_nothing_is_not_routed(changes, count):
    """The probe went out at 2.5 s, measuring began at 4 s."""
    row = connection(0, 1.0) | changes
    messages, connections = ledgers([publish(0, 2.5), publish(1, 3.95)], [], [row])
    assert count == not_routed(connections, messages, ROUTED_BY_NS)


def test_ledgers_that_agree_have_no_contradictions():
    """Both sides of a clean run have the same sums."""
    messages, connections = ledgers(
        [publish(0, 5.0)], [arrival(0, 1, 5.01, 5.01)], [connection(0, 1.0, delivered=1)]
    )
    assert [] == contradictions(messages, connections)


def test_ledgers_that_disagree_say_in_what():
    """A delivery counted by the connection and by no message is named with both sums."""
    messages, connections = ledgers([publish(0, 5.0)], [], [connection(0, 1.0, delivered=1)])
    assert ["delivered: 0 by message, 1 by connection"] == contradictions(messages, connections)


def test_a_message_delivered_more_often_than_owed_is_a_contradiction():
    """Loss is never clamped at zero, so a miscount cannot hide."""
    messages, connections = ledgers(
        [publish(0, 5.0)],
        [arrival(0, 2, 5.01, 5.02)],
        [connection(0, 1.0, delivered=1), connection(1, None, delivered=1)],
    )
    assert "messages delivered more often than owed: 1" in contradictions(messages, connections)


def test_empty_journals_make_empty_ledgers():
    """No message and no connection is a run too."""
    messages, connections = ledgers([], [], [])
    assert (0, 0) == (len(messages), len(connections))
    assert [] == contradictions(messages, connections)


moments = st.floats(0.0, 11.0).map(lambda value: round(value, 3))


@given(
    sent=st.lists(moments, max_size=12), windows=st.lists(st.tuples(moments, moments), max_size=12)
)
def test_both_ledgers_agree_with_counting_every_pair(sent, windows):
    """Searching sorted arrays gives what the definition gives, pair by pair."""
    messages, connections = ledgers(
        [publish(number, sent_s) for number, sent_s in enumerate(sent)],
        [],
        [connection(number, *window) for number, window in enumerate(windows)],
    )
    inside = np.array(
        [[at(start) <= at(s) < at(end) for start, end in windows] for s in sent], dtype=int
    ).reshape(len(sent), len(windows))
    assert inside.sum(axis=1).tolist() == messages["owed"].tolist()
    assert inside.sum(axis=0).tolist() == connections["owed"].tolist()


def test_thirty_five_thousand_connections_and_twenty_five_thousand_messages_take_seconds():
    """The ledger's cost grows with the sum, not with the product of 875 million pairs."""
    import time

    count, connected = 25_000, 35_000
    publishes = pd.DataFrame({name: [None] * count for name in JOURNAL_TABLES["publishes"]})
    publishes["id"] = publishes["sequence"] = np.arange(count)
    publishes["stream"] = 0
    publishes["sent_ns"] = EPOCH_NS + np.arange(count) * 1_000_000
    publishes["channel"], publishes["outcome"] = "/default/room-0", "acknowledged"
    counted = pd.DataFrame({name: [0] * connected for name in JOURNAL_TABLES["connections"]})
    counted["channel"] = "/default/room-0"
    counted["owed_from_ns"], counted["owed_until_ns"] = EPOCH_NS, EPOCH_NS + 10**12
    counted["longest_stall_s"] = 0.0
    started = time.perf_counter()
    messages = message_ledger(publishes, frame("arrivals", []), counted)
    connections = connection_ledger(counted, messages, END_NS)
    assert time.perf_counter() - started < PATIENCE_S
    assert count * connected == messages["owed"].sum() == connections["owed"].sum()


def without_own(publishes, connections, arrivals=()):
    """Return both ledgers of a run whose target sends no chatter its own message."""
    counted = frame("connections", connections)
    parts = frame("publishes", publishes), frame("arrivals", list(arrivals)), counted
    messages = message_ledger(*parts, owed_own=False)
    return messages, connection_ledger(counted, messages, END_NS, owed_own=False)


def test_own_message_is_owed_to_all_but_its_sender():
    """Chatter 1 sends one message, chatter 2 another; a subscriber of number 1 is someone else."""
    messages, connections = without_own(
        [publish(0, 5.0, chatter=1), publish(1, 6.0, chatter=2)],
        [
            connection(1, 1.0),
            connection(1, 1.0, user_class="chatter"),
            connection(2, 1.0, user_class="chatter"),
            connection(3, 1.0, user_class="chatter"),
        ],
        [arrival(0, 3, 5.01, 5.02), arrival(1, 3, 6.01, 6.02)],
    )
    assert ([3, 3], [0, 0]) == (messages["owed"].tolist(), messages["lost"].tolist())
    assert [2, 1, 1, 2] == connections["owed"].tolist()


def test_own_message_begins_no_stall_of_its_sender():
    """The only message after the last arrival is its own."""
    _, connections = without_own(
        [publish(0, 5.0, chatter=2), publish(1, 6.0, chatter=1)],
        [connection(1, 1.0, user_class="chatter", delivered=1, last_s=5.01)],
        [arrival(0, 1, 5.01, 5.01)],
    )
    assert [0.05] == connections["stall_s"].tolist()


USERS = st.sampled_from([("subscriber", 0), ("subscriber", 1), ("chatter", 0), ("chatter", 1)])
SECONDS = st.integers(0, 11).map(float)


@given(
    st.lists(st.tuples(SECONDS, st.integers(0, 2), st.sampled_from("ab")), max_size=12),
    st.lists(st.tuples(USERS, SECONDS, st.sampled_from(["a", "b", "a b", "*"])), max_size=8),
)
def test_sums_without_own_messages_agree_over_messages_and_connections(sent, joined):
    """Each pair of a message and a connection is counted on both sides, or on neither."""
    publishes = [
        publish(place, at_s, chatter=author, channel=room)
        for place, (at_s, author, room) in enumerate(sent)
    ]
    rows = [
        connection(number, from_s, from_s + 4.0, user_class=kind, channel=rooms)
        for (kind, number), from_s, rooms in joined
    ]
    messages, connections = without_own(publishes, rows)
    expected = [
        sum(
            from_s <= at_s < from_s + 4.0
            and (room in rooms or rooms == "*")
            and (kind, number) != ("chatter", author)
            for (kind, number), from_s, rooms in joined
        )
        for at_s, author, room in sent
    ]
    assert expected == messages["owed"].tolist()
    assert sum(expected) == connections["owed"].sum()
    offered = offered_per_second(messages, connections, EPOCH_NS, owed_own=False)
    assert sum(expected) == offered.sum()
