"""The latency histograms of a run, merged by tag from its HdrHistogram log.

Percentiles come from merged histograms only; nothing here averages one.
"""

import ctypes
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from hdrh.codec import HdrCookieException, HdrLengthException

from harness.core.clock import NS_PER_MS
from harness.measure.histogram import LatencyHistogram

_DAMAGED: Final = (
    HdrCookieException,
    HdrLengthException,
    IndexError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
    zlib.error,
)
"""What the library raises for a payload that is torn or was never one."""

_TAG_PARTS: Final = 3
_LINE_PARTS: Final = 5


@dataclass(frozen=True)
class Histograms:
    """Every histogram of a run, all seconds merged.

    Attributes:
        by_tag: Keyed by (metric, user class, phase).
        problem: What was wrong with the log, in words; None when nothing was.
    """

    by_tag: Mapping[tuple[str, ...], LatencyHistogram] = field(default_factory=dict)
    problem: str | None = None

    def merged(
        self, metric: str, *, user_class: str | None = None, phase: str | None = None
    ) -> LatencyHistogram:
        """Merge what was measured of a metric; None stands for every class or every phase."""
        result = LatencyHistogram()
        for (name, of_class, of_phase), histogram in self.by_tag.items():
            if name == metric and user_class in {None, of_class} and phase in {None, of_phase}:
                result.hdr.add(histogram.hdr)
        return result


def read_histograms(path: Path) -> Histograms:
    """Read an HdrHistogram log; what is damaged is left out and named in ``problem``."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Histograms(problem=f"{path.name} is missing")
    except OSError as error:
        return Histograms(problem=f"{path.name} cannot be read: {error.strerror}")
    histograms, damaged = parse_histogram_log(data)
    plural = "s" * (damaged != 1)
    problem = f"{path.name} has {damaged} damaged line{plural}" if damaged else None
    return Histograms(histograms, problem)


def parse_histogram_log(data: bytes) -> tuple[dict[tuple[str, ...], LatencyHistogram], int]:
    """Merge a log's interval lines by tag; also return how many lines could not be read.

    A last line without its line end was torn while it was written and counts as damaged. Lines
    without one of our tags are other people's and are passed over.
    """
    merged: dict[tuple[str, ...], LatencyHistogram] = {}
    damaged = 0
    *lines, torn = data.split(b"\n")
    for line in lines:
        if line.startswith(b"Tag="):
            damaged += not _add_line(line, merged)
    return merged, damaged + bool(torn)


def latency_ms(histogram: LatencyHistogram) -> dict[str, float | None]:
    """Return the number of values and their percentiles, in milliseconds."""
    rounded = {
        name: None if value is None else round(value, 6)
        for name, value in histogram.percentiles_ms().items()
    }
    return {"count": histogram.count, **rounded}


def percentile_curve(
    histogram: LatencyHistogram,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the whole distribution: latency in ms, and the share of values up to it.

    Both have one entry for each distinct value recorded, in ascending order.
    """
    hdr = histogram.hdr
    pointer = ctypes.cast(hdr.counts, ctypes.POINTER(ctypes.c_uint64))
    counts = np.ctypeslib.as_array(pointer, (hdr.counts_len,))
    recorded = np.flatnonzero(counts)
    values = [hdr.get_highest_equivalent_value(hdr.get_value_from_index(int(i))) for i in recorded]
    total = max(int(counts.sum()), 1)
    return np.array(values, np.float64) / NS_PER_MS, np.cumsum(counts[recorded]) / total


def _add_line(line: bytes, merged: dict[tuple[str, ...], LatencyHistogram]) -> bool:
    """Add one interval to the histogram of its tag; False when the line is damaged."""
    tag, *parts = line.decode("ascii", "replace").removeprefix("Tag=").split(",")
    key = tuple(tag.split("."))
    if len(key) != _TAG_PARTS or len(parts) + 1 != _LINE_PARTS:
        return False
    second = LatencyHistogram()
    try:
        second.add_encoded(parts[-1])
    except _DAMAGED:
        return False
    merged.setdefault(key, LatencyHistogram()).hdr.add(second.hdr)
    return True
