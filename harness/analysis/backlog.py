"""Whether work piled up in the system while it was measured, told apart from a slow system.

A system that is merely slow answers late but always equally late. One that gets more than it can
carry falls further behind every second, and its latencies say only how long one has looked. In a
queue that is served in order, with a load λ above its limit μ, the wait grows by λ/μ − 1 seconds a
second.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.stats import kendalltau, theilslopes

from harness.analysis.record import Record, measured
from harness.core.clock import NS_PER_MS, NS_PER_S

LEAST_SECONDS: Final = 5
"""Of fewer seconds with messages even a perfect trend would not be significant."""
SIGNIFICANCE: Final = 0.01
LEAST_GROWTH_MS_PER_S: Final = 10.0
"""A load 1 % above the limit; less than that is not told from noise."""


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
    return trend(slowest.index.to_numpy(np.float64), slowest.to_numpy(np.float64))


def trend(at_s: np.ndarray, late_ms: np.ndarray) -> Backlog:
    """Return the growth of latencies, shape (n,) each, and how sure it is."""
    slope = float(theilslopes(late_ms, at_s).slope)
    p_value = float(kendalltau(at_s, late_ms, alternative="greater").pvalue)
    return Backlog(slope, 1.0 if np.isnan(p_value) else p_value)
