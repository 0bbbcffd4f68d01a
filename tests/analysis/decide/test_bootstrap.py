from statistics import NormalDist

import numpy as np
import pytest

from benchmarks.comparison_power import TRUE_P99_MS, draw_runs, p99s, tells_apart
from harness.analysis.decide import bootstrap

DRAWS = 400
"""Fewer than a comparison makes; ``benchmarks.comparison_power`` makes more of all of this."""


@pytest.mark.slow
def test_the_interval_covers_the_true_p99_in_at_least_nine_of_ten_runs():
    """Nominal is 95 %, of autocorrelated lognormal latencies."""
    random = np.random.default_rng(1)
    runs = draw_runs(random, 100)
    found = [
        bootstrap.interval(p99s(random, [run], DRAWS), bootstrap.blocks([run])) for run in runs
    ]
    assert np.mean([one.holds(TRUE_P99_MS) for one in found]) >= 0.9
    # An interval that is too wide to be of use covers too.
    assert np.median([one.high - one.low for one in found]) < 0.3 * TRUE_P99_MS


@pytest.mark.slow
def test_of_100_pairs_of_the_same_thing_at_most_one_in_twenty_is_told_apart():
    """A false alarm costs whoever gets it an afternoon."""
    random = np.random.default_rng(2)
    runs = draw_runs(random, 200)
    pairs = zip(runs[::2], runs[1::2], strict=True)
    assert sum(tells_apart(random, [first], [other], DRAWS) for first, other in pairs) <= 5


@pytest.mark.slow
def test_a_p99_ten_percent_higher_is_found_from_five_runs_a_side_in_nine_of_ten_cases():
    """What a pipeline is there for."""
    random = np.random.default_rng(3)
    found = []
    for _ in range(20):
        first, other = (draw_runs(random, 5, shift, per_second=200) for shift in (1.0, 1.1))
        found.append(tells_apart(random, first, other, DRAWS))
    assert np.mean(found) >= 0.9


def test_a_run_of_twelve_seconds_gives_an_interval_and_few_false_alarms():
    """It has six blocks of two seconds; of 100 pairs of the same thing hardly any is told apart."""
    random = np.random.default_rng(6)
    assert 2 == bootstrap.block_seconds(12)
    runs = draw_runs(random, 200, seconds=12)
    pairs = zip(runs[::2], runs[1::2], strict=True)
    assert sum(tells_apart(random, [first], [other], DRAWS) for first, other in pairs) <= 10


def test_percentiles_of_known_counts():
    """Ranks as HdrHistogram's: of 100 values, the 50th, the 99th and the 100th."""
    counts = np.array([[50, 49, 1], [0, 0, 7], [0, 0, 0]], np.float32)
    found = bootstrap.percentiles(counts, [0.5, 0.99, 1.0], np.array([1.0, 2.0, 3.0]))
    assert [1.0, 2.0, 3.0] == found[0].tolist()
    assert [3.0, 3.0, 3.0] == found[1].tolist()
    assert np.isnan(found[2]).all()


def test_every_draw_is_as_long_as_the_run_and_made_of_blocks():
    """A second that is drawn brings its neighbours: of 30, 6 at a time."""
    run = np.eye(30, dtype=np.float32)
    drawn = bootstrap.draw([run], lambda sums: sums.astype(float), np.random.default_rng(4), 250)
    assert (250, 30) == drawn.shape
    assert {30.0} == set(drawn.sum(axis=1).tolist())
    # Five blocks of 6 that begin anywhere: as many starts, so as many steps up, at most.
    assert (np.diff(drawn, axis=1, prepend=0).clip(min=0).sum(axis=1) <= 5).all()
    assert len(np.unique(drawn, axis=0)) > 200


def test_runs_are_drawn_before_their_blocks():
    """Of two runs without any spread inside, the draws are one, the other, or both."""
    runs = [np.full((30, 1), value, np.float32) for value in (1, 3)]
    drawn = bootstrap.draw(
        runs, lambda sums: sums[:, 0].astype(float), np.random.default_rng(5), 400
    )
    values, times = np.unique(drawn, return_counts=True)
    assert [60.0, 120.0, 180.0] == values.tolist()
    assert np.allclose(times / 400, [0.25, 0.5, 0.25], atol=0.08)


def test_the_tail_is_hesterbergs_with_students_quantile_of_a_table():
    """Of 11 blocks: t(0.975, 10) = 2.228, times the root of 11/10, is 2.337 normal deviations."""
    assert NormalDist().cdf(-2.337) == pytest.approx(bootstrap.expanded_tail(11), rel=0.01)
    assert 0.025 == pytest.approx(bootstrap.expanded_tail(1e6), rel=1e-3)


@pytest.mark.parametrize("draws", [99, 999, 9999])
def test_a_tail_holds_its_share_of_chance_however_few_the_draws(draws):
    """Of evenly spread draws the ends are where the shares of the distribution end, on average."""
    random = np.random.default_rng(7)
    tail = bootstrap.expanded_tail(1000)
    found = [bootstrap.interval(random.random(draws), 1000) for _ in range(400)]
    low, high = (np.mean(ends) for ends in zip(*found, strict=True))
    assert [tail, 1 - tail] == pytest.approx([low, high], abs=4 * np.sqrt(tail / draws / 400))


@pytest.mark.parametrize("blocks", [1.0, 3.9])
def test_too_few_blocks_give_no_interval(blocks):
    """Three blocks are no sample."""
    assert bootstrap.interval(np.arange(100.0), blocks) is None


def test_draws_without_a_figure_give_no_interval():
    """Nothing was measured in most of them."""
    drawn = np.full(100, np.nan)
    drawn[:40] = 1.0
    assert bootstrap.interval(drawn, 20) is None
