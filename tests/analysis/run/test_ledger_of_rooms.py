from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.run.ledger import (
    contradictions,
    not_routed,
    offered_per_second,
    subscriptions,
)
from tests.analysis.run.test_ledger import frame, ledgers, moments
from tests.support.records import EPOCH_NS, arrival, at, connection, publish

FIRST, SECOND, THIRD = ROOMS = [f"/default/room-{place}" for place in range(3)]
EVERYTHING = "/default/*"
HELD = st.one_of(
    st.just((EVERYTHING,)), st.lists(st.sampled_from(ROOMS), max_size=3, unique=True).map(tuple)
)


def holds(user, *channels, from_s=1.0, until_s=12.0, **changes):
    """Return the row of a connection that subscribed to these channels."""
    return connection(user, from_s, until_s, channel=" ".join(channels) or None, **changes)


def sent(*messages):
    """Return the rows of messages of these seconds and channels, numbered in turn."""
    return [publish(n, sent_s, channel=channel) for n, (sent_s, channel) in enumerate(messages)]


def test_message_is_owed_to_who_holds_its_channel_and_to_who_holds_all():
    """Three rooms, a message in each: every user is owed those of its rooms, on both sides."""
    messages, connections = ledgers(
        sent((5.0, FIRST), (6.0, SECOND), (7.0, THIRD)),
        [],
        [holds(0, FIRST, SECOND), holds(1, SECOND), holds(2, EVERYTHING), holds(3)],
    )
    assert [2, 3, 1] == messages["owed"].tolist()
    assert [2, 1, 3, 0] == connections["owed"].tolist()


def test_message_is_owed_once_where_a_wildcard_and_a_channel_both_match():
    """One subscriber, one message: the second copy is a duplicate, not another one owed."""
    messages, connections = ledgers(
        [publish(0, 5.0)],
        [arrival(0, 1, 5.01, 5.01, duplicated=1)],
        [holds(0, FIRST, EVERYTHING, delivered=1, duplicated=1, last_s=5.01)],
    )
    assert ([1], [0], [1]) == tuple(messages[c].tolist() for c in ("owed", "lost", "duplicated"))
    assert ([1], [0], [1]) == tuple(connections[c].tolist() for c in ("owed", "lost", "duplicated"))
    assert [] == contradictions(messages, connections)


def test_wildcard_holds_only_the_channels_that_begin_like_it():
    """What another namespace carried is nobody's here."""
    messages, _ = ledgers([publish(0, 5.0, channel="/other/room-0")], [], [holds(0, EVERYTHING)])
    assert [0] == messages["owed"].tolist()


def test_silence_at_the_end_begins_with_the_first_message_lost_in_any_channel():
    """Last heard at 5 s, then owed at 6 s in one room and at 8 s in the other, until 12 s."""
    _, connections = ledgers(
        sent((5.0, FIRST), (6.0, SECOND), (8.0, FIRST)),
        [],
        [holds(0, FIRST, SECOND, delivered=1, last_s=5.01), holds(1, FIRST)],
    )
    assert [6.0, 7.0] == connections["stall_s"].tolist()


def test_what_was_missed_while_away_is_counted_over_all_channels():
    """Away from 4 s to 8 s: one message in each of its rooms, and one in a room it never had."""
    _, connections = ledgers(
        sent((5.0, FIRST), (6.0, SECOND), (7.0, THIRD)),
        [],
        [holds(0, FIRST, SECOND, until_s=4.0), holds(0, FIRST, SECOND, from_s=8.0, connection=1)],
    )
    assert [2, 0] == connections["missed_while_away"].tolist()


def test_subscriber_is_not_routed_if_the_only_message_was_in_its_second_channel():
    """Nothing came of the room that had something for it."""
    rows = frame("connections", [holds(0, FIRST, SECOND), holds(1, FIRST)])
    messages, _ = ledgers([publish(0, 2.0, channel=SECOND)], [], [holds(0, FIRST, SECOND)])
    assert 1 == not_routed(rows, messages, at(4.0))


def test_offered_deliveries_count_every_holder_of_the_channel():
    """Two of three users are in the room of the message."""
    rows = frame("connections", [holds(0, FIRST, SECOND), holds(1, EVERYTHING), holds(2, THIRD)])
    messages = frame("publishes", [publish(0, 5.0, channel=SECOND)])
    assert {5: 2} == offered_per_second(messages, rows, EPOCH_NS).to_dict()


def test_subscriptions_are_one_row_each():
    """A wildcard is one, three rooms are three, and a user that only publishes has none."""
    rows = frame("connections", [holds(0, *ROOMS), holds(1, EVERYTHING), holds(2)])
    assert [*ROOMS, EVERYTHING] == subscriptions(rows).tolist()
    assert [0, 0, 0, 1] == subscriptions(rows).index.tolist()


@given(
    published=st.lists(st.tuples(moments, st.sampled_from([*ROOMS, "/other/room-0"])), max_size=12),
    users=st.lists(st.tuples(HELD, moments, moments, st.integers(0, 9)), max_size=10),
)
def test_ledgers_of_rooms_agree_with_counting_every_pair(published, users):
    """Owed and lost, by message and by user, as the definition says: pair by pair."""
    messages, connections = ledgers(
        sent(*published),
        [],
        [
            holds(n, *held, from_s=start, until_s=end, delivered=got)
            for n, (held, start, end, got) in enumerate(users)
        ],
    )
    owed = [
        [
            at(start) <= at(sent_s) < at(end)
            and (channel in held or (EVERYTHING in held and channel in ROOMS))
            for held, start, end, _ in users
        ]
        for sent_s, channel in published
    ]
    assert [sum(row) for row in owed] == messages["owed"].tolist()
    by_user = [sum(row[place] for row in owed) for place in range(len(users))]
    assert by_user == connections["owed"].tolist()
    lost = [total - got for total, (*_, got) in zip(by_user, users, strict=True)]
    assert lost == connections["lost"].tolist()
