"""How far a percentile may be off: moving-block bootstrap over the seconds of a run.

Latencies are skewed, and a slow second is followed by another, so neither a normal distribution
nor independent values may be assumed. What is drawn again, with replacement, is therefore whole
blocks of consecutive seconds (Künsch, 1989: The Jackknife and the Bootstrap for General Stationary
Observations), each with all its latencies; the histograms of the seconds drawn are added up, and
the percentile is read from the sum. Where a side has several runs, runs are drawn first and then
blocks within each (Davison and Hinkley, 1997: Bootstrap Methods and their Application, 3.8), so
that what differs from run to run is in the interval.

With few blocks the plain percentile interval is too narrow; its ends are moved out as Hesterberg
(2015: What Teachers Should Know About the Bootstrap, "expanded percentile intervals") says.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.float32]

CONFIDENCE: Final = 0.95
NORMAL_QUANTILE: Final = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
REPLICATES: Final = 2000
LEAST_BLOCKS: Final = 4.0
"""A side with fewer blocks gives no interval: there is too little to draw from."""
_FEWEST_IN_A_RUN: Final = 5
_CHUNK: Final = 100
"""Replicates added up at a time; bounds the memory."""


class Interval(NamedTuple):
    """A figure of one side less, or divided by, that of another, and where it may lie."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether a value is inside the interval."""
        return self.low <= value <= self.high


def block_seconds(seconds: int) -> int:
    """Return the length of a block: it grows with the cube root of the run's length.

    A run of less than a minute has blocks a fifth as long as itself, so that there are enough.
    """
    return max(min(round(3 * math.cbrt(seconds)), seconds // _FEWEST_IN_A_RUN), 1)


def blocks(runs: Sequence[npt.NDArray[np.generic]]) -> float:
    """Return how many blocks that do not overlap fit into a side's runs."""
    return sum(len(run) / block_seconds(len(run)) for run in runs if len(run))


def draw(
    runs: Sequence[Counts],
    figure: Callable[[Counts], Floats],
    random: np.random.Generator,
    replicates: int = REPLICATES,
) -> Floats:
    """Draw a side again and again, and return the figures of each draw.

    A run has one row a second and one column a bin; columns mean the same in all. ``figure`` makes
    a row of figures of each row of sums over seconds; the result has one row a draw.
    """
    every = np.concatenate(runs)
    sizes = [min(_CHUNK, replicates - first) for first in range(0, replicates, _CHUNK)]
    return np.concatenate([figure(_weights(runs, random, size) @ every) for size in sizes])


def percentiles(sums: Counts, shares: Sequence[float], values: Floats) -> Floats:
    """Return the percentiles of each row of counts.

    The counts are of shape (rows, bins); ``values`` is what each bin stands for, ascending.

    Returns:
        Shape (rows, shares); not a number where a row is empty.
    """
    reached = np.cumsum(sums, axis=1, dtype=np.float64)
    total = reached[:, -1]
    found = np.empty((len(sums), len(shares)))
    for column, share in enumerate(shares):
        # As HdrHistogram: the value at which so many, rounded, of all are reached.
        wanted = np.maximum(np.floor(share * total + 0.5), 1)
        places = (reached < wanted[:, None]).sum(axis=1)
        found[:, column] = values[np.minimum(places, len(values) - 1)]
    found[total == 0] = np.nan
    return found


def interval(drawn: Floats, blocks_drawn: float) -> Interval | None:
    """Return the interval that the figures of all draws span, at ``CONFIDENCE``.

    Draws without a figure are not a number. The blocks are those of the side that has fewer.
    """
    known = drawn[np.isfinite(drawn)]
    if blocks_drawn < LEAST_BLOCKS or len(known) < len(drawn) / 2:
        return None
    tail = expanded_tail(blocks_drawn)
    # So that a tail holds its share on average, however few the draws: Hyndman and Fan (1996), 6.
    low, high = np.quantile(known, [tail, 1 - tail], method="weibull")
    return Interval(float(low), float(high))


def expanded_tail(blocks_drawn: float) -> float:
    """Return the share of draws to leave out at each end, so that few blocks are made up for."""
    student = student_quantile(NORMAL_QUANTILE, blocks_drawn - 1)
    return NormalDist().cdf(-student * float(np.sqrt(blocks_drawn / (blocks_drawn - 1))))


def _weights(runs: Sequence[Counts], random: np.random.Generator, size: int) -> Counts:
    """Return how often each second of all runs is drawn, shape (size, seconds)."""
    lengths = np.array([len(run) for run in runs])
    starts = np.concatenate(([0], np.cumsum(lengths)))
    weights = np.zeros((size, starts[-1] + 1), np.float32)
    chosen = random.integers(len(runs), size=(size, len(runs))) if len(runs) > 1 else None
    rows = np.arange(size)
    for place in range(len(runs)):
        run = chosen[:, place] if chosen is not None else np.zeros(size, np.int64)
        for number, length in enumerate(lengths):
            of_run = rows[run == number]
            if len(of_run) and length:
                _add_blocks(weights, of_run, int(starts[number]), int(length), random)
    return np.cumsum(weights, axis=1)[:, :-1]


def _add_blocks(
    weights: Counts,
    rows: npt.NDArray[np.int64],
    start: int,
    length: int,
    random: np.random.Generator,
) -> None:
    """Mark where blocks begin (+1) and are over (-1), as many as make up one run's length."""
    block = block_seconds(length)
    count = -(-length // block)
    begins = random.integers(length - block + 1, size=(len(rows), count))
    # The last block is cut, so that every draw is as long as the run.
    sizes = np.full(count, block)
    sizes[-1] = length - block * (count - 1)
    at = np.repeat(rows, count)
    np.add.at(weights, (at, (start + begins).ravel()), 1)
    np.add.at(weights, (at, (start + begins + sizes).ravel()), -1)


def student_quantile(z: float, freedom: float) -> float:
    """Return Student's quantile from the normal one.

    Source: Abramowitz and Stegun (1964), 26.7.5; right to 1 % from 4 degrees of freedom on, and to
    4 % at 2.
    """
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
