import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kneed import KneeLocator
from scipy.optimize import curve_fit
from scipy.stats import kendalltau, theilslopes

from harness.analysis.decide.backlog import trend
from harness.analysis.decide.capacity import _kneedle
from harness.analysis.decide.scalability import _fit, _limit, law

FEW = settings(max_examples=40)
"""A fit takes milliseconds, twice."""

LATENCY_MS = st.floats(0.01, 1e6)


@given(
    st.lists(st.one_of(st.integers(0, 9).map(float), LATENCY_MS), min_size=2, max_size=60),
    st.data(),
)
def test_growth_and_p_value_are_those_of_scipy(late_ms, data):
    """Theil and Sen's slope to the last bit; Kendall's p-value, with and without ties."""
    gaps = st.lists(st.integers(1, 3), min_size=len(late_ms), max_size=len(late_ms))
    at_s = np.cumsum(np.array(data.draw(gaps), np.float64))
    found = trend(at_s, np.array(late_ms))
    p_value = float(kendalltau(at_s, late_ms, alternative="greater").pvalue)
    assert float(theilslopes(late_ms, at_s).slope) == found.growth_ms_per_s
    assert pytest.approx(1.0 if np.isnan(p_value) else p_value, abs=1e-12) == found.p_value


@given(st.lists(st.tuples(st.floats(1, 1e5), LATENCY_MS), min_size=4, max_size=25))
def test_knee_is_that_of_kneed(points):
    """Of curves with and without a bend, loads at uneven distances."""
    loads, first = np.unique([load for load, _ in points], return_index=True)
    latencies_ms = np.array([latency for _, latency in points])[first]
    if len(loads) < 3 or latencies_ms.max() <= latencies_ms.min():
        return
    expected = KneeLocator(loads, latencies_ms, curve="convex", direction="increasing").knee
    inner = None if expected in {loads[0], loads[-1]} else expected
    assert inner == _kneedle(loads, latencies_ms)


@given(st.lists(st.floats(0.05, 3), min_size=5, max_size=20), st.floats(1, 6))
def test_knee_of_a_curve_that_bends_is_that_of_kneed(steps, power):
    """A power of the load has one bend, where both find it."""
    loads = np.cumsum(steps)
    latencies_ms = loads**power
    expected = KneeLocator(loads, latencies_ms, curve="convex", direction="increasing").knee
    inner = None if expected in {loads[0], loads[-1]} else expected
    assert inner == _kneedle(loads, latencies_ms)


@FEW
@given(
    st.floats(0.001, 0.3),
    st.one_of(st.just(0.0), st.floats(-7, -2).map(lambda power: 10**power)),
    st.floats(1, 1e4),
    st.lists(st.floats(-0.03, 0.03), min_size=6, max_size=12),
    st.floats(1.6, 3),
)
def test_coefficients_of_the_scalability_law_are_those_of_scipy(alpha, beta, gamma, noise, growth):
    """On noisy data of the law the fit is as close as scipy's, and its limit as high."""
    work = growth ** np.arange(len(noise))
    rate = law(work, alpha, beta, gamma) * (1 + np.array(noise))
    found = _fit(work, rate)
    assert found is not None
    bounds = ([0.0, 0.0, 0.0], [1.0, 1.0, np.inf])
    first = (0.01, 1e-4, float((rate / work).max()))
    settled = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14, "max_nfev": 10_000}
    expected, _ = curve_fit(law, work, rate, p0=first, bounds=bounds, x_scale="jac", **settled)
    ours, theirs = (((law(work, *one) - rate) ** 2).sum() for one in (found, expected))
    assert ours <= theirs * (1 + 1e-6) + 1e-12 * (rate**2).sum()
    assert pytest.approx(law(work, *expected), rel=5e-3) == law(work, *found)
    if expected[1] > 1e-7:
        assert pytest.approx(_limit(*(float(one) for one in expected)), rel=1e-2) == _limit(*found)


@FEW
@example([1.0, 1.0, 1.0, 371.0, 1.0, 1.0], 1.5)
@example([89.0, 6588.0, 176.0, 1.0, 178.0, 2752.0, 1.0], 1.328125)
@given(st.lists(st.floats(0.1, 1e4), min_size=6, max_size=12), st.floats(1.3, 3))
def test_fit_to_data_that_is_no_law_ends_within_its_bounds(rates, growth):
    """Whatever the data, the search ends, and no worse than where it began."""
    work, rate = growth ** np.arange(len(rates)), np.array(rates)
    found = _fit(work, rate)
    assert found is not None
    assert all(0 <= value for value in found)
    assert max(found[:2]) <= 1
    start = (0.01, 1e-4, float((rate / work).max()))
    ours, first = (((law(work, *one) - rate) ** 2).sum() for one in (found, start))
    assert ours <= first
