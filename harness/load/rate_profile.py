"""How the publish rate goes up and down during a run, and the times of messages that follow."""

import math

import numpy as np
import numpy.typing as npt

from harness.scenario.disturbances import BurstOfMessages
from harness.scenario.plan import Plan

FloatArray = npt.NDArray[np.float64]


class RateProfile:
    """The rate over the mean rate, constant between edges.

    Recurring bursts end each of their periods; bursts that are disturbances come on top.

    Args:
        plan: The plan.
        start_s: Second of the run at which the first message may be sent.
        end_s: Second before which the last one must be.
    """

    def __init__(self, plan: Plan, start_s: float, end_s: float) -> None:
        self._burst = plan.workload.publishing.burst
        self._start_s = start_s
        zero_s = plan.measure_start_s
        self._single = [
            (zero_s + one.at_s, zero_s + one.at_s + one.length_s, one.factor)
            for one in plan.workload.disturbances
            if isinstance(one, BurstOfMessages)
        ]
        edges_s = {start_s, end_s}
        if self._burst is not None:
            periods = np.arange(start_s, end_s, self._burst.every_s)
            edges_s.update((periods + self._burst.every_s - self._burst.length_s).tolist())
            edges_s.update(periods.tolist())
        for from_s, until_s, _ in self._single:
            edges_s.update((from_s, until_s))
        inside = (edge_s for edge_s in edges_s if start_s <= edge_s <= end_s)
        self.edges_s: FloatArray = np.array(sorted(inside))

    def factor_at(self, second: float) -> float:
        """Return the rate at an instant over the mean rate."""
        factor, burst = 1.0, self._burst
        if burst is not None:
            into_s = (second - self._start_s) % burst.every_s
            factor = burst.factor if into_s >= burst.every_s - burst.length_s else 1.0
        return factor * math.prod(
            more for from_s, until_s, more in self._single if from_s <= second < until_s
        )


def arrival_times(
    rng: np.random.Generator | None, intensity: RateProfile, *, rate_per_s: float
) -> FloatArray:
    """Return intended times, s: a Poisson process with ``rng``, evenly spaced without.

    A process of unit rate is stretched by the inverse of the cumulative rate, which is exact
    for a rate that is constant between edges.
    """
    edges_s = intensity.edges_s
    middles_s = (edges_s[1:] + edges_s[:-1]) / 2
    rates = np.array([rate_per_s * intensity.factor_at(middle_s) for middle_s in middles_s])
    cumulative = np.concatenate(([0.0], np.cumsum(np.diff(edges_s) * rates)))
    total = cumulative[-1]
    if rng is None:
        marks = np.arange(round(total), dtype=np.float64) + 0.5
    else:
        enough = int(total + 10 * np.sqrt(total) + 10)
        marks = np.cumsum(rng.exponential(size=enough))
    times_s: FloatArray = np.interp(marks[marks < total], cumulative, edges_s)
    return times_s
