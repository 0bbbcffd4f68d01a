"""Mergeable latency histograms: HdrHistogram, filled from arrays instead of value by value.

A worker takes up to 100,000 latencies a second. ``HdrHistogram.record_value`` costs about 1 µs
each in Python, so a second's values are collected in an array and added in one vectorised step;
storage, merging, percentiles and encoding stay the library's.

Where a full histogram would be too large, ``ArrivalBins`` counts in coarse logarithmic bins.
"""

import sys
import weakref
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

from harness.core.metric_types import PERCENTILES, STATISTICS

LOWEST_NS = 1_000
HIGHEST_NS = 3_600_000_000_000
SIGNIFICANT_FIGURES = 3

Int64Array = npt.NDArray[np.int64]


class LatencyHistogram:
    """Counts of latencies in nanoseconds, three significant figures, 1 µs to one hour.

    Values that do not fit are never clamped: they are counted separately.

    Attributes:
        negative_count: Values below zero, which only a clock fault can cause.
        lowest_ns: The lowest of them, 0 where there are none.
        out_of_range_count: Values above one hour.
    """

    def __init__(self) -> None:
        self.hdr = _without_cycle(HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_FIGURES))
        self.negative_count = 0
        self.lowest_ns = 0
        self.out_of_range_count = 0

    @property
    def count(self) -> int:
        """Number of values recorded."""
        return int(self.hdr.total_count)

    def record(self, value_ns: int) -> None:
        """Count one value, in nanoseconds."""
        if value_ns < 0:
            self.negative_count += 1
            self.lowest_ns = min(self.lowest_ns, value_ns)
        elif value_ns > HIGHEST_NS:
            self.out_of_range_count += 1
        else:
            self.hdr.record_value(value_ns)

    def record_many(self, values_ns: Int64Array) -> None:
        """Count an array of values, in nanoseconds, any shape ``(n,)``."""
        fits = (values_ns >= 0) & (values_ns <= HIGHEST_NS)
        if not fits.all():
            self.negative_count += int((values_ns < 0).sum())
            self.lowest_ns = min(self.lowest_ns, int(values_ns.min()))
            self.out_of_range_count += int((values_ns > HIGHEST_NS).sum())
            values_ns = values_ns[fits]
        if values_ns.size == 0:
            return
        counts = np.bincount(self._indexes(values_ns), minlength=self.hdr.counts_len)
        view = self.counts()
        view += counts.astype(view.dtype)
        self.hdr.total_count += int(values_ns.size)
        self.hdr.min_value = min(self.hdr.min_value, int(values_ns.min()))
        self.hdr.max_value = max(self.hdr.max_value, int(values_ns.max()))

    def clear(self) -> None:
        """Count from nothing again; cheaper than another histogram of 300 KB each second."""
        hdr = self.hdr
        self.counts()[:] = 0
        hdr.total_count, hdr.min_value, hdr.max_value = 0, sys.maxsize, 0
        self.negative_count = self.lowest_ns = self.out_of_range_count = 0

    def counts(self) -> npt.NDArray[np.uint64]:
        """Return the library's own counts as an array that shares their memory."""
        # Not by way of a pointer: an array of ctypes keeps each that it was ever cast to.
        return np.frombuffer(self.hdr.counts, np.uint64)

    def _indexes(self, values_ns: Int64Array) -> Int64Array:
        """Return each value's place in the counts, as ``HdrHistogram`` computes it for one."""
        hdr = self.hdr
        widest = (values_ns | hdr.sub_bucket_mask).astype(np.float64)
        # frexp's exponent is the bit length, exact because the highest value is below 2**53.
        bit_length = np.frexp(widest)[1].astype(np.int64)
        bucket = bit_length - hdr.unit_magnitude - (hdr.sub_bucket_half_count_magnitude + 1)
        sub_bucket = values_ns >> (bucket + hdr.unit_magnitude)
        base = (bucket + 1) << hdr.sub_bucket_half_count_magnitude
        indexes: Int64Array = base + sub_bucket - hdr.sub_bucket_half_count
        return indexes

    def encode(self) -> str:
        """Return the HdrHistogram V2 compressed payload, base64."""
        payload: bytes = self.hdr.encode()
        return payload.decode("ascii")

    def add_encoded(self, payload: str) -> None:
        """Merge a payload made by ``encode``."""
        self.hdr.add(_without_cycle(HdrHistogram.decode(payload)))

    def percentiles_ms(self) -> dict[str, float | None]:
        """Return ``STATISTICS`` in milliseconds; all None when empty."""
        if self.count == 0:
            return dict.fromkeys(STATISTICS)
        hdr = self.hdr
        # The library walks every bucket in Python for this; once a second a row that is 2 ms each.
        reached = np.cumsum(self.counts())
        wanted = [hdr.get_target_count_at_percentile(p) for p in PERCENTILES.values()]
        places = np.searchsorted(reached, wanted).tolist()
        values: dict[str, float | None] = {
            name: hdr.get_highest_equivalent_value(hdr.get_value_from_index(place)) / 1e6
            for name, place in zip(PERCENTILES, places, strict=True)
        }
        values["max"] = hdr.get_max_value() / 1e6
        return values


def _without_cycle(hdr: HdrHistogram) -> HdrHistogram:
    """Return a histogram that is freed with its last reference.

    It and its encoder refer to each other, so that its 300 KB would wait for the garbage collector:
    a master makes several of them a second, and grew by 20 MB between two collections.
    """
    hdr.encoder.histogram = weakref.proxy(hdr)
    return hdr


def log_line(tag: str, start_s: float, length_s: float, histogram: LatencyHistogram) -> str:
    """Return one interval line of an HdrHistogram log, times in seconds, maximum in ms.

    The library's own writer cannot write tags, which its reader and the Java tools understand.
    Source: HdrHistogram ``HistogramLogWriter.java``, log format version 1.3.
    """
    max_ms = histogram.hdr.get_max_value() / 1e6
    return f"Tag={tag},{start_s:.3f},{length_s:.3f},{max_ms:.3f},{histogram.encode()}\n"


def log_header(epoch_s: float) -> str:
    """Return the head of an HdrHistogram log whose interval times count from ``epoch_s``."""
    return (
        "#[Histogram log format version 1.3]\n"
        f"#[BaseTime: {epoch_s:.3f} (seconds since epoch)]\n"
        f"#[StartTime: {epoch_s:.3f} (seconds since epoch)]\n"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )


BINS_PER_OCTAVE: Final = 16
"""Each bin is 3 to 6 % wide. A full histogram for each message would be larger than the message."""

_FIRST_OCTAVE: Final = 10
"""Bin 0 takes everything below 2**10 ns, about a microsecond."""
_OCTAVES: Final = 32
BIN_COUNT: Final = _OCTAVES * BINS_PER_OCTAVE
"""The last bin takes everything from 2**42 ns, more than an hour."""


def bins_of(values_ns: Int64Array) -> Int64Array:
    """Return the bin of each value, in ns, shape (n,); values outside go to the outermost bins."""
    inside = np.clip(values_ns, 2**_FIRST_OCTAVE, 2 ** (_FIRST_OCTAVE + _OCTAVES) - 1)
    # A value is mantissa * 2**exponent, with a mantissa from 0.5 up to 1.
    mantissa, exponent = np.frexp(inside.astype(np.float64))
    steps = BINS_PER_OCTAVE * (2.0 * mantissa + exponent)
    bins: Int64Array = steps.astype(np.int64) - BINS_PER_OCTAVE * (_FIRST_OCTAVE + 2)
    return bins


@cache
def edges_ns() -> npt.NDArray[np.float64]:
    """Return where each bin begins and the last one ends, in ns, shape (BIN_COUNT + 1,)."""
    octave, place = np.divmod(np.arange(BIN_COUNT + 1), BINS_PER_OCTAVE)
    edges: npt.NDArray[np.float64] = 2.0 ** (octave + _FIRST_OCTAVE) * (
        1.0 + place / BINS_PER_OCTAVE
    )
    edges.flags.writeable = False
    return edges


class ArrivalBins:
    """Arrival times of one message's deliveries, counted from its intended send time."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = np.zeros(BIN_COUNT, np.int32)

    def add(self, offsets_ns: Int64Array) -> None:
        """Count deliveries by arrival minus intended send time, in ns, shape (n,)."""
        self._counts += np.bincount(bins_of(offsets_ns), minlength=BIN_COUNT).astype(np.int32)

    def pairs(self) -> list[int]:
        """Return bin, count, bin, count and so on, of the bins that are not empty, ascending."""
        used = np.flatnonzero(self._counts)
        pairs: list[int] = np.column_stack((used, self._counts[used])).ravel().tolist()
        return pairs
