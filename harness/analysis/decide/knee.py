"""The knee: where latency begins to bend away from a line as the load grows.

Kneedle (Satopää, Albrecht, Irwin and Raghavan, "Finding a 'Kneedle' in a Haystack", 2011): both
axes are scaled to 0…1, and the knee is the tested load at which the curve is furthest below the
line from its first to its last point.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_LOADS: Final = 5
"""Two points on each side of a bend, and the bend."""


class Knee(NamedTuple):
    """A knee, and between which loads it may lie.

    Attributes:
        load: The tested load at which the curve bends.
        low: Lower end: the next tested load below, or the lowest knee found with a step left out.
        high: Upper end, likewise.
    """

    load: float
    low: float
    high: float


def find_knee(loads: Sequence[float], latencies_ms: Sequence[float]) -> Knee | None:
    """Find the knee of latency over load; several latencies at one load count with their median.

    Its uncertainty is the distance to the tested loads beside it, made wider by the knees that are
    found when each load is left out in turn.

    Returns:
        None with fewer than ``LEAST_LOADS`` loads, and where the curve has no bend upwards.
    """
    at = np.unique(np.asarray(loads, np.float64))
    given, values = np.asarray(loads, np.float64), np.asarray(latencies_ms, np.float64)
    medians = np.array([np.median(values[given == load]) for load in at])
    if len(at) < LEAST_LOADS or (found := _kneedle(at, medians)) is None:
        return None
    place = int(np.searchsorted(at, found))
    without = [
        knee
        for left_out in range(len(at))
        if (knee := _kneedle(np.delete(at, left_out), np.delete(medians, left_out))) is not None
    ]
    beside = [at[max(place - 1, 0)], at[min(place + 1, len(at) - 1)], *without]
    return Knee(found, float(min(beside)), float(max(beside)))


def _kneedle(loads: Floats, latencies_ms: Floats) -> float | None:
    """Return the knee of latencies that rise at different, ascending loads, at least three."""
    if latencies_ms.max() <= latencies_ms.min():
        return None
    # The paper's curve rises and flattens: this one, seen from its other end.
    along = np.flip(1 - _scaled(loads))
    gap = np.flip(1 - _scaled(latencies_ms)) - along
    before, after = np.r_[gap[:1], gap[:-1]], np.r_[gap[1:], gap[-1:]]
    is_peak, is_trough = (gap >= before) & (gap >= after), (gap <= before) & (gap <= after)
    step = float(np.diff(along).mean())
    peak: int | None = None
    for place in range(len(gap) - 1):
        if is_peak[place]:
            peak = place
        if is_trough[place]:
            peak = None
        # Sensitivity 1: the gap has closed by one mean step before it widens again.
        if peak is not None and gap[place + 1] < gap[peak] - step:
            # The first and the last point can be no bend, whatever the scaling makes of them.
            return float(loads[-(peak + 1)]) if 0 < peak < len(gap) - 1 else None
    return None


def _scaled(values: Floats) -> Floats:
    """Return values moved and scaled so that they reach from 0 to 1."""
    scaled: Floats = (values - values.min()) / (values.max() - values.min())
    return scaled
