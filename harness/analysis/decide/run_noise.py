"""How far runs of the same thing are apart, so that chance is not taken for a change.

A run has one value of each figure, and the next run of the same thing has another: caches, other
processes and the hour differ. The seconds of one run do not show that. So the deviation between
runs is measured, from the runs that are compared and from stored runs of the same load on the same
target and machine, and otherwise assumed. Logarithms are taken, because runs differ by factors.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from harness.analysis.decide.bootstrap import NORMAL_QUANTILE, Interval, student_quantile

ASSUMED_OF_LATENCIES: Final = 0.3
"""Assumed deviation of a run's latency: two in twenty runs of a thing are a factor of 2 apart."""
ASSUMED_OF_RATES: Final = 0.1
"""The same of a rate or a cost."""
LEAST_DEVIATION: Final = 0.001
"""Figures that are the same in all runs so far may differ by this in the next."""
LEAST_FREEDOM: Final = 2.0
"""Degrees of freedom from which on a deviation counts as measured: three runs of a thing."""
_STORED_FREEDOM: Final = 2 / 3
"""Degrees of freedom in a difference of consecutive values. Source: von Neumann (1941)."""


@dataclass(frozen=True, slots=True)
class RunNoise:
    """How far the logarithm of a figure differs from run to run.

    Attributes:
        deviation: Its standard deviation.
        freedom: Degrees of freedom; infinite where it is assumed.
        runs: Runs that it was measured from; 0 where it is assumed.
    """

    deviation: float
    freedom: float = math.inf
    runs: int = 0


def measure_noise(
    compared: Sequence[Sequence[float]], stored: Sequence[float], assumed: float
) -> RunNoise:
    """Return the deviation of one thing's runs; the assumed one where there are too few.

    Args:
        compared: The figure in the compared runs, by side: sides may differ, runs of one may not.
        stored: The figure in stored runs, oldest first. Only the differences from one to the next
            count, so that a figure that changed with the system, once or slowly, adds little.
        assumed: The deviation where too few runs are known.
    """
    squares, freedom, parts, runs = 0.0, 0.0, 0, 0
    for side in compared:
        logs = [math.log(value) for value in side if value > 0]
        if len(logs) > 1:
            mean = math.fsum(logs) / len(logs)
            squares += math.fsum((one - mean) ** 2 for one in logs)
            parts, freedom, runs = parts + len(logs) - 1, freedom + len(logs) - 1, runs + len(logs)
    logs = [math.log(value) for value in stored if value > 0]
    steps = [(b - a) ** 2 / 2 for a, b in pairwise(logs)]
    squares, parts = squares + math.fsum(steps), parts + len(steps)
    freedom, runs = freedom + _STORED_FREEDOM * len(steps), runs + (len(logs) if steps else 0)
    if freedom < LEAST_FREEDOM:
        return RunNoise(assumed)
    return RunNoise(max(math.sqrt(squares / parts), LEAST_DEVIATION), freedom, runs)


def noise_interval(ratio: float, weights: Mapping[RunNoise, float]) -> Interval:
    """Return where the ratio of two sides may lie, as far as runs of one thing are apart.

    Args:
        ratio: Of the sides' geometric means.
        weights: Each noise with the sum of 1 ÷ runs over the sides that it is of.
    """
    variances = [(one.deviation**2 * weight, one.freedom) for one, weight in weights.items()]
    total = math.fsum(variance for variance, _ in variances)
    # Welch (1947) and Satterthwaite (1946), where both sides have a deviation of their own.
    inverse = math.fsum(variance**2 / freedom for variance, freedom in variances)
    freedom = total**2 / inverse if inverse else math.inf
    width = math.exp(student_quantile(NORMAL_QUANTILE, freedom) * math.sqrt(total))
    return Interval(ratio / width, ratio * width)


def hull(first: Interval | None, other: Interval | None) -> Interval | None:
    """Return the interval that holds both; None where one is missing."""
    if first is None or other is None:
        return None
    return Interval(min(first.low, other.low), max(first.high, other.high))
