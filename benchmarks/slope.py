"""A straight line through measured points, and how sure its slope is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Slope(NamedTuple):
    """How much y grows with x.

    Attributes:
        value: Units of y for each unit of x.
        standard_error: Of the value, by ordinary least squares, in the same unit.
    """

    value: float
    standard_error: float


def fit_slope(x: Sequence[float], y: Sequence[float]) -> Slope:
    """Return the slope of the least-squares line through points; needs three at least.

    Raises:
        ValueError: If there are fewer.
    """
    (value, _), covariance = np.polyfit(x, y, 1, cov=True)
    return Slope(float(value), float(np.sqrt(covariance[0, 0])))
