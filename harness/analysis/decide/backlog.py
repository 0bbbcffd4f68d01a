"""Whether work piled up in the system during the measurement, as opposed to a slow system.

A system that is merely slow answers late but always equally late. One that gets more than it can
carry falls further behind every second, and its latencies depend on the length of the run. In a
queue that is served in order, with a load λ above its limit μ, the wait grows by λ/μ − 1 seconds a
second.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.run.record import Record, measured
from harness.core.clock import NS_PER_MS, NS_PER_S

Floats = npt.NDArray[np.float64]

LEAST_SECONDS: Final = 5
"""Of fewer seconds with messages even a perfect trend would not be significant."""
SIGNIFICANCE: Final = 0.01
LEAST_GROWTH_MS_PER_S: Final = 10.0
"""A load 1 % above the limit; less is indistinguishable from noise."""
MOST_EXACT: Final = 33
"""Up to so many values without ties the p-value is exact; beyond, it is that of a normal limit."""


class Backlog(NamedTuple):
    """How latency went over the measured time.

    Attributes:
        growth_ms_per_s: Median slope (Theil and Sen) of the slowest delivery of each second.
        p_value: Chance of a trend as clear where there is none (Kendall's test, one-sided).
    """

    growth_ms_per_s: float
    p_value: float

    @property
    def is_growing(self) -> bool:
        """Whether the system fell further and further behind."""
        return self.growth_ms_per_s >= LEAST_GROWTH_MS_PER_S and self.p_value < SIGNIFICANCE


def find_backlog(record: Record) -> Backlog | None:
    """Look for a trend in how late the last subscriber had each second's slowest message.

    A message belongs to the second in which it was due. The slowest, because a queue is often
    refilled every second and then only the last messages of each second wait.

    Returns:
        None where fewer than ``LEAST_SECONDS`` seconds have a message that arrived.
    """
    messages = measured(record.messages)
    messages = messages[messages["last_arrival_ns"].notna().to_numpy(dtype=bool)]
    second = (messages["intended_ns"] - record.epoch_ns) // NS_PER_S
    late_ms = (messages["last_arrival_ns"] - messages["intended_ns"]) / NS_PER_MS
    slowest = late_ms.astype(float).groupby(second.astype(int)).max()
    if len(slowest) < LEAST_SECONDS:
        return None
    return trend(slowest.index.to_numpy(np.float64), slowest.to_numpy().astype(np.float64))


def trend(at_s: Floats, late_ms: Floats) -> Backlog:
    """Return the growth of latencies, and how sure it is.

    There are at least two, in ascending order of time, and no two at one time.
    """
    slopes = np.concatenate(
        [
            (late_ms[place + 1 :] - late_ms[place]) / (at_s[place + 1 :] - at_s[place])
            for place in range(len(at_s) - 1)
        ]
    )
    rising, falling = int((slopes > 0).sum()), int((slopes < 0).sum())
    return Backlog(float(np.median(slopes)), _p_value(late_ms, rising, falling))


def _p_value(values: Floats, rising: int, falling: int) -> float:
    """Return Kendall's one-sided p-value of a rise, with ties among the values accounted for.

    Of the pairs of values, so many are rising in the order of time, and so many falling.
    Source: Kendall, "Rank Correlation Methods" (1970), 1.9 and 5.6.
    """
    count = len(values)
    if rising + falling == count * (count - 1) // 2 and count <= MOST_EXACT:
        return _chance_of_inversions(count, falling)
    ties = np.unique(values, return_counts=True)[1]
    variance = (_spread(np.array([count])) - _spread(ties)) / 18
    return math.erfc((rising - falling) / math.sqrt(2 * variance)) / 2 if variance else 1.0


def _spread(sizes: npt.NDArray[np.int64]) -> float:
    size = sizes.astype(np.float64)
    return float((size * (size - 1) * (2 * size + 5)).sum())


def _chance_of_inversions(count: int, most: int) -> float:
    """Return the chance that a random order of ``count`` values has at most ``most`` inversions."""
    chances = np.ones(1)
    for placed in range(2, count + 1):
        # The next value makes 0 to placed - 1 inversions, each as likely.
        chances = np.convolve(chances, np.full(placed, 1 / placed))
    return min(float(chances[: most + 1].sum()), 1.0)
