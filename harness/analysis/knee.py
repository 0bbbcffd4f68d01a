"""The knee: where latency begins to bend away from a line as the load grows.

Kneedle (Satopää, Albrecht, Irwin and Raghavan, "Finding a 'Kneedle' in a Haystack", 2011) in the
implementation of the package ``kneed``: both axes are scaled to 0…1, and the knee is the tested
load at which the curve is furthest below the line from its first to its last point.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from kneed import KneeLocator

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


def _kneedle(loads: np.ndarray, latencies_ms: np.ndarray) -> float | None:
    if latencies_ms.max() <= latencies_ms.min():
        return None
    knee = KneeLocator(loads, latencies_ms, curve="convex", direction="increasing").knee
    # The first and the last point can be no bend, whatever the scaling makes of them.
    return None if knee is None or knee in {loads[0], loads[-1]} else float(knee)
