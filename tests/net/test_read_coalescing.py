import socket
import time

import gevent
import pytest

from harness.net.ring_reading import COALESCING_DELAY_NS, ReadCoalescing
from tests.support.waiting import PATIENCE_S, wait_for

REST_S = COALESCING_DELAY_NS / 1e9
WATCHED_S = 0.2


class Counter:
    """Counts how often something arrived."""

    def __init__(self):
        self.count = 0

    def arrived(self, data, kernel_ns):
        assert data
        assert kernel_ns
        self.count += 1

    def broken(self, error):
        raise AssertionError(error)


@pytest.fixture
def moderate(any_reader, monkeypatch):
    """Return a function that lets a byte come at a time; it counts reads, and rests that fit in."""
    monkeypatch.setattr("harness.net.ring_reading.reader", lambda: any_reader)

    def count_of_reads(may_rest):
        counter, read_coalescing = Counter(), ReadCoalescing(may_rest)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            any_reader.add(ours, counter)
            read_coalescing.start()
            began_s = time.monotonic()
            while time.monotonic() < began_s + WATCHED_S:
                theirs.send(b"x")
                gevent.sleep(1e-6)
            read_coalescing.stop()
            took_s = time.monotonic() - began_s
            any_reader.remove(ours)
        return counter.count, took_s / REST_S

    return count_of_reads


def test_each_round_of_messages_begins_with_a_rest(moderate):
    """A round lasts a rest at least, so no more of them fit in than that allows."""
    reads, rests = moderate(lambda: True)
    assert 1 < reads <= rests + 1


def test_rounds_are_not_slowed_where_resting_is_not_allowed(moderate):
    """Far more of them fit in than rests would let, once the machine has time for them."""
    wait_for(lambda: is_unslowed(moderate))


def test_reader_goes_on_at_once_after_the_end_of_moderation(moderate):
    """What a run has set is not left to the next one on the same loop."""
    moderate(lambda: True)
    wait_for(lambda: is_unslowed(moderate))


def is_unslowed(moderate):
    """Whether there were far more reads than there would be with rests."""
    reads, rests = moderate(lambda: False)
    return reads > 3 * rests


def test_a_timer_is_late_by_no_more_than_a_few_rests(moderate):
    """Resting does not add up: a sleep of 50 ms ends soon after 50 ms, whatever comes meanwhile."""

    def sleep_once():
        before_s = time.monotonic()
        gevent.sleep(0.05)
        return time.monotonic() - before_s - 0.05

    def is_punctual():
        sleeper = gevent.spawn(sleep_once)
        moderate(lambda: True)
        return sleeper.get(timeout=PATIENCE_S) < 20 * REST_S

    wait_for(is_punctual)  # A busy machine may be late for other reasons, but not every time.
