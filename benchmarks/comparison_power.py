"""``python -m benchmarks.comparison_power``: how far the intervals of a comparison can be trusted.

Draws synthetic runs as latencies are, lognormal within a second around a level that wanders from
second to second (a first-order autoregression of its logarithm), and prints how often the interval
covers the true p99, how often two runs of the same thing are told apart, and how often a p99 that
is 10 % higher is found from five runs a side. Ends with 1 where one of them is not good enough.
"""

import sys
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from harness.analysis.decide import bootstrap
from harness.analysis.decide.bootstrap import Counts, Floats

SECONDS = 120
PER_SECOND = 50
MEDIAN_MS = 20.0
WITHIN, LEVEL, CARRIED = 0.5, 0.12, 0.6
"""Spread of the logarithm within a second and of its level, and what a second hands to the next."""

TRUE_P99_MS = MEDIAN_MS * np.exp(NormalDist().inv_cdf(0.99) * np.hypot(WITHIN, LEVEL))
VALUES_MS = np.geomspace(2, 400, 500)

RUNS, PAIRS, SHIFTED = 1000, 400, 200
LEAST_COVERED, MOST_ALARMS, LEAST_FOUND = 0.9, 0.05, 0.9


def levels(random: np.random.Generator, runs: int, seconds: int) -> npt.NDArray[np.float64]:
    """Draw the logarithms of the levels of runs, shape (runs, seconds)."""
    found = np.empty((runs, seconds))
    found[:, 0] = random.normal(0, LEVEL, runs)
    for second in range(1, seconds):
        fresh = random.normal(0, LEVEL * np.sqrt(1 - CARRIED**2), runs)
        found[:, second] = CARRIED * found[:, second - 1] + fresh
    return found


def draw_runs(
    random: np.random.Generator,
    runs: int,
    shift: float = 1.0,
    per_second: int = PER_SECOND,
    seconds: int = SECONDS,
) -> list[Counts]:
    """Draw runs and count their latencies by second, as a list of shape (seconds, bins) each."""
    of_seconds = levels(random, runs, seconds)[..., None]
    latencies = random.normal(of_seconds, WITHIN, (runs, seconds, per_second))
    places = np.searchsorted(VALUES_MS, MEDIAN_MS * shift * np.exp(latencies))
    places = np.minimum(places, len(VALUES_MS) - 1)
    rows = np.arange(runs * seconds)[:, None]
    counts = np.bincount(
        (places.reshape(rows.size, -1) + rows * len(VALUES_MS)).ravel(),
        minlength=rows.size * len(VALUES_MS),
    )
    return list(counts.reshape(runs, seconds, -1).astype(np.float32))


def p99s(
    random: np.random.Generator, runs: Sequence[Counts], replicates: int = bootstrap.REPLICATES
) -> Floats:
    """Return the p99 of every draw of a side; as many draws as a comparison makes."""
    return bootstrap.draw(
        runs,
        lambda sums: bootstrap.percentiles(sums, [0.99], VALUES_MS)[:, 0],
        random,
        replicates,
    )


def tells_apart(
    random: np.random.Generator,
    first: Sequence[Counts],
    other: Sequence[Counts],
    replicates: int = bootstrap.REPLICATES,
) -> bool:
    """Say whether a difference of the p99 is shown."""
    drawn = p99s(random, other, replicates) - p99s(random, first, replicates)
    found = bootstrap.interval(drawn, min(map(bootstrap.blocks, (first, other))))
    return found is not None and not found.holds(0.0)


def coverage(random: np.random.Generator, runs: int) -> float:
    """Return the share of runs whose interval covers the true p99."""
    covered = 0
    for _ in range(runs):
        (run,) = draw_runs(random, 1)
        found = bootstrap.interval(p99s(random, [run]), bootstrap.blocks([run]))
        covered += found is not None and found.holds(TRUE_P99_MS)
    return covered / runs


def shown(
    random: np.random.Generator, pairs: int, shift: float, runs: int, per_second: int
) -> float:
    """Return the share of pairs of sides in which a difference of the p99 is shown."""
    found = 0
    for _ in range(pairs):
        first, other = (draw_runs(random, runs, by, per_second) for by in (1.0, shift))
        found += tells_apart(random, first, other)
    return found / pairs


def main() -> int:
    """Draw, count and print; 0 if all is good enough."""
    random = np.random.default_rng(20261123)
    covered = coverage(random, RUNS)
    print(f"the interval covered the true p99 in {covered:.1%} of {RUNS} runs", flush=True)
    alarms = shown(random, PAIRS, 1.0, 1, PER_SECOND)
    print(f"{alarms:.2%} of {PAIRS} pairs of the same thing were told apart", flush=True)
    found = shown(random, SHIFTED, 1.1, 5, 4 * PER_SECOND)
    print(f"10 % more was found in {found:.1%} of {SHIFTED} cases, five runs a side", flush=True)
    return int(covered < LEAST_COVERED or alarms > MOST_ALARMS or found < LEAST_FOUND)


if __name__ == "__main__":
    sys.exit(main())
