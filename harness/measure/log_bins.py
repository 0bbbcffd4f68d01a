"""Coarse latency counts in fixed logarithmic bins: small, and merged by adding them up.

A full histogram for each message would be larger than the message. These bins are 16 to an
octave, so each is 3 to 6 % wide: enough to say when half of a message's subscribers had it.
"""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.measure.histogram import Int64Array

BINS_PER_OCTAVE: Final = 16
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
    """When one message's deliveries came, counted from when the message was due."""

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
