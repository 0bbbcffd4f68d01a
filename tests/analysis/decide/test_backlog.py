import numpy as np
import pytest

from harness.analysis.decide.backlog import find_backlog, trend
from harness.analysis.run.finalize import analyse
from tests.support.simulated_run import Simulation


def queue_ms(load_per_s, limit_per_s, seconds):
    """Return the wait of the last in the queue at the end of each second, ms."""
    waiting = np.cumsum(np.full(seconds, load_per_s - limit_per_s)).clip(0)
    return 5.0 + 1000 * waiting / limit_per_s


@pytest.mark.parametrize("overload", [1.02, 1.05, 1.5])
def test_the_growth_is_how_far_the_load_is_above_the_limit(overload):
    """In a queue served in order the wait grows by the overload, in seconds a second."""
    found = trend(np.arange(6.0), queue_ms(2000 * overload, 2000, 6))
    assert pytest.approx(1000 * (overload - 1)) == found.growth_ms_per_s
    assert found.is_growing


def test_a_load_below_the_limit_leaves_no_backlog():
    """However long one looks."""
    assert not trend(np.arange(60.0), queue_ms(1990, 2000, 60)).is_growing


def test_slow_but_steady_is_no_backlog():
    """Nor is noise: of 400 runs of 8 s with latencies around 400 ms hardly any is taken for one."""
    random = np.random.default_rng(20261123)
    runs = [random.lognormal(np.log(400), 0.3, 8) for _ in range(400)]
    assert sum(trend(np.arange(8.0), one).is_growing for one in runs) <= 8


def test_growth_of_a_few_milliseconds_is_none():
    """A trend can be clear and yet mean nothing."""
    assert not trend(np.arange(10.0), np.arange(10.0) + 5).is_growing


def test_a_run_that_was_merely_slow_has_none(tmp_path):
    """From a record: latencies that do not grow."""
    found = find_backlog(analyse(Simulation(measure_s=10).write(tmp_path / "run")).record)
    assert found is not None
    assert not found.is_growing


def test_a_run_of_a_few_seconds_says_nothing(tmp_path):
    """Four seconds would not be significant even if every one was slower than the last."""
    assert find_backlog(analyse(Simulation(measure_s=4).write(tmp_path / "run")).record) is None
