import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.message_token import MessageToken, needle_of
from harness.measure.ledger import SubscriberLedger
from harness.measure.message_tracker import MessageTracker

RUN = "run"
NEEDLE = needle_of(RUN)
OWED_FROM_NS = 1_000


def token(stream, sequence, sent_ns=None):
    """A message; message q of a stream is sent at OWED_FROM_NS + q unless told otherwise."""
    sent_ns = OWED_FROM_NS + sequence if sent_ns is None else sent_ns
    return MessageToken(stream, sequence, sent_ns, sent_ns)


def subscriber(tracker=None):
    ledger = SubscriberLedger(tracker or MessageTracker(RUN))
    ledger.owed_from_ns = OWED_FROM_NS
    return ledger


def receive(ledger, *messages, kernel_ns=2_000_000):
    for message in messages:
        ledger.event(message.to_bytes(NEEDLE), kernel_ns)


def entry_of(tracker, message):
    """The entry of a message, made at its first delivery."""
    return tracker.search(message.to_bytes(NEEDLE)).messages[0]


def counts(ledger):
    return {
        "delivered": ledger.delivered_count,
        "duplicated": ledger.duplicated,
        "reordered": ledger.reordered,
        "unexpected": ledger.unexpected,
        "late": ledger.late,
    }


def naive_counts(deliveries):
    """The same by a model that keeps every delivery."""
    found = Counter(delivered=0, duplicated=0, reordered=0, unexpected=0, late=0)
    seen, newest = set(), {}
    for message in deliveries:
        key = (message.stream, message.sequence)
        if message.sent_ns < OWED_FROM_NS:
            found["unexpected"] += 1
        elif key in seen:
            found["duplicated"] += 1
        else:
            seen.add(key)
            found["delivered"] += 1
            found["reordered"] += message.sequence < newest.get(message.stream, -1)
            newest[message.stream] = max(newest.get(message.stream, -1), message.sequence)
    return dict(found)


def test_stream_in_order_is_all_delivered():
    """The plain case counts each message once."""
    ledger = subscriber()
    receive(ledger, *[token(0, sequence) for sequence in range(50)])
    assert {"delivered": 50, "duplicated": 0, "reordered": 0, "unexpected": 0, "late": 0} == counts(
        ledger
    )


def test_dropped_messages_are_missing_from_the_count():
    """A hole in the sequence is not delivered, whatever comes after it."""
    ledger = subscriber()
    receive(ledger, *[token(0, sequence) for sequence in range(20) if sequence not in (3, 4, 9)])
    assert 17 == ledger.delivered_count


def test_swapped_messages_are_delivered_and_one_is_reordered():
    """Reordering loses nothing."""
    ledger = subscriber()
    receive(ledger, *[token(0, sequence) for sequence in (0, 2, 1, 3)])
    assert (4, 1, 0) == (ledger.delivered_count, ledger.reordered, ledger.duplicated)


def test_duplicate_is_counted_apart_even_when_it_had_been_reordered():
    """A second copy is a duplicate, however the first came."""
    ledger = subscriber()
    receive(ledger, *[token(0, sequence) for sequence in (0, 2, 1, 1, 2, 0)])
    assert (3, 1, 3) == (ledger.delivered_count, ledger.reordered, ledger.duplicated)


def test_message_sent_before_the_confirmation_is_unexpected():
    """What was sent before the subscription was confirmed is neither owed nor lost."""
    ledger = subscriber()
    receive(ledger, token(0, 0, sent_ns=OWED_FROM_NS - 1), token(0, 1))
    assert (1, 1) == (ledger.delivered_count, ledger.unexpected)


def test_delivery_before_any_confirmation_is_unexpected():
    """A subscriber that is not confirmed is owed nothing."""
    ledger = SubscriberLedger(MessageTracker(RUN))
    receive(ledger, token(0, 0))
    assert (0, 1) == (ledger.delivered_count, ledger.unexpected)


def test_delivery_after_the_drain_is_late_and_not_delivered():
    """The drain's end is the last moment to count as delivered."""
    tracker = MessageTracker(RUN)
    ledger = subscriber(tracker)
    receive(ledger, token(0, 0))
    tracker.drained = True
    receive(ledger, token(0, 1))
    assert (1, 1, 2) == (ledger.delivered_count, ledger.late, ledger.received_count)


def test_message_of_another_run_is_ignored_and_counted():
    """Two runs on one channel do not spoil each other's ledgers."""
    ledger = subscriber()
    ledger.event(token(0, 0).to_bytes(needle_of("other")), 2_000_000)
    assert (0, 1) == (ledger.received_count, ledger.foreign)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(-5, 12)).map(
            lambda drawn: token(drawn[0], drawn[1] + 5, OWED_FROM_NS + drawn[1])
        ),
        max_size=80,
    )
)
def test_ledger_agrees_with_a_model_that_keeps_everything(deliveries):
    """Any loss, duplication and order over three streams gives the naive model's counts."""
    ledger = subscriber()
    receive(ledger, *deliveries)
    assert naive_counts(deliveries) == counts(ledger)


def test_message_entry_sums_over_its_subscribers():
    """A message's row counts the deliveries of all subscribers of the class."""
    tracker = MessageTracker(RUN)
    people = [subscriber(tracker) for _ in range(3)]
    for ledger in people:
        receive(ledger, token(0, 0))
    receive(people[0], token(0, 0))
    entry = tracker.find(0, 0)
    assert 3 == entry.take().size
    assert (3, 1) == (entry.delivered, entry.duplicated)


def test_stall_is_the_time_a_message_was_owed_and_none_came():
    """Waiting without anything owed is no stall; waiting for a sent message is."""
    ledger = subscriber()
    receive(ledger, token(0, 0, sent_ns=2_000), kernel_ns=2_300)
    receive(ledger, token(0, 1, sent_ns=900_000), kernel_ns=900_100)
    receive(ledger, token(0, 2, sent_ns=900_200), kernel_ns=950_000)
    assert 950_000 - 900_200 == ledger.longest_stall_ns


def test_backlog_after_a_stall_counts_the_stall_once():
    """Messages that queued behind a stall arrive together; the wait between them is nothing."""
    ledger = subscriber()
    for sequence in range(3):
        receive(ledger, token(0, sequence, 2_000 + sequence * 1_000), kernel_ns=9_000 + sequence)
    assert 9_000 - 2_000 == ledger.longest_stall_ns


def test_stall_behind_a_lost_message_counts_from_the_lost_one():
    """A message known to have been sent, and skipped here, was owed since it was sent."""
    tracker = MessageTracker(RUN)
    lucky, unlucky = subscriber(tracker), subscriber(tracker)
    receive(lucky, token(0, 0, 5_000), token(0, 1, 90_000), kernel_ns=90_500)
    receive(unlucky, token(0, 1, 90_000), kernel_ns=90_500)
    assert 90_500 - 5_000 == unlucky.longest_stall_ns


def test_quiet_messages_are_retired_with_their_frames():
    """Memory does not grow with the messages of a run."""
    tracker = MessageTracker(RUN)
    ledger = subscriber(tracker)
    known = ledger.event(token(0, 0).to_bytes(NEEDLE), 2_000)
    tracker.frame_cache[b"frame"] = known
    assert [known] == tracker.retire(everything=True)
    assert ({}, None) == (tracker.frame_cache, tracker.find(0, 0))


def test_recent_messages_are_not_retired():
    """A message is kept while deliveries of it may still come."""
    tracker = MessageTracker(RUN)
    receive(subscriber(tracker), token(0, 0))
    assert [] == tracker.retire()


def test_clock_offset_moves_arrivals_to_the_run_clock():
    """Arrival times are on the master's clock, receive delay on the worker's own."""
    tracker = MessageTracker(RUN, clock_offset_ns=1_000_000)
    receive(subscriber(tracker), token(0, 0), kernel_ns=5_000)
    assert [1_005_000] == tracker.find(0, 0).take().tolist()


def come_back(ledger, owed_from_ns):
    """Begin the next connection of a user, owed from then on."""
    ledger.begin_again()
    ledger.owed_from_ns = owed_from_ns


def test_next_connection_counts_only_its_own_deliveries():
    """Ten before the loss, five missed while away, three after it: the second row says three."""
    ledger = subscriber()
    receive(ledger, *[token(0, sequence) for sequence in range(10)])
    come_back(ledger, OWED_FROM_NS + 15)
    receive(ledger, *[token(0, sequence) for sequence in range(15, 18)])
    assert {"delivered": 3, "duplicated": 0, "reordered": 0, "unexpected": 0, "late": 0} == counts(
        ledger
    )


def test_message_of_an_earlier_connection_that_comes_again_is_duplicated():
    """A replay of what was received already is told from one of what was missed."""
    ledger = subscriber()
    receive(ledger, *[token(0, sequence) for sequence in range(10)])
    come_back(ledger, OWED_FROM_NS + 15)
    receive(ledger, token(0, 9), token(0, 12), token(0, 15))
    assert (1, 1, 1) == (ledger.delivered_count, ledger.duplicated, ledger.unexpected)


def test_time_away_is_no_stall_of_the_next_connection():
    """What was sent before a connection was owed anything does not make its first wait longer."""
    tracker = MessageTracker(RUN)
    other, ledger = subscriber(tracker), subscriber(tracker)
    receive(ledger, token(0, 0), kernel_ns=OWED_FROM_NS + 1)
    receive(other, *[token(0, sequence) for sequence in range(5)], kernel_ns=OWED_FROM_NS + 10)
    come_back(ledger, OWED_FROM_NS + 3_000)
    receive(ledger, token(0, 5, sent_ns=OWED_FROM_NS + 9_000), kernel_ns=OWED_FROM_NS + 9_500)
    assert 500 == ledger.longest_stall_ns


def test_first_owed_message_that_was_lost_begins_the_stall():
    """Others had it, this user did not: it waited from when that one was sent."""
    tracker = MessageTracker(RUN)
    other, ledger = subscriber(tracker), subscriber(tracker)
    messages = [
        token(0, sequence, sent_ns=OWED_FROM_NS + 1_000 * sequence) for sequence in (0, 1, 2)
    ]
    receive(other, *messages, kernel_ns=OWED_FROM_NS + 2_500)
    receive(ledger, messages[0], kernel_ns=OWED_FROM_NS + 100)
    receive(ledger, messages[2], kernel_ns=OWED_FROM_NS + 5_000)
    assert 4_000 == ledger.longest_stall_ns


@given(
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=4, unique=True),
    away=st.integers(0, 8),
    lost=st.sets(st.integers(0, 69), max_size=12),
)
def test_connections_of_a_user_add_up_to_what_it_was_owed_and_got(cuts, away, lost):
    """However often a user is cut off, each row counts the owed messages that came, once."""
    ledger = subscriber()
    rows, expected = [], []
    edges = [0, *sorted(cuts), 70]
    for start, end in itertools.pairwise(edges):
        owed_from = start if start == 0 else start + away
        if start:
            come_back(ledger, OWED_FROM_NS + owed_from)
        heard = [sequence for sequence in range(start, end) if sequence not in lost]
        present = [sequence for sequence in heard if sequence >= owed_from]
        receive(ledger, *[token(0, sequence) for sequence in present])
        rows.append(ledger.delivered_count)
        expected.append(len(present))
    assert expected == rows


def test_one_who_leaves_is_owed_what_was_sent_before_and_nothing_after():
    """Of two messages that arrive after the decision, the one sent earlier counts."""
    ledger = subscriber()
    receive(ledger, token(0, 0), token(0, 1))
    ledger.stop_owing(OWED_FROM_NS + 3)
    receive(ledger, token(0, 2), token(0, 3), token(0, 4))
    assert (3, 2) == (ledger.delivered_count, ledger.unexpected)
    come_back(ledger, OWED_FROM_NS + 10)
    receive(ledger, token(0, 10), token(0, 11))
    assert (2, 0) == (ledger.delivered_count, ledger.unexpected)


def test_a_million_deliveries_with_three_faults_are_counted_exactly():
    """One lost, one twice, one pair swapped among 1,000,000."""
    subscribers, messages = 1_000, 1_000
    tracker = MessageTracker(RUN)
    ledgers = [subscriber(tracker) for _ in range(subscribers)]
    for sequence in range(messages):
        known = entry_of(tracker, token(0, sequence))
        if sequence in (500, 501):  # The pair that one of them gets the wrong way round.
            other = entry_of(tracker, token(0, 1_001 - sequence))
            ledgers[7].delivered(other, 2_000_000)
        for ledger in ledgers[:7] + ledgers[8:] if sequence in (500, 501) else ledgers:
            if not (sequence == 777 and ledger is ledgers[3]):
                ledger.delivered(known, 2_000_000)
        if sequence == 888:
            ledgers[4].delivered(known, 2_000_000)
        known.take()
        tracker.take_receive_delays()
    assert subscribers * messages - 1 == sum(ledger.delivered_count for ledger in ledgers)
    assert [(3, messages - 1, 0, 0)] == faulty(ledgers, messages, "delivered_count")
    assert [(4, messages, 1, 0)] == faulty(ledgers, 0, "duplicated")
    assert [(7, messages, 0, 1)] == faulty(ledgers, 0, "reordered")


def faulty(ledgers, usual, count):
    """Return number and counts of each ledger where one count is not the usual."""
    return [
        (number, ledger.delivered_count, ledger.duplicated, ledger.reordered)
        for number, ledger in enumerate(ledgers)
        if usual != getattr(ledger, count)
    ]


def test_next_message_of_a_stream_is_unexpected_while_a_new_connection_settles():
    """It has the very sequence that was expected, but came before anything was owed again."""
    ledger = subscriber()
    receive(ledger, *[token(0, sequence) for sequence in range(3)])
    ledger.begin_again()
    receive(ledger, token(0, 3))
    ledger.owed_from_ns = OWED_FROM_NS + 5
    receive(ledger, token(0, 4), token(0, 5), token(0, 6))
    assert (2, 2) == (ledger.delivered_count, ledger.unexpected)


ACCOUNTS = 6
DELIVERIES = st.lists(st.tuples(st.integers(0, ACCOUNTS - 1), st.integers(0, 3_000)), max_size=14)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 1), st.integers(0, 9), DELIVERIES),
        st.tuples(st.sampled_from(["confirm", "again", "leave"]), st.integers(0, ACCOUNTS - 1)),
        st.tuples(st.sampled_from(["drain", "take"])),
    ),
    max_size=40,
)


def accounts_after(steps, offset_ns, *, together):
    """Return all that several accounts and their tracker know after the same steps."""
    tracker = MessageTracker(RUN, offset_ns)
    people = [subscriber(tracker) for _ in range(ACCOUNTS)]
    taken = []
    for kind, *drawn in steps:
        if kind == "come":
            stream, sequence, deliveries = drawn
            known = entry_of(tracker, token(stream, sequence, OWED_FROM_NS + 100 * sequence))
            hand_over(known, people, deliveries, together=together)
        elif kind == "confirm":
            people[drawn[0]].owed_from_ns = OWED_FROM_NS + 350
        elif kind == "again":
            people[drawn[0]].begin_again()
        elif kind == "leave":
            people[drawn[0]].stop_owing(OWED_FROM_NS + 550)
        elif kind == "drain":
            tracker.drained = True
        else:
            taken.append([sorted(message.take().tolist()) for message in tracker.live()])
    return taken, [known_of(ledger) for ledger in people], tracked_by(tracker)


def hand_over(known, people, deliveries, *, together):
    """Deliver a message to the people drawn, at the times drawn, in this order."""
    to = [people[number] for number, _ in deliveries]
    stamps_ns = [OWED_FROM_NS + after_ns for _, after_ns in deliveries]
    if together and to:
        to[0].delivered_together(known, to, np.array(stamps_ns, np.int64))
    elif not together:
        for ledger, stamp_ns in zip(to, stamps_ns, strict=True):
            ledger.delivered(known, stamp_ns)


def known_of(ledger):
    """Return an account, all of it."""
    slots = [name for name in SubscriberLedger.__slots__ if name != "tracker"]
    values = {name: getattr(ledger, name) for name in slots}
    return values, type(ledger.expected), counts(ledger)


def tracked_by(tracker):
    """Return what a tracker knows of each message, with arrivals and delays in order."""
    rows = {}
    for message in tracker.live():
        arrivals = sorted(message.take().tolist())
        names = (
            "delivered",
            "duplicated",
            "reordered",
            "late",
            "unexpected",
            "first_ns",
            "last_ns",
        )
        rows[message.stream, message.sequence] = arrivals, [getattr(message, n) for n in names]
    return rows, sorted(tracker.take_receive_delays().tolist())


@given(steps=STEPS, offset_ns=st.sampled_from([0, 77, -250]))
def test_message_told_together_counts_as_if_told_to_each(steps, offset_ns):
    """Gaps, copies, what is late or not owed, who comes back or leaves: the accounts are equal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.measure.ledger.time_ns", lambda: 1_000_000)
        one_by_one = accounts_after(steps, offset_ns, together=False)
        assert one_by_one == accounts_after(steps, offset_ns, together=True)


def test_what_must_not_be_late_is_woken_by_a_message_told_together():
    """Once, after all of them are accounted for."""
    tracker = MessageTracker(RUN)
    people = [subscriber(tracker) for _ in range(3)]
    woken = []
    tracker.publish_due_at_ns = 0
    tracker.publish_due = lambda: woken.append(sum(ledger.delivered_count for ledger in people))
    known = entry_of(tracker, token(0, 0))
    people[0].delivered_together(known, people, np.full(3, 2_000_000))
    assert [3] == woken


def chatter(tracker, own):
    """A subscriber that is not owed these messages, its own."""
    ledger = subscriber(tracker)
    ledger.owe_no_own()
    ledger.own.update((0, sequence) for sequence in own)
    return ledger


def test_own_message_that_does_not_come_is_neither_delivered_nor_a_stall():
    """Two of four messages are its own; the others are all it is owed."""
    ledger = chatter(MessageTracker(RUN), own=(1, 2))
    receive(ledger, token(0, 0, 2_000_000), kernel_ns=2_000_001)
    receive(ledger, token(0, 3, 9_000_000), kernel_ns=9_000_002)
    assert counts(ledger) == Counter(delivered=2, duplicated=0, reordered=0, unexpected=0, late=0)
    assert 2 == ledger.longest_stall_ns


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_own_message_that_comes_all_the_same_is_unexpected(order):
    """In whatever order the messages come, and however often."""
    ledger = chatter(MessageTracker(RUN), own=(1, 2))
    receive(ledger, *(token(0, sequence) for sequence in order))
    assert (2, 2) == (ledger.delivered_count, ledger.unexpected)
    receive(ledger, *(token(0, sequence) for sequence in (1, 2)))
    assert (2, 4, 0) == (ledger.delivered_count, ledger.unexpected, ledger.duplicated)
    receive(ledger, *(token(0, sequence) for sequence in (0, 3)))
    assert (2, 4, 2) == (ledger.delivered_count, ledger.unexpected, ledger.duplicated)


def test_own_message_is_told_from_others_on_the_next_connection():
    """A user who comes back is owed the others again, and still none of its own."""
    ledger = chatter(MessageTracker(RUN), own=(1, 3))
    receive(ledger, token(0, 0), token(0, 1))
    come_back(ledger, OWED_FROM_NS + 2)
    receive(ledger, token(0, 2), token(0, 3), token(0, 4))
    assert (2, 1) == (ledger.delivered_count, ledger.unexpected)
