"""The day that a workload file describes, for a price comparison."""

import math
from statistics import NormalDist
from typing import Final

from harness.core.pricing import Day
from harness.scenario.event_bytes import ChoiceBytes, FixedBytes, LognormalBytes
from harness.scenario.workload import Workload

_SECONDS_PER_DAY: Final = 86_400
_SLICES: Final = 100
"""A lognormal size is taken as this many sizes, each as likely as the others."""


def day_of(workload: Workload) -> Day:
    """Return a day of this workload: its users all day, its messages, sizes and rooms.

    Messages that the file gives by rate go on at that rate all day.
    """
    publishing = workload.publishing
    per_day = publishing.messages_per_day
    return Day(
        connected=workload.population.listeners,
        messages=publishing.mean_rate_per_s * _SECONDS_PER_DAY if per_day is None else per_day,
        sizes=_sizes(publishing.event_bytes),
        reach=workload.channels.reach,
        subscriptions_per_session=workload.channels.subscriptions_mean,
    )


def chatters_ratio(workload: Workload) -> float:
    """Return the share of a workload's users who write."""
    return workload.population.chatters / workload.population.users


def _sizes(drawn: LognormalBytes | FixedBytes | ChoiceBytes) -> tuple[tuple[float, float], ...]:
    if isinstance(drawn, FixedBytes):
        return ((drawn.value, 1.0),)
    if isinstance(drawn, ChoiceBytes):
        weights = drawn.weights or (1.0,) * len(drawn.values)
        return tuple(
            (size, weight / sum(weights))
            for size, weight in zip(drawn.values, weights, strict=True)
        )
    sigma = math.log(drawn.p99 / drawn.median) / NormalDist().inv_cdf(0.99)
    spread = NormalDist(math.log(drawn.median), sigma)
    middles = ((slice_ + 0.5) / _SLICES for slice_ in range(_SLICES))
    return tuple(
        (min(max(math.exp(spread.inv_cdf(middle)), drawn.minimum), drawn.maximum), 1 / _SLICES)
        for middle in middles
    )
