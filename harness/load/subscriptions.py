"""Who subscribes to which channels, fixed before a run like its schedule."""

import numpy as np

from harness.load.schedule import FloatArray, IntArray, zipf
from harness.scenario.plan import Plan

_DRAWN_AT_ONCE = 1_000_000
"""Random numbers held at a time where users hold several channels; bounds the memory."""


class Subscriptions:
    """The channels of every user of a class, as popular as planned; all from the seed.

    Args:
        plan: Gives channels, their popularity and the seed.
        user_class: Classes draw independently.
        count: Number of users of the class.
    """

    def __init__(self, plan: Plan, user_class: str, count: int) -> None:
        self._plan = plan
        channels = plan.workload.channels
        rng = np.random.default_rng([plan.workload.seed, 3, sum(user_class.encode())])
        each = channels.subscriptions_per_client
        if each == 1:
            drawn = zipf(rng, count, channels.count, channels.zipf_skew)
            self.channels: IntArray = drawn.reshape(count, 1)
        else:
            self.channels = _different(rng, (count, each), np.array(channels.weights))
        """Channel indexes, shape (users, subscriptions); of no meaning for who holds all."""
        self.holds_all = np.zeros(count, dtype=np.bool_)
        """Whether a user subscribes to all channels by one wildcard, shape (users,)."""
        self.holds_all[rng.permutation(count)[: round(count * channels.wildcard_share)]] = True
        self._paths: dict[tuple[int, ...], tuple[str, ...]] = {}

    def of(self, number: int) -> tuple[str, ...]:
        """Return the paths that a user subscribes to; one tuple for all with the same."""
        if self.holds_all[number]:
            return self._paths.setdefault((), (self._plan.every_channel,))
        indexes = tuple(self.channels[number].tolist())
        paths = self._paths.get(indexes)
        if paths is None:
            paths = self._paths[indexes] = tuple(map(self._plan.channel_path, indexes))
        return paths


def _different(
    rng: np.random.Generator,
    shape: tuple[int, int],
    weights: FloatArray,
) -> IntArray:
    """Draw different channels for each user, one after the other by their weights.

    Every channel has a clock that rings after an exponential time with its weight as the rate: the
    first to ring are such a draw. Source: Efraimidis and Spirakis, "Weighted random sampling with
    a reservoir", Information Processing Letters 97, 2006.

    Args:
        rng: Source of the randomness.
        shape: (users, channels each).
        weights: Of the channels, shape (channels,).
    """
    users, each = shape
    at_once = max(_DRAWN_AT_ONCE // len(weights), 1)
    drawn = []
    for start in range(0, users, at_once):
        rings_s = rng.exponential(size=(min(at_once, users - start), len(weights))) / weights
        drawn.append(np.sort(np.argpartition(rings_s, each - 1)[:, :each]))
    return np.concatenate(drawn) if drawn else np.empty((0, each), dtype=np.int64)
