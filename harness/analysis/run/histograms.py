"""The latency histograms of a run, merged by tag from its HdrHistogram log.

Percentiles come from merged histograms only; nothing here averages one.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from hdrh.codec import HdrCookieException, HdrLengthException

from harness.core.clock import NS_PER_MS
from harness.core.metrics import LATENCIES
from harness.measure.histogram import BIN_COUNT, Int64Array, LatencyHistogram, bins_of

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

Tag = tuple[str, ...]
Seconds = dict[int, Int64Array]

BY_SECOND: Final = "fan_out_latency"
"""The metric of which each second is kept, in coarse bins."""


@dataclass(frozen=True)
class Histograms:
    """Every histogram of a run, all seconds merged.

    Attributes:
        by_tag: Keyed by (metric, user class, phase).
        by_second: Fan-out latencies of each second by ``bins_of``, shape (BIN_COUNT,).
        problem: What was wrong with the log, in words; None when nothing was.
    """

    by_tag: Mapping[tuple[str, ...], LatencyHistogram] = field(default_factory=dict)
    by_second: Mapping[int, Int64Array] = field(default_factory=dict)
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

    def block_ms(
        self, block: str, *, user_class: str | None = None, phase: str | None = None
    ) -> dict[str, float | None]:
        """Return a block of percentiles of the summary, or the same of a part of the run."""
        of_block = LATENCIES[block]
        phase = phase or of_block.phase
        return latency_ms(self.merged(of_block.histogram, user_class=user_class, phase=phase))


def read_seconds(path: Path, metric: str, phase: str | None = None) -> dict[int, Int64Array]:
    """Read one metric second by second, all kinds of users merged; None stands for every phase.

    Damaged lines are left out; ``read_histograms`` reports them.
    """
    found: dict[int, Int64Array] = {}
    start, middle = f"Tag={metric}.".encode(), f".{phase},".encode()
    for line in path.read_bytes().split(b"\n")[:-1] if path.is_file() else ():
        wanted = line.startswith(start) and (
            phase is None or middle in line[: line.index(b",") + 1]
        )
        if wanted and (parsed := _parse_line(line)):
            _, second, interval = parsed
            found[second] = found.get(second, 0) + interval.counts().astype(np.int64)
    return found


def read_histograms(path: Path) -> Histograms:
    """Read an HdrHistogram log; what is damaged is left out and named in ``problem``."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Histograms(problem=f"{path.name} is missing")
    except OSError as error:
        return Histograms(problem=f"{path.name} cannot be read: {error.strerror}")
    by_tag, by_second, damaged = parse_histogram_log(data)
    plural = "s" * (damaged != 1)
    problem = f"{path.name} has {damaged} damaged line{plural}" if damaged else None
    return Histograms(by_tag, by_second, problem)


def parse_histogram_log(data: bytes) -> tuple[dict[Tag, LatencyHistogram], Seconds, int]:
    """Merge a log's interval lines by tag and by second; also count those that cannot be read.

    A last line without its line end was torn while it was written and counts as damaged. Lines
    with other tags are skipped.
    """
    by_tag: dict[Tag, LatencyHistogram] = {}
    by_second: Seconds = {}
    *lines, torn = data.split(b"\n")
    damaged = int(bool(torn))
    for line in lines:
        if not line.startswith(b"Tag="):
            continue
        if (parsed := _parse_line(line)) is None:
            damaged += 1
            continue
        tag, second, interval = parsed
        by_tag.setdefault(tag, LatencyHistogram()).hdr.add(interval.hdr)
        if tag[0] == BY_SECOND:
            counts = interval.counts()
            used = np.flatnonzero(counts)
            coarse = np.bincount(_coarse_bins()[used], counts[used], BIN_COUNT).astype(np.int64)
            by_second[second] = by_second.get(second, 0) + coarse
    return by_tag, by_second, damaged


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
    counts = histogram.counts()
    recorded = np.flatnonzero(counts)
    total = max(int(counts.sum()), 1)
    return values_ns()[recorded] / NS_PER_MS, np.cumsum(counts[recorded]) / total


@cache
def values_ns() -> Int64Array:
    """Return the highest value, in ns, that each place of a histogram's counts stands for."""
    hdr = LatencyHistogram().hdr
    places = range(hdr.counts_len)
    return np.array(
        [hdr.get_highest_equivalent_value(hdr.get_value_from_index(place)) for place in places]
    )


@cache
def _coarse_bins() -> Int64Array:
    """Return the coarse bin of each place of a histogram's counts."""
    return bins_of(values_ns())


def _parse_line(line: bytes) -> tuple[Tag, int, LatencyHistogram] | None:
    """Return the tag, the second and the values of an interval; None where it is damaged."""
    tag, *parts = line.decode("ascii", "replace").removeprefix("Tag=").split(",")
    key = tuple(tag.split("."))
    if len(key) != _TAG_PARTS or len(parts) + 1 != _LINE_PARTS:
        return None
    interval = LatencyHistogram()
    try:
        second = math.floor(float(parts[0]))
        interval.add_encoded(parts[-1])
    except _DAMAGED:
        return None
    return key, second, interval
