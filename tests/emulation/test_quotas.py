import multiprocessing
import time

import pytest

from harness.emulation.quotas import WINDOWS, ConnectionRate, Rate
from harness.emulation.worker import WorkerContext
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def rate_of(tmp_path):
    """Return a rate as one of two processes sees it."""
    return lambda index, limit_per_s: Rate(WorkerContext(tmp_path, index, 2), "test", limit_per_s)


def test_rate_allows_its_limit_each_second(rate_of, now_s):
    """What a second does not use is lost, and the next one has its own."""
    rate = rate_of(0, 5)
    assert [True] * 5 + [False] == [rate.take() for _ in range(6)]
    now_s[0] += 0.999
    assert not rate.take()
    now_s[0] += 0.001
    assert [True] * 5 + [False] == [rate.take() for _ in range(6)]


def test_rate_is_shared_by_processes(rate_of, now_s):
    """What one has taken the other cannot."""
    first, second = (rate_of(index, 5) for index in (0, 1))
    assert first.take(3)
    assert not second.take(3)
    assert second.take(2)
    assert not first.take()
    assert not second.take()


def test_amount_is_taken_whole_or_not_at_all(rate_of, now_s):
    """A batch that does not fit leaves the room to smaller ones."""
    rate = rate_of(0, 5)
    assert [True, False, True] == [rate.take(3), rate.take(3), rate.take(2)]
    now_s[0] += 1
    assert not rate.take(6)


def test_rate_below_one_a_second_allows_one_in_several(rate_of, now_s):
    """Every fourth second one may pass where the limit is a quarter."""
    rate = rate_of(0, 0.25)
    taken = []
    for _ in range(12):
        taken.append(rate.take())
        now_s[0] += 1
    assert [True, False, False, False] * 3 == taken


def test_table_forgets_old_seconds(rate_of, now_s):
    """When a cell comes round again, what it held counts no more."""
    first, second = (rate_of(index, 5) for index in (0, 1))
    assert first.take(5)
    now_s[0] += WINDOWS
    assert second.take(5)
    assert not first.take()


def test_reservations_spread_evenly_over_the_seconds_to_come(rate_of, now_s):
    """Ten with four a second: four now, four in the next second, two in the one after."""
    rate = rate_of(0, 4)
    assert [0, 0, 0, 0, 1, 1.25, 1.5, 1.75, 2, 2.25] == [rate.reserve() for _ in range(10)]
    now_s[0] += 1.5
    assert 1.0 == rate.reserve()


def test_reservation_further_ahead_than_the_table_is_refused(rate_of, now_s):
    """What could not leave for a minute is not kept."""
    rate = rate_of(0, 1)
    waits = [rate.reserve() for _ in range(WINDOWS)]
    assert float(WINDOWS - 2) == waits[-2]
    assert waits[-1] is None


def test_reservation_above_the_limit_has_a_second_to_itself(rate_of, now_s):
    """An event of many steps leaves all the same, one a second."""
    rate = rate_of(0, 10)
    assert [0.0, 1.0, 2.0] == [rate.reserve(48) for _ in range(3)]


def take_for_two_seconds(context, start, ready, taken):
    rate = Rate(context, "test", 2000)
    ready.wait(PATIENCE_S)
    start_s = start.get(timeout=PATIENCE_S)
    count = {start_s: 0, start_s + 1: 0}
    while (second := int(time.monotonic())) < start_s + 2:
        if second >= start_s:
            count[second] += rate.take()
    taken.put(count)


def test_two_processes_together_take_what_the_limit_allows(tmp_path):
    """Racing as fast as they can, they exceed it by what they took at one instant at most."""
    context = multiprocessing.get_context("spawn")
    start, ready, taken = context.Queue(), context.Barrier(3), context.Queue()
    places = [WorkerContext(tmp_path, index, 2) for index in (0, 1)]
    arguments = [(place, start, ready, taken) for place in places]
    racers = [context.Process(target=take_for_two_seconds, args=each) for each in arguments]
    for racer in racers:
        racer.start()
    ready.wait(PATIENCE_S)
    start_s = int(time.monotonic()) + 2
    for _ in racers:
        start.put(start_s)
    first, second = (taken.get(timeout=PATIENCE_S) for _ in racers)
    for racer in racers:
        racer.join(PATIENCE_S)
    for second_s in (start_s, start_s + 1):
        assert 1990 <= first[second_s] + second[second_s] <= 2010


def test_connection_rate_allows_its_limit_each_second(now_s):
    """Each connection has its own."""
    one, other = ConnectionRate(2), ConnectionRate(2)
    assert [True, True, False] == [one.take() for _ in range(3)]
    assert other.take()
    now_s[0] += 1
    assert one.take()
