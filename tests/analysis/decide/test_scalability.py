import numpy as np
import pytest

from harness.analysis.decide.scalability import fit_scalability, law

SDM91_LOAD = [1, 18, 36, 72, 108, 144, 216]
SDM91_THROUGHPUT = [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2]
"""SPEC SDM 91 on a SPARCcenter 2000, from Gunther's "Guerrilla Capacity Planning"."""


def test_exact_data_gives_back_its_coefficients():
    """Of data drawn from the law, coefficients, limit and residuals are known."""
    work = np.array([1.0, 2, 4, 8, 16, 32, 64])
    found = fit_scalability(list(work), list(law(work, 0.03, 0.0005, 250.0)))
    assert "" == found.refusal
    assert pytest.approx((0.03, 0.0005, 250.0), rel=1e-4) == (found.alpha, found.beta, found.gamma)
    assert pytest.approx((0.97 / 0.0005) ** 0.5, rel=1e-4) == found.limit_at
    assert pytest.approx(float(law(np.array([44.045]), 0.03, 0.0005, 250.0)[0])) == (
        pytest.approx(found.limit_per_s, rel=1e-4)
    )
    assert max(map(abs, found.residual_ratios)) < 1e-5
    assert not found.is_extrapolated


def test_published_data_gives_the_published_coefficients():
    """Those that the R package usl prints: α 0.02773, β 0.0001044, γ 90.0, peak at 96.5."""
    # The worst point is off by 6 % of the highest throughput, within what is accepted.
    found = fit_scalability(SDM91_LOAD, SDM91_THROUGHPUT)
    assert pytest.approx(0.02773, rel=1e-3) == found.alpha
    assert pytest.approx(0.0001044, rel=1e-3) == found.beta
    assert pytest.approx(90.0, rel=1e-3) == found.gamma
    assert pytest.approx(96.5, rel=1e-3) == found.limit_at


def test_a_limit_beyond_what_was_tested_is_marked():
    """With the range that leaving one point out gives."""
    work = np.array([1.0, 2, 3, 5, 8, 12])
    noise = 1 + np.array([0.002, -0.002, 0.001, 0.002, -0.001, 0.001])
    found = fit_scalability(list(work), list(law(work, 0.03, 0.0005, 250.0) * noise))
    assert found.is_extrapolated
    assert found.limit_low_per_s <= found.limit_per_s <= found.limit_high_per_s


@pytest.mark.parametrize(
    ("work", "rate", "reason"),
    [
        ([1, 2, 4, 8, 16], [10, 20, 40, 80, 160], "5 steps can be used, 6 are needed"),
        ([1, 1.1, 1.2, 1.3, 1.4, 1.5], [1, 2, 3, 4, 5, 6], "too much alike"),
        ([1, 2, 4, 8, 16, 32], [10, 20, 40, 80, 160, 320], "grew in proportion"),
        ([1, 2, 4, 8, 16, 32], [10, 90, 15, 80, 20, 70], "of the highest throughput"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(work, rate, reason):
    """Too few points, no spread, no bend, or no fit at all: no figure that looks like one."""
    found = fit_scalability(work, rate)
    assert reason in found.refusal
    assert 0 == found.limit_per_s
