"""Marks in the panels of charts, fast and small for runs of any length."""

from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from harness.analysis.run.histograms import percentile_curve
from harness.analysis.run.record import Record
from harness.measure.histogram import LatencyHistogram
from harness.report.canvas import Size
from harness.report.readings import Floats

MOST_POINTS: Final = 600
"""A longer run is drawn in bins, as many as a screen can resolve."""

_BRIDGED_S: Final = 2.0
_BRIDGED_STEPS: Final = 4
"""A line bridges gaps of this many seconds, or of this many of its usual steps."""

_RECTANGLE: Final = (Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY)


def thin(frame: pd.DataFrame, *, highest: bool = False) -> tuple[Floats, pd.DataFrame]:
    """Return the seconds at which to draw, and the rows to draw there.

    A long run is put into bins of several seconds. Rates and levels become the bin's mean;
    percentiles, of which there is no mean, its highest.
    """
    numbers = frame.select_dtypes("number").astype(float)
    width = -(-len(numbers) // MOST_POINTS) if len(numbers) else 1
    bins = numbers.groupby(numbers.index.to_numpy(dtype=np.int64) // width * width)
    thinned = bins.max() if highest else bins.mean()
    if not highest and len(thinned):
        # Steps end where the last bin does, not where it begins.
        thinned.loc[thinned.index[-1] + width] = thinned.iloc[-1]
    return thinned.index.to_numpy(dtype=np.float64), thinned


def line(axes: Axes, seconds: Floats, values: "pd.Series[float]", **style: Any) -> None:
    """Draw the value of each second, in its middle, as a line that breaks at gaps.

    A line through a gap would show values that were not measured. A single value between two gaps
    is a dot.
    """
    gaps = np.diff(seconds)
    longest = max(_BRIDGED_S, _BRIDGED_STEPS * float(np.median(gaps))) if len(gaps) else 0.0
    breaks = np.flatnonzero(gaps > longest) + 1
    drawn = np.insert(values.to_numpy(dtype=float), breaks, np.nan)
    bounds = np.concatenate(([-1], np.flatnonzero(np.isnan(drawn)), [len(drawn)]))
    alone = [int(after) - 1 for before, after in pairwise(bounds) if after - before == 2]  # noqa: PLR2004 - one value between
    middles = np.insert(seconds, breaks, np.nan) + 0.5
    axes.plot(middles, drawn, **style)
    axes.plot(
        middles[alone], drawn[alone], color=style["color"], linestyle="none", marker="o",
        markersize=3.2, markeredgewidth=0,
    )  # fmt: skip


def tail_curve(histogram: LatencyHistogram) -> tuple[Floats, Floats]:
    """Return a distribution for a percentile axis: places on the axis, and latencies in ms."""
    latency_ms, share = percentile_curve(histogram)
    before = np.concatenate(([0.0], share[:-1]))
    return 1 / (1 - np.minimum(before, 1 - 1 / (2 * histogram.count))), latency_ms


def every_second(frame: pd.DataFrame, record: Record) -> pd.DataFrame:
    """Return counts by second with a row for each second of the run, 0 where nothing was."""
    last = int(max(frame.index.max(), record.ended_s - 1))
    return frame.reindex(range(last + 1), fill_value=0).astype(float)


def bars(
    axes: Axes,
    seconds: Floats,
    heights: "pd.Series[float]",
    bottoms: "pd.Series[float] | float" = 0.0,
    **style: Any,
) -> None:
    """Draw a bar for each second, as one shape: hundreds of bars cost seconds to draw one by one.

    The least distance between two seconds is the bars' width. A bar of no height is not drawn.
    """
    width = 0.8 * (float(np.diff(seconds).min()) if len(seconds) > 1 else 1.0)
    tall = heights.to_numpy(dtype=np.float64)
    low = np.broadcast_to(np.asarray(bottoms, dtype=np.float64), tall.shape)
    shown = tall > 0
    path = rectangles(seconds[shown], (seconds + width)[shown], low[shown], (low + tall)[shown])
    axes.add_patch(PathPatch(path, linewidth=0, **style))
    axes.autoscale_view()


def rectangles(lefts: Floats, rights: Floats, lows: Floats, highs: Floats) -> Path:
    """Return rectangles, given by their sides, each of shape (n,), as one path."""
    corners = np.stack(
        (lefts, lows, rights, lows, rights, highs, lefts, highs, lefts, lows), axis=1
    )
    return Path(corners.reshape(-1, 2), _RECTANGLE * len(lefts))


def slowest_in_bins(
    seconds: "pd.Series[float]", values: pd.DataFrame, size: Size
) -> tuple[Floats, pd.DataFrame]:
    """Return what there is room to draw: in each bin of time the row with the highest last value.

    ``seconds`` is when each row is drawn; the last column of ``values`` decides.
    """
    width_s = max(float(seconds.max() - seconds.min()) / (size.width / 2), 1e-9)
    bins = ((seconds - seconds.min()) / width_s).astype(int)
    slowest = values.iloc[:, -1].groupby(bins.to_numpy()).idxmax().to_numpy()
    return np.asarray(seconds.loc[slowest], np.float64), values.loc[slowest]
