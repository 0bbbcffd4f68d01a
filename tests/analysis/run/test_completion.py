import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure.histogram import ArrivalBins
from tests.analysis.run.test_ledger import ledgers
from tests.support.records import EPOCH_NS, arrival, at, connection, publish


def arrivals_after(index, *offsets_ms, **changes):
    """Return a row of arrivals for message ``index``, due at 5 s, with its bins."""
    bins = ArrivalBins()
    bins.add(np.array([round(offset * 1e6) for offset in offsets_ms]))
    first_s, last_s = 5 + min(offsets_ms) / 1000, 5 + max(offsets_ms) / 1000
    row = arrival(index, len(offsets_ms), first_s, last_s)
    return row | {"arrival_bins": bins.pairs()} | changes


def reached_ms(row, name):
    """Return how long after it was due a message had reached a share of its subscribers."""
    return (int(row[f"{name}_arrival_ns"]) - at(5.0)) / 1e6


def message(arrivals, subscribers):
    """Return the one message of a run with this many subscribers."""
    people = [connection(user, 1.0) for user in range(subscribers)]
    messages, _ = ledgers([publish(0, 5.0)], arrivals, people)
    return messages.iloc[0]


def test_half_and_99_percent_are_those_of_the_subscribers_owed():
    """Of 100 subscribers the 50th had it after 50 ms and the 99th after 99 ms."""
    row = message([arrivals_after(0, *range(1, 101))], 100)
    assert 50 == pytest.approx(reached_ms(row, "half"), rel=0.0625)
    assert 99 == pytest.approx(reached_ms(row, "p99"), rel=0.0625)


def test_workers_and_kinds_of_users_are_merged():
    """Two workers with 50 subscribers each give what one worker with 100 gives."""
    apart = [
        arrivals_after(0, *range(1, 51)),
        arrivals_after(0, *range(51, 91), worker=1),
        arrivals_after(0, *range(91, 101), worker=1, user_class="chatter"),
    ]
    together = message([arrivals_after(0, *range(1, 101))], 100)
    merged = message(apart, 100)
    for name in ("first", "half", "p99", "last"):
        assert reached_ms(together, name) == reached_ms(merged, name)


def test_a_message_that_never_reached_so_many_has_no_time_for_it():
    """60 of 100 had it: half is known, 99 % never was."""
    row = message([arrivals_after(0, *range(1, 61))], 100)
    assert 50 == pytest.approx(reached_ms(row, "half"), rel=0.0625)
    assert row.isna()["p99_arrival_ns"]


@pytest.mark.parametrize("bins", [None, [3], [3, -1], [100_000, 2], [3, 1], [2**40, 2]], ids=str)
def test_bins_that_are_missing_or_damaged_leave_the_time_unknown(bins):
    """What the record does not hold is null, and the first and last arrival stay."""
    row = message([arrivals_after(0, 10, 20, arrival_bins=bins)], 2)
    assert row.isna()[["half_arrival_ns", "p99_arrival_ns"]].all()
    assert (10, 20) == (reached_ms(row, "first"), reached_ms(row, "last"))


def test_messages_do_not_mix():
    """Each message has its own times; one without arrivals has none."""
    publishes = [publish(n, 5.0) for n in range(3)]
    arrivals = [arrivals_after(2, 80, 90), arrivals_after(0, 10, 20)]
    messages, _ = ledgers(publishes, arrivals, [connection(0, 1.0), connection(1, 1.0)])
    assert [True, False, True] == messages["half_arrival_ns"].notna().tolist()
    assert 10 == pytest.approx(reached_ms(messages.iloc[0], "half"), rel=0.0625)
    assert 80 == pytest.approx(reached_ms(messages.iloc[2], "half"), rel=0.0625)


offsets = st.lists(st.floats(0.01, 5000.0), min_size=1, max_size=60)


@settings(max_examples=40)  # Each is a table of its own.
@given(offsets)
def test_the_time_is_within_a_bin_of_the_exact_one(offsets_ms):
    """The bins cost at most their width of 6.25 %, and never pass the first or last arrival."""
    row = message([arrivals_after(0, *offsets_ms)], len(offsets_ms))
    in_order = sorted(round(offset * 1e6) / 1e6 for offset in offsets_ms)
    for name, share in (("half", 0.5), ("p99", 0.99)):
        exact = in_order[int(np.ceil(share * len(in_order))) - 1]
        assert exact == pytest.approx(reached_ms(row, name), rel=0.0625, abs=0.002)
        assert row["first_arrival_ns"] <= row[f"{name}_arrival_ns"] <= row["last_arrival_ns"]
    assert EPOCH_NS < row["first_arrival_ns"]
