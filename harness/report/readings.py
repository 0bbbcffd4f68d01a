"""What a page shows of its charts under the pointer: values by place on the horizontal axis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.run.histograms import percentile_curve
from harness.analysis.run.record import Record
from harness.measure.histogram import LatencyHistogram

Floats = npt.NDArray[np.float64]

_WHOLE: Final = 100
"""Values from here on are shown without decimals, smaller ones with three or four figures."""
_STEPS: Final = np.arange(10.0, 1.0, -0.5)
"""Of each decade of the percentile axis: 90, 90.5, 91 % and so on, which has p50, p95 and p99."""


@dataclass(frozen=True)
class Readings:
    """The values of a chart at each place of its horizontal axis.

    Attributes:
        axis: "time" or "percentile": charts of the same axis are read together.
        start: Where the axis begins: a second, or 1.
        end: Where it ends.
        at: Ascending places: seconds, or for percentiles 1 / (1 - share).
        series: Their values by name and unit, of the shape of ``at``; NaN where there is none.
    """

    axis: str
    start: float
    end: float
    at: Floats
    series: Mapping[tuple[str, str], Floats]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {
            "axis": self.axis,
            "start": self.start,
            "end": self.end,
            "at": self.at.tolist(),
            "step": float(np.diff(self.at).min()) if len(self.at) > 1 else 1.0,
            "series": [
                [name, unit, [_plain(value) for value in values]]
                for (name, unit), values in self.series.items()
            ],
        }


def over_time(
    seconds: Floats,
    by_unit: Mapping[str, Mapping[str, "pd.Series[float]"]],
    end_s: float,
    start_s: float = 0.0,
) -> Readings:
    """Return the readings of a chart over time from its series, by unit and name."""
    within = seconds < end_s  # Steps are drawn up to the end, where no second begins.
    values = {
        (name, unit): np.asarray(series, np.float64)[within]
        for unit, named in by_unit.items()
        for name, series in named.items()
    }
    return Readings("time", start_s, end_s, seconds[within], values)


def of_run(
    record: Record, seconds: Floats, by_unit: Mapping[str, Mapping[str, "pd.Series[float]"]]
) -> Readings:
    """Return the readings of a chart on the time axis of a run."""
    return over_time(seconds, by_unit, max(record.ended_s, 1.0))


def by_percentile(histograms: Mapping[str, LatencyHistogram], end: float) -> Readings:
    """Return the readings of distributions by name, in ms, on a percentile axis."""
    decades = 10.0 ** np.arange(np.ceil(np.log10(end)))
    at = np.unique((decades[:, None] * 10 / _STEPS).ravel())
    at = at[at <= end]
    values = {}
    for name, histogram in histograms.items():
        latency_ms, share = percentile_curve(histogram)
        places = np.searchsorted(share, 1 - 1 / at - 1e-12)
        values[name, "ms"] = latency_ms[np.minimum(places, len(latency_ms) - 1)]
    return Readings("percentile", 1.0, end, at, values)


def _plain(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    rounded = round(value) if abs(value) >= _WHOLE else float(f"{value:.4g}")
    return int(rounded) if rounded == int(rounded) else rounded
