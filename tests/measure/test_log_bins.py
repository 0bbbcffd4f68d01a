"""Coarse bins of latencies: what they hold, how wide they are, how they merge."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.log_bins import BIN_COUNT, ArrivalBins, bins_of, edges_ns

inside = st.integers(1024, 2**42 - 1)


@given(inside)
def test_a_value_lies_in_its_bin(value_ns):
    """From the bin's beginning, inclusive, to its end."""
    (place,) = bins_of(np.array([value_ns]))
    assert edges_ns()[place] <= value_ns < edges_ns()[place + 1]


def test_bins_touch_and_are_3_to_6_percent_wide():
    """From a microsecond to more than an hour without a hole."""
    edges = edges_ns()
    widths = edges[1:] / edges[:-1] - 1
    assert (1024, 2.0**42) == (edges[0], edges[-1])
    assert pytest.approx([1 / 32, 1 / 16]) == [widths.min() * 31 / 32, widths.max()]


@pytest.mark.parametrize(
    ("value_ns", "place"),
    [(-5, 0), (0, 0), (1023, 0), (2**42, BIN_COUNT - 1), (2**62, BIN_COUNT - 1)],
)
def test_a_value_outside_goes_to_the_outermost_bin(value_ns, place):
    """Nothing is dropped."""
    assert [place] == bins_of(np.array([value_ns])).tolist()


def test_pairs_name_the_bins_that_are_filled():
    """Two deliveries after 1 ms and one after 2 ms, an octave of 16 bins later."""
    bins = ArrivalBins()
    bins.add(np.array([1_000_000, 2_000_000]))
    bins.add(np.array([1_000_000]))
    first, count, second, one = bins.pairs()
    assert (2, 1, 16) == (count, one, second - first)


def test_nothing_added_is_no_pair():
    """A message that nobody was owed takes no room in the record."""
    bins = ArrivalBins()
    bins.add(np.empty(0, np.int64))
    assert [] == bins.pairs()


@given(st.lists(inside, max_size=50), st.lists(inside, max_size=50))
def test_adding_in_two_steps_is_adding_at_once(some, more):
    """Bins merge by adding up, whatever came first."""
    twice, once = ArrivalBins(), ArrivalBins()
    twice.add(np.array(more, np.int64))
    twice.add(np.array(some, np.int64))
    once.add(np.array(some + more, np.int64))
    assert once.pairs() == twice.pairs()
