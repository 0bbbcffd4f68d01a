"""Reading in rounds: when the loop rests, and for how long."""

import time

import gevent

from harness.net.moderation import REST_NS, ReadModeration

REST_S = REST_NS / 1e9
WATCHED_S = 0.2


def rounds(may_rest):
    """Return how often a loop that never lacks work goes round while it is watched."""
    moderation = ReadModeration(may_rest)
    moderation.start()
    try:
        count, end_s = 0, time.monotonic() + WATCHED_S
        while time.monotonic() < end_s:
            gevent.sleep(1e-6)
            count += 1
    finally:
        moderation.stop()
    return count


def test_a_round_that_brought_messages_is_followed_by_a_rest():
    """Each round lasts a rest at least, so no more of them fit in than that allows."""
    assert 1 < rounds(lambda: True) <= WATCHED_S / REST_S + 1


def test_rounds_without_messages_are_not_slowed():
    """A loop with nothing to receive goes round far more often than rests would let it."""
    assert rounds(lambda: False) > 3 * WATCHED_S / REST_S


def test_a_timer_is_late_by_no_more_than_a_few_rests():
    """Resting does not add up: a sleep of 50 ms ends soon after 50 ms."""
    moderation = ReadModeration(lambda: True)
    moderation.start()
    before_s = time.monotonic()
    gevent.sleep(0.05)
    moderation.stop()
    assert time.monotonic() - before_s < 0.05 + 20 * REST_S
