import gc
import weakref

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from harness.core.metric_types import PERCENTILES
from harness.measure.histogram import (
    BIN_COUNT,
    HIGHEST_NS,
    LOWEST_NS,
    ArrivalBins,
    LatencyHistogram,
    bins_of,
    edges_ns,
    log_header,
    log_line,
)

LATENCIES = st.lists(st.integers(min_value=0, max_value=HIGHEST_NS), max_size=200)


def filled(values):
    histogram = LatencyHistogram()
    histogram.record_many(np.array(values, dtype=np.int64))
    return histogram


@given(LATENCIES)
def test_array_of_values_lands_where_the_library_puts_each(values):
    """The vectorised step agrees with HdrHistogram's own, bucket for bucket."""
    library = HdrHistogram(LOWEST_NS, HIGHEST_NS, 3)
    for value in values:
        library.record_value(value)
    ours = filled(values).hdr
    assert list(library.counts) == list(ours.counts)
    assert (library.total_count, library.max_value) == (ours.total_count, ours.max_value)


@given(LATENCIES, LATENCIES, LATENCIES)
def test_merging_is_associative_and_equals_recording_together(a, b, c):
    """Workers' histograms may be merged in any order."""
    left, right = filled(a), filled(b)
    left.add_encoded(filled(b).encode())
    left.add_encoded(filled(c).encode())
    right.add_encoded(filled(c).encode())
    whole = filled(a)
    whole.add_encoded(right.encode())
    together = list(filled(a + b + c).hdr.counts)
    assert together == list(left.hdr.counts)
    assert together == list(whole.hdr.counts)


@given(LATENCIES)
def test_merging_an_empty_histogram_changes_nothing(values):
    """The empty histogram is the identity of merging."""
    histogram = filled(values)
    histogram.add_encoded(LatencyHistogram().encode())
    assert list(filled(values).hdr.counts) == list(histogram.hdr.counts)


def test_values_outside_the_range_are_counted_and_not_recorded():
    """Nothing is clamped and nothing disappears."""
    histogram = filled([-1, 5_000, HIGHEST_NS + 1, -7])
    histogram.record(-2)
    histogram.record(2 * HIGHEST_NS)
    assert (1, 3, 2) == (histogram.count, histogram.negative_count, histogram.out_of_range_count)


def test_percentiles_of_known_values():
    """One to a hundred milliseconds have the percentiles one expects, to three figures."""
    found = filled([ms * 1_000_000 for ms in range(1, 101)]).percentiles_ms()
    expected = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 100, "max": 100}
    assert {name: round(value, 1) for name, value in found.items()} == expected


@given(LATENCIES.filter(bool))
def test_percentiles_are_the_librarys_own(values):
    """The quick way to them gives what the library finds bucket by bucket."""
    histogram = filled(values)
    library = histogram.hdr.get_percentile_to_value_dict(list(PERCENTILES.values()))
    found = histogram.percentiles_ms()
    assert [value / 1e6 for value in library.values()] == [found[name] for name in PERCENTILES]


def test_looking_at_the_counts_leaves_nothing_behind():
    """An hour of seconds must not cost memory: ctypes keeps what an array was cast to."""
    histogram = LatencyHistogram()
    for _ in range(3):
        histogram.record_many(np.arange(1, 2_000_000, 999))
        assert histogram.percentiles_ms()["max"]
        histogram.clear()
    assert not histogram.hdr.counts._objects


def test_percentiles_of_nothing_are_none():
    """No data is not zero."""
    assert {None} == set(LatencyHistogram().percentiles_ms().values())


def test_log_is_read_by_the_library_with_its_tag(tmp_path):
    """HdrHistogram's own reader takes our log: tag, start and values."""
    log = tmp_path / "run.hlog"
    line = log_line("fan_out_latency.subscriber.measure", 7, 1.0, filled([2_000_000] * 5))
    log.write_text(log_header(1_700_000_000.0) + line)
    reader = HistogramLogReader(str(log), HdrHistogram(LOWEST_NS, HIGHEST_NS, 3))
    found = reader.get_next_interval_histogram()
    reader.input_file.close()
    assert "fan_out_latency.subscriber.measure" == found.get_tag()
    assert 5 == found.get_total_count()
    assert 1_700_000_007_000 == found.get_start_time_stamp()


def histograms():
    """Return how many of the library's there are."""
    return sum(type(one) is HdrHistogram for one in gc.get_objects())


def test_histogram_goes_when_its_last_user_does():
    """300 KB each, several a second: none may wait for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        before = histograms()
        histogram, other = LatencyHistogram(), LatencyHistogram()
        other.record_many(np.array([5_000_000]))
        histogram.add_encoded(other.encode())
        assert 1 == histogram.count
        assert histogram.percentiles_ms()["max"] is not None
        histogram.clear()
        gone = weakref.ref(histogram.hdr)
        del histogram, other
        assert gone() is None
        assert before == histograms()
    finally:
        gc.enable()


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
