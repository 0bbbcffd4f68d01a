import math

import numpy as np
import pytest

from harness.analysis.decide.bootstrap import Interval
from harness.analysis.decide.run_noise import RunNoise, hull, measure_noise, noise_interval

ASSUMED = 0.3


def test_runs_of_a_side_give_the_standard_deviation_of_their_logarithms():
    """Of 1, e and e² that is 1, with two degrees of freedom."""
    noise = measure_noise([[1.0, math.e, math.e**2]], [], ASSUMED)
    assert noise.deviation == pytest.approx(1.0)
    assert (2.0, 3) == (noise.freedom, noise.runs)


def test_sides_are_pooled_and_their_difference_is_no_noise():
    """A side a hundred times as slow has the same deviation, and doubles the freedom."""
    side = [1.0, math.e, math.e**2]
    noise = measure_noise([side, [100 * value for value in side]], [], ASSUMED)
    assert noise.deviation == pytest.approx(1.0)
    assert (4.0, 6) == (noise.freedom, noise.runs)


def test_stored_runs_count_by_the_difference_from_one_to_the_next():
    """Up and down by one: each step is √2 deviations; four steps are 2⅔ degrees of freedom."""
    noise = measure_noise([[5.0]], [1.0, math.e, 1.0, math.e, 1.0], ASSUMED)
    assert noise.deviation == pytest.approx(1 / math.sqrt(2))
    assert noise.freedom == pytest.approx(8 / 3)
    assert 5 == noise.runs


def test_a_system_that_became_slower_once_makes_little_noise():
    """Ten alike runs, then ten twice as slow: one step of nineteen, where the spread is 35 %."""
    random = np.random.default_rng(1)
    values = np.exp(random.normal(0, 0.05, 20)) * np.repeat([1.0, 2.0], 10)
    assert measure_noise([], list(values), ASSUMED).deviation < 0.15


@pytest.mark.parametrize(
    ("compared", "stored"),
    [([[3.0], [4.0]], []), ([[3.0, 4.0], [5.0]], []), ([[0.0, 0.0, 0.0]], []), ([], [1.0, 2.0])],
)
def test_with_too_few_runs_the_deviation_is_assumed(compared, stored):
    """A deviation of two values is hardly one; of a latency of 0 there is no logarithm."""
    assert RunNoise(ASSUMED) == measure_noise(compared, stored, ASSUMED)


def test_the_interval_is_students_for_one_thing():
    """Deviation 0.1 with 4 degrees of freedom, a run a side: t is 2.776 in every table."""
    interval = noise_interval(2.0, {RunNoise(0.1, 4.0, 5): 2.0})
    width = math.exp(2.776 * 0.1 * math.sqrt(2))
    assert interval.low == pytest.approx(2 / width, rel=0.01)
    assert interval.high == pytest.approx(2 * width, rel=0.01)


def test_an_assumed_deviation_gives_the_normal_interval():
    """Two single runs may be a factor of 2.3 apart."""
    assert noise_interval(1.0, {RunNoise(ASSUMED): 2.0}).high == pytest.approx(2.297, rel=0.001)


def test_two_things_have_welchs_freedom():
    """Equal deviations with 2 and 2 degrees of freedom make 4 together, and t of them."""
    apart = noise_interval(1.0, {RunNoise(0.1, 2.0, 3): 1.0, RunNoise(0.1, 2.0, 4): 1.0})
    assert apart.high == pytest.approx(math.exp(2.776 * 0.1 * math.sqrt(2)), rel=0.01)


def share_shown(ratio, deviation, runs, stored, pairs=2000):
    """Return in which share of simulated pairs of sides the interval leaves out 1."""
    random = np.random.default_rng(20261123)
    shown = 0
    for _ in range(pairs):
        first = np.exp(random.normal(0, deviation, runs))
        other = np.exp(random.normal(0, deviation, runs)) * ratio
        earlier = np.exp(random.normal(0, deviation, stored))
        noise = measure_noise([list(first), list(other)], list(earlier), ASSUMED)
        found = float(np.exp(np.log(other).mean() - np.log(first).mean()))
        shown += not noise_interval(found, {noise: 2 / runs}).holds(1.0)
    return shown / pairs


@pytest.mark.parametrize(("runs", "stored"), [(1, 12), (1, 40), (3, 0), (3, 12)])
def test_runs_of_one_thing_are_told_apart_in_one_pair_of_twenty(runs, stored):
    """However noisy they are, and wherever that is known from."""
    assert 0.03 < share_shown(1.0, 0.25, runs, stored) < 0.065


def test_three_runs_a_side_find_a_rise_by_30_percent():
    """Where runs differ by 7 %, and twelve are stored."""
    assert share_shown(1.3, 0.07, 3, 12) > 0.9


def test_the_hull_holds_both_intervals_and_needs_both():
    """What is not known makes nothing certain."""
    assert Interval(0.5, 3.0) == hull(Interval(0.5, 2.0), Interval(1.0, 3.0))
    assert hull(None, Interval(1.0, 3.0)) is None
