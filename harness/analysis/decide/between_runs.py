"""What is known of the noise between the runs of a comparison: by figure, by pair of sides."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from harness.analysis.decide.bootstrap import Interval
from harness.analysis.decide.comparability import SEED, load_of
from harness.analysis.decide.run_noise import (
    ASSUMED_OF_LATENCIES,
    ASSUMED_OF_RATES,
    RunNoise,
    measure_noise,
    noise_interval,
)
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.slo import observe
from harness.core.load_differences import differences
from harness.core.metric_types import Unit
from harness.core.metrics import unit_of

_OF_TIMES = (Unit.MS, Unit.SECONDS)
"""Units of figures that vary as latencies do."""


class StoredRun(NamedTuple):
    """A run that was made earlier.

    Attributes:
        run_id: By which a copy of a compared run is known.
        load: What ran on what, as ``load_of`` gives it.
        figures: Its figures by name.
    """

    run_id: str
    load: Mapping[str, Any]
    figures: Mapping[str, float | None]


class BetweenRuns:
    """The noise of the figures of several sides.

    Sides of the same load, target and machine share it: they are runs of one thing, as far as the
    noise goes.

    Args:
        sides: The runs of each side.
        stored: Runs made earlier, oldest first; those that are like a side's are used.
        other_machines: Whether the sides ran on different machines or kernels, which adds what is
            assumed of runs once more.
    """

    def __init__(
        self,
        sides: Sequence[Sequence[Analysis]],
        stored: Sequence[StoredRun],
        *,
        other_machines: bool = False,
    ) -> None:
        self._sides = sides
        self._other_machines = other_machines
        loads = [_load(load_of(side[0].record.run)) for side in sides]
        self._like = [
            next(place for place, one in enumerate(loads) if not differences(one, load))
            for load in loads
        ]
        compared = {one.record.run.get("run_id") for side in sides for one in side}
        self._stored = [
            [
                one.figures
                for one in stored
                if one.run_id not in compared and not differences(_load(one.load), load)
            ]
            for load in loads
        ]

    def interval(
        self, metric: str, first: int, other: int
    ) -> tuple[Interval, tuple[RunNoise, ...]] | None:
        """Return where other ÷ first may lie, and the noise of either side's thing.

        None where a run has no figure above 0.
        """
        a, b = (self._values(metric, place) for place in (first, other))
        if not a or not b or min(*a, *b) <= 0:
            return None
        ratio = float(np.exp(fmean(np.log(b)) - fmean(np.log(a))))
        weights: dict[RunNoise, float] = defaultdict(float)
        for place, values in ((first, a), (other, b)):
            weights[self.noise(metric, place)] += 1 / len(values)
        noises = tuple(weights)  # Each once: the same where both sides are runs of one thing.
        if self._other_machines:
            weights[RunNoise(_assumed(metric))] += 2.0  # Once for the machine of either side.
        return noise_interval(ratio, weights), noises

    def noise(self, metric: str, side: int) -> RunNoise:
        """Return the noise of one figure of a side's runs."""
        like = self._like[side]
        compared = [
            self._values(metric, place) for place, one in enumerate(self._like) if one == like
        ]
        stored = [value for one in self._stored[like] if (value := one.get(metric)) is not None]
        return measure_noise(compared, stored, _assumed(metric))

    def _values(self, metric: str, side: int) -> list[float]:
        found = [observe(one.summary, metric) for one in self._sides[side]]
        return [value for value in found if value is not None]


def _load(load: Mapping[str, Any]) -> dict[str, Any]:
    """Return a load without what differs between runs of one thing: its seed, its series' name."""
    return {key: value for key, value in load.items() if key not in (SEED, "name")}


def _assumed(metric: str) -> float:
    return ASSUMED_OF_LATENCIES if unit_of(metric) in _OF_TIMES else ASSUMED_OF_RATES
