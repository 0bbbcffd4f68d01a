import random

import pytest

from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.clock_offset import DRIFT_RATIO, OffsetEstimator, Reading

AHEAD_NS = 300 * NS_PER_MS
START_NS = 1_700_000_000 * NS_PER_S


class TwoClocks:
    """Ours, which tells true time, and another that is ahead of it and drifts.

    Args:
        drift_ratio: How much faster the other one goes.
    """

    def __init__(self, drift_ratio=0.0):
        self.now_ns = START_NS
        self.drift_ratio = drift_ratio
        self.stepped_ns = 0

    def truth_ns(self):
        """Return the other clock minus ours."""
        gained_ns = round((self.now_ns - START_NS) * self.drift_ratio)
        return AHEAD_NS + gained_ns + self.stepped_ns

    def exchange(self, there_ns, back_ns):
        """Ask, with these delays on the way there and back."""
        asked_ns = self.now_ns
        self.now_ns += there_ns
        answered_ns = self.now_ns + self.truth_ns()
        self.now_ns += back_ns
        return Reading(asked_ns, answered_ns, self.now_ns)


def test_equal_delays_tell_the_offset_exactly():
    """20 ms there and back: the offset is right, the bound is the 20 ms it could have been off."""
    reading = TwoClocks().exchange(20 * NS_PER_MS, 20 * NS_PER_MS)
    assert AHEAD_NS == reading.offset_ns
    assert 20 * NS_PER_MS == reading.error_ns(reading.returned_ns)


@pytest.mark.parametrize(("there_ms", "back_ms", "off_ms"), [(30, 0, 15), (0, 30, -15)])
def test_delay_on_one_way_only_is_wrong_by_the_whole_bound(there_ms, back_ms, off_ms):
    """The worst there can be: the error is the bound, and not more."""
    reading = TwoClocks().exchange(there_ms * NS_PER_MS, back_ms * NS_PER_MS)
    assert off_ms * NS_PER_MS == reading.offset_ns - AHEAD_NS
    assert 15 * NS_PER_MS == reading.error_ns(reading.returned_ns)


def test_quickest_of_many_exchanges_is_believed():
    """One quick exchange among slow and lopsided ones decides."""
    clocks, estimator = TwoClocks(), OffsetEstimator()
    for there_ms, back_ms in [(40, 5), (90, 1), (1, 1), (70, 2), (25, 60)]:
        estimator.add(clocks.exchange(there_ms * NS_PER_MS, back_ms * NS_PER_MS))
    found = estimator.estimate(clocks.now_ns)
    assert (AHEAD_NS, 2 * NS_PER_MS) == (found.offset_ns, found.round_trip_ns)


def test_bound_grows_with_the_age_of_the_reading():
    """Ten seconds later a drift of 500 ppm may have added 5 ms."""
    clocks, estimator = TwoClocks(), OffsetEstimator()
    estimator.add(clocks.exchange(NS_PER_MS, NS_PER_MS))
    found = estimator.estimate(clocks.now_ns + 10 * NS_PER_S)
    assert NS_PER_MS + 5 * NS_PER_MS == found.error_ns


@pytest.mark.parametrize("drift_ratio", [0.0, 50e-6, -200e-6, DRIFT_RATIO])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_error_never_exceeds_its_bound_under_jitter_and_drift(seed, drift_ratio):
    """Two exchanges a second for five minutes, lopsided and jittered: the truth is within."""
    random.seed(seed)
    clocks, estimator = TwoClocks(drift_ratio), OffsetEstimator()
    for _ in range(600):
        there_ns = round(random.expovariate(1 / (8 * NS_PER_MS))) + NS_PER_MS
        back_ns = round(random.expovariate(1 / (2 * NS_PER_MS))) + NS_PER_MS
        assert 0 == estimator.add(clocks.exchange(there_ns, back_ns))
        clocks.now_ns += NS_PER_S // 2
        found = estimator.estimate(clocks.now_ns)
        assert abs(found.offset_ns - clocks.truth_ns()) <= found.error_ns + 1
    assert found.error_ns < 12 * NS_PER_MS


def test_clock_that_was_set_is_found_and_followed():
    """A step of 80 ms contradicts what was known; from then on only the new readings count."""
    clocks, estimator = TwoClocks(), OffsetEstimator()
    for _ in range(10):
        estimator.add(clocks.exchange(NS_PER_MS, NS_PER_MS))
    clocks.stepped_ns = 80 * NS_PER_MS
    assert 80 * NS_PER_MS == estimator.add(clocks.exchange(NS_PER_MS, NS_PER_MS))
    found = estimator.estimate(clocks.now_ns)
    assert (AHEAD_NS + 80 * NS_PER_MS, NS_PER_MS) == (found.offset_ns, found.error_ns)


def test_exchange_during_which_our_clock_was_set_back_says_nothing():
    """A return before the asking is no reading."""
    estimator = OffsetEstimator()
    estimator.add(Reading(START_NS, START_NS, START_NS - 1))
    assert estimator.estimate(START_NS) is None
