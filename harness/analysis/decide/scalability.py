"""The Universal Scalability Law, fitted to a sweep, for reading beyond what was tested.

X(N) = γN / (1 + α(N − 1) + βN(N − 1)) is the throughput with N pieces of work in the system at
once: γ what one alone would get through, α what waits for others (contention), β what it costs to
agree with them (Gunther, "Guerrilla Capacity Planning", 2007). N is a number of users or processes
there. A fan-out system under a schedule has none, so N is taken from Little's law: deliveries a
second × mean time of a delivery in the system.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_POINTS: Final = 6
"""Three coefficients, and as many points again that may disagree."""
LEAST_SPREAD: Final = 4.0
"""From the least to the most work in the system; over less, any curve fits."""
MOST_RESIDUAL: Final = 0.1
"""A fit that is further off than this share of the highest throughput does not fit."""
LEAST_BEND: Final = 0.1
"""With less than this share lost to contention and agreement, the tested loads show no limit."""
MOST_DISAGREEMENT: Final = 2.0
"""Most by which the limits found with each point left out may differ, as a ratio."""


@dataclass(frozen=True, slots=True)
class Scalability:
    """The law as it fits, or why it was refused.

    Attributes:
        refusal: Why there is no fit, in words; empty where there is one.
        at_once: N of each point, shape (n,).
        throughput_per_s: X of each point, shape (n,).
        residual_ratios: (measured − fitted) ÷ highest measured, of each point, shape (n,).
        limit_per_s: Highest throughput the law allows, 1/s.
        limit_at: The N at which that is; infinite where X only ever comes closer to it.
        limit_low_per_s: Least limit found with one point left out, 1/s.
        limit_high_per_s: Greatest limit found with one point left out, 1/s.
    """

    refusal: str = ""
    alpha: float = 0.0
    beta: float = 0.0
    gamma: float = 0.0
    at_once: tuple[float, ...] = ()
    throughput_per_s: tuple[float, ...] = ()
    residual_ratios: tuple[float, ...] = ()
    limit_per_s: float = 0.0
    limit_at: float = 0.0
    limit_low_per_s: float = 0.0
    limit_high_per_s: float = 0.0

    @property
    def is_extrapolated(self) -> bool:
        """Whether the limit lies beyond everything that was tested."""
        return self.limit_at > max(self.at_once, default=0.0)


def law(at_once: Floats, alpha: float, beta: float, gamma: float) -> Floats:
    """Return the throughput of the law, 1/s, shape as ``at_once``."""
    return gamma * at_once / (1 + alpha * (at_once - 1) + beta * at_once * (at_once - 1))


def fit_scalability(at_once: Sequence[float], throughput_per_s: Sequence[float]) -> Scalability:
    """Fit the law by least squares, with no coefficient below zero; refuse what does not fit."""
    work, rate = np.asarray(at_once, np.float64), np.asarray(throughput_per_s, np.float64)
    if refusal := _unfit(work):
        return Scalability(refusal)
    fitted = _fit(work, rate)
    if fitted is None:
        return Scalability("no coefficients were found that fit")
    residuals = (rate - law(work, *fitted)) / rate.max()
    if (worst := float(np.abs(residuals).max())) > MOST_RESIDUAL:
        return Scalability(f"it is off by {worst:.0%} of the highest throughput")
    most = float(work.max())
    bend = 1 - float(law(np.array([most]), *fitted)[0]) / (fitted[2] * most)
    if bend < LEAST_BEND:
        return Scalability("throughput grew in proportion; no limit shows in what was tested")
    limits = [_limit(*one) for one in _jackknife(work, rate)]
    low, high = min(limits, default=0.0), max(limits, default=np.inf)
    if not low or high / low > MOST_DISAGREEMENT:
        return Scalability("the limit depends on single steps: leaving one out moves it too far")
    return Scalability(
        "",
        *fitted,
        tuple(work.tolist()),
        tuple(rate.tolist()),
        tuple(residuals.tolist()),
        _limit(*fitted),
        _limit_at(*fitted[:2]),
        low,
        high,
    )


def _unfit(work: Floats) -> str:
    different = len(np.unique(work))
    if different < LEAST_POINTS:
        return f"{different} steps can be used, {LEAST_POINTS} are needed"
    if work.min() <= 0 or work.max() / work.min() < LEAST_SPREAD:
        return "the steps are too much alike: the most work at once is not four times the least"
    return ""


def _fit(work: Floats, rate: Floats) -> tuple[float, float, float] | None:
    """Return α, β and γ; None where the search for them does not end.

    Levenberg and Marquardt: a Gauss-Newton step, damped until it makes the fit better. A
    coefficient that a step would take out of its range stays at the bound, and one that is at a
    bound and would leave is no part of the step.
    """
    found = np.array([0.01, 1e-4, float((rate / work).max())])
    residuals, damping = law(work, *found) - rate, 1e-3
    for _ in range(_MOST_STEPS):
        slopes = _slopes(work, *found)
        downhill = -(slopes.T @ residuals)
        free = ~((found <= 0) & (downhill < 0) | (found >= _HIGHEST) & (downhill > 0))
        if not free.any():
            break
        scale = np.maximum(np.sqrt((slopes[:, free] ** 2).sum(axis=0)), _VANISHING)
        rows = np.vstack([slopes[:, free] / scale, math.sqrt(damping) * np.eye(len(scale))])
        wanted = np.r_[-residuals, np.zeros(len(scale))]
        tried = found.copy()
        tried[free] += np.linalg.lstsq(rows, wanted)[0] / scale
        tried = np.clip(tried, 0, _HIGHEST)
        left = law(work, *tried) - rate
        gain = float(residuals @ residuals - left @ left)
        moved = float(np.abs((tried - found)[free] * scale).max())
        if gain >= 0:
            found, residuals, damping = tried, left, max(damping / 3, _LEAST_DAMPING)
        else:
            damping *= 4
        if moved <= _SETTLED * float(rate.max()) or 0 <= gain <= _LEAST_GAIN * (left @ left):
            break
    else:
        return None
    alpha, beta, gamma = found.tolist()
    return alpha, beta, gamma


def _slopes(work: Floats, alpha: float, beta: float, gamma: float) -> Floats:
    """Return how the law's throughput changes with each coefficient, shape (n, 3)."""
    alone = law(work, alpha, beta, 1.0)
    by_alpha = -gamma * alone**2 * (work - 1) / work
    return np.column_stack([by_alpha, by_alpha * work, alone])


def _jackknife(work: Floats, rate: Floats) -> list[tuple[float, float, float]]:
    fits = (_fit(np.delete(work, place), np.delete(rate, place)) for place in range(len(work)))
    return [one for one in fits if one is not None]


def _limit_at(alpha: float, beta: float) -> float:
    """Return the N of the highest throughput: √((1 − α)/β)."""
    return float(np.sqrt((1 - alpha) / beta)) if beta > _VANISHING else float("inf")


def _limit(alpha: float, beta: float, gamma: float) -> float:
    """Return the highest throughput; with β = 0 what X comes ever closer to, γ/α."""
    at = _limit_at(alpha, beta)
    if np.isfinite(at):
        return float(law(np.array([at]), alpha, beta, gamma)[0])
    return gamma / alpha if alpha > _VANISHING else float("inf")


_VANISHING: Final = 1e-12
"""A coefficient below this is none."""
_HIGHEST: Final = np.array([1.0, 1.0, np.inf])
"""Of α, β and γ; none is below zero."""
_MOST_STEPS: Final = 2000
_LEAST_DAMPING: Final = 1e-12
_LEAST_GAIN: Final = 1e-12
"""A step that makes the squares no smaller than by this share is the last."""
_SETTLED: Final = 1e-9
"""A step that moves no point by more than this share of the highest throughput is the last."""
