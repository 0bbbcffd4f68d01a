"""The open schedule: every publish and every join of a run, fixed before it starts.

It is a pure function of the plan, so every worker computes the same schedule and takes its own
part: the publishes of its chatters. The union over workers is the schedule of
one worker, whatever their number, and slowness of the system never moves a later intent.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.scenario.disturbances import BurstOfMessages, FlashCrowd, lasts_s
from harness.scenario.event_bytes import ChoiceBytes, FixedBytes, LognormalBytes
from harness.scenario.plan import Plan

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_Z99 = 2.3263478740408408
"""99th percentile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Publish:
    """One publish of the schedule.

    Attributes:
        first_message: Global index of its first message.
        intended_s: Seconds after the run's epoch at which it should be sent.
        channel: Index of the channel.
        chatter: Global index of the chatter.
        bytes_each: Size of each of its messages, in bytes of JSON.
    """

    first_message: int
    intended_s: float
    channel: int
    chatter: int
    bytes_each: tuple[int, ...]


class Schedule:
    """All publishes of a plan, as arrays of shape (publishes,).

    Messages are offered from the start of the warm-up to the end of the measuring; a message
    belongs to the phase in which its intended time lies. The warm-up begins with a probe on each
    channel, at any rate, so that every subscriber has received one before the measuring begins.
    """

    def __init__(self, plan: Plan) -> None:
        publishing = plan.workload.publishing
        self.batch_size = publishing.batch_size
        start_s = next(phase.start_s for phase in plan.phases if phase.name == "warm_up")
        end_s = next(phase.end_s for phase in plan.phases if phase.name == "measure")
        arrivals, talk, sizes = (
            np.random.default_rng([plan.workload.seed, number]) for number in range(3)
        )
        self.intended_s = arrival_times(
            arrivals if publishing.arrival == "poisson" else None,
            RateProfile(plan, start_s, end_s),
            rate_per_s=plan.rate_per_s / self.batch_size,
        )
        count = len(self.intended_s)
        chatters = plan.workload.population.chatters
        self.chatter = zipf(talk, count, chatters, publishing.chatter_zipf_skew)
        channels = plan.workload.channels
        self.channel = zipf(talk, count, channels.count, channels.zipf_skew)
        probes = channels.count if plan.workload.phases.warm_up_s > 0 else 0
        if probes:
            self._put_first(_probe_times(start_s, plan.workload.phases.warm_up_s, probes), chatters)
        shape = (count + probes, self.batch_size)
        self.bytes = _sizes(sizes, shape, publishing.event_bytes)

    def _put_first(self, probes_s: FloatArray, chatters: int) -> None:
        """Add one publish on each channel at these times, and sort all by time."""
        channels = np.arange(len(probes_s))
        intended_s = np.concatenate((probes_s, self.intended_s))
        order = np.argsort(intended_s, kind="stable")
        self.intended_s = intended_s[order]
        self.channel = np.concatenate((channels, self.channel))[order]
        self.chatter = np.concatenate((channels % chatters, self.chatter))[order]

    def part(self, worker: int, workers: int) -> Iterator[Publish]:
        """Yield, in order of time, the publishes of the chatters that ``worker`` holds."""
        for place in np.flatnonzero(self.chatter % workers == worker).tolist():
            yield Publish(
                first_message=place * self.batch_size,
                intended_s=float(self.intended_s[place]),
                channel=int(self.channel[place]),
                chatter=int(self.chatter[place]),
                bytes_each=tuple(self.bytes[place].tolist()),
            )


def _probe_times(start_s: float, warm_up_s: float, probes: int) -> FloatArray:
    """Spread the probes over the first second of the warm-up, or over all of a shorter one."""
    span_s = min(warm_up_s, 1.0)
    return start_s + (np.arange(probes) + 0.5) / probes * span_s


def zipf(rng: np.random.Generator, count: int, choices: int, skew: float) -> IntArray:
    """Draw indexes below ``choices``, index k with a weight of 1/(k+1)**skew."""
    weights = 1.0 / np.arange(1, choices + 1) ** skew
    drawn = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(count), side="right")
    return np.minimum(drawn, choices - 1)  # Rounding may leave the last edge just below 1.


def _sizes(
    rng: np.random.Generator,
    shape: tuple[int, int],
    kind: LognormalBytes | FixedBytes | ChoiceBytes,
) -> IntArray:
    """Draw event sizes in bytes; the lognormal through its median and 99th percentile."""
    if isinstance(kind, FixedBytes):
        return np.full(shape, kind.value, dtype=np.int64)
    if isinstance(kind, ChoiceBytes):
        weights = np.array(kind.weights or [1.0] * len(kind.values))
        return rng.choice(np.array(kind.values), shape, p=weights / weights.sum())
    sigma = np.log(kind.p99 / kind.median) / _Z99
    drawn = rng.lognormal(np.log(kind.median), sigma, shape)
    return np.clip(np.rint(drawn), kind.minimum, kind.maximum).astype(np.int64)


class RateProfile:
    """The rate over the mean rate, constant between edges.

    Recurring bursts are at the end of their periods; bursts that are disturbances multiply them.

    Args:
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
    rng: np.random.Generator | None, profile: RateProfile, *, rate_per_s: float
) -> FloatArray:
    """Return intended times, s: a Poisson process with ``rng``, evenly spaced without.

    A process of unit rate is stretched by the inverse of the cumulative rate, which is exact
    for a rate that is constant between edges.
    """
    edges_s = profile.edges_s
    middles_s = (edges_s[1:] + edges_s[:-1]) / 2
    rates = np.array([rate_per_s * profile.factor_at(middle_s) for middle_s in middles_s])
    cumulative = np.concatenate(([0.0], np.cumsum(np.diff(edges_s) * rates)))
    total = cumulative[-1]
    if rng is None:
        marks = np.arange(round(total), dtype=np.float64) + 0.5
    else:
        enough = int(total + 10 * np.sqrt(total) + 10)
        marks = np.cumsum(rng.exponential(size=enough))
    times_s: FloatArray = np.interp(marks[marks < total], cumulative, edges_s)
    return times_s


def disturbance_order(plan: Plan, user_class: str, count: int, disturbance: int) -> IntArray:
    """Return the users of a class in the order in which a disturbance affects them, shape (count,).

    The disturbance is given by its place in the workload.
    """
    salt = sum(user_class.encode())
    return np.random.default_rng([plan.workload.seed, 4, salt, disturbance]).permutation(count)


def join_offsets_s(plan: Plan, user_class: str, count: int) -> FloatArray:
    """Return when each user of a class starts to join, in seconds after the epoch, shape (count,).

    Joins of each class are spread evenly over the whole ramp, so all classes arrive mixed. Users
    of a flash crowd join during that instead.
    """
    offsets_s = np.full(count, np.nan)
    for place, one in enumerate(plan.workload.disturbances):
        if isinstance(one, FlashCrowd):
            order = disturbance_order(plan, user_class, count, place)
            held_back = order[np.isnan(offsets_s[order])][: round(count * one.share)]
            start_s = plan.measure_start_s + one.at_s
            offsets_s[held_back] = start_s + spread_s(len(held_back), lasts_s(one, plan.users))
    at_first = np.flatnonzero(np.isnan(offsets_s))
    offsets_s[at_first] = spread_s(len(at_first), plan.ramp_s)
    return offsets_s


def spread_s(count: int, length_s: float) -> FloatArray:
    """Return the middles of ``count`` equal parts of a length of time."""
    return (np.arange(count) + 0.5) / max(count, 1) * length_s
