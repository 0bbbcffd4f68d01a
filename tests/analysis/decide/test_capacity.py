import numpy as np
import pytest

from harness.analysis.decide.capacity import find_knee


def test_the_knee_of_the_papers_figure():
    """The curve −1/x + 5 on ten even points from 0 to 1 + 0.1 bends at 0.22; here turned over."""
    x = np.linspace(0.0, 1.0, 10)
    bent = 1 / (x + 0.1)
    found = find_knee(list(1 - x), list(bent))
    assert pytest.approx(1 - 2 / 9, abs=1e-9) == found.load
    assert found.low < found.load < found.high


def test_latency_that_jumps_has_its_knee_before_the_jump():
    """The range reaches to the loads tested on either side."""
    found = find_knee([100, 200, 400, 800, 1600], [5.0, 5.0, 6.0, 9.0, 900.0])
    assert 800 == found.load
    assert (400, 1600) == (found.low, found.high)


def test_a_line_has_no_knee():
    """Nor has a curve that is flat, or one of too few loads."""
    assert find_knee([1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60]) is None
    assert find_knee([1, 2, 3, 4, 5, 6], [7] * 6) is None
    assert find_knee([1, 2, 3, 4], [1, 1, 1, 100]) is None


def test_repeated_loads_count_with_their_median():
    """One disturbed run of three moves nothing."""
    loads = [100, 200, 200, 200, 400, 800, 1600]
    assert 800 == find_knee(loads, [5.0, 5.0, 5000.0, 5.0, 6.0, 9.0, 900.0]).load
