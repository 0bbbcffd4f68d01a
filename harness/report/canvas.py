"""The parts that charts share: sizes, panels, axes, phase marks and legends."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis.record import MEASURE, Record
from harness.report.theme import BAND, LINE, MUTED

MOST_POINTS: Final = 600
"""A longer run is drawn in bins, as many as a screen can tell apart."""

_CHARACTER: Final = 5.6
"""Width of one character of a phase's name, in points."""

_LOG_DECADES: Final = ((1, "0"), (10, "90"), (100, "99"), (1e3, "99.9"), (1e4, "99.99"))
_MORE_DECADES: Final = ((1e5, "99.999"), (1e6, "99.9999"), (1e7, "99.99999"))


class Size(NamedTuple):
    """Width and height of a drawing, in points, which are a page's pixels."""

    width: int
    height: int


WIDE: Final = Size(1040, 300)
HALF: Final = Size(508, 290)
NARROW: Final = Size(350, 280)


def panels(figure: Figure, size: Size, rows: int) -> list[Axes]:
    """Split a figure into panels above each other that share the time axis."""
    grid = figure.add_gridspec(
        rows,
        1,
        left=46 / size.width,
        right=1 - 12 / size.width,
        bottom=40 / size.height,
        top=1 - 32 / size.height,
        hspace=0.5,
    )
    return [figure.add_subplot(grid[row, 0]) for row in range(rows)]


def unit(axes: Axes, name: str) -> None:
    """Write the unit of the vertical axis above it, where it can be read without a tilt."""
    axes.annotate(
        name,
        (0, 1),
        xycoords="axes fraction",
        xytext=(-38, 10),
        textcoords="offset points",
        color=MUTED,
    )


def time_axis(axes: Axes, record: Record, size: Size, *, is_last: bool = True) -> None:
    """Set the axis of run seconds, with the phases marked and named where there is room."""
    end_s = max(record.ended_s, 1.0)
    axes.set_xlim(0, end_s)
    room = (size.width - 58) / end_s
    for phase in record.phases:
        start_s, length_s = phase["start_s"], min(phase["end_s"], end_s) - phase["start_s"]
        if length_s <= 0:
            continue
        if phase["name"] == MEASURE:
            axes.axvspan(start_s, start_s + length_s, color=BAND, linewidth=0, zorder=0)
        axes.axvline(start_s, color=LINE, linewidth=0.8, zorder=0.5)
        name = phase["name"].replace("_", "-")
        if is_last and length_s * room > len(name) * _CHARACTER:
            axes.annotate(
                name,
                (start_s + length_s / 2, 0),
                xycoords=("data", "axes fraction"),
                xytext=(0, -34),
                textcoords="offset points",
                ha="center",
                color=MUTED,
                fontsize=10,
            )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(size.width // 70, 4), integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} s"))
    axes.tick_params(axis="x", labelbottom=is_last)


def percentile_axis(axes: Axes, count: int, size: Size) -> None:
    """Set HdrHistogram's axis, on which each further nine of a percentile is as wide."""
    decades = [*_LOG_DECADES, *_MORE_DECADES]
    shown = [(place, name) for place, name in decades if place <= max(count, 10)]
    axes.set_xscale("log")
    axes.set_xlim(1, max(2.0 * count, 10))
    step = 2 if len(shown) * 55 > size.width - 58 else 1
    axes.set_xticks(
        [place for place, _ in shown][::step], [f"{name} %" for _, name in shown][::step]
    )
    axes.minorticks_off()
    axes.grid(visible=True, axis="x")
    axes.set_xlabel("percentile")


def legend(axes: Axes, size: Size) -> None:
    """Put the key above the panel, beside the unit."""
    handles, labels = axes.get_legend_handles_labels()
    order = list(range(len(labels)))
    if "max" in labels:
        order = order[3::-1] + order[4:]
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.4,
        ncols=len(labels),
        handlelength=1.2 if size == NARROW else 1.8,
        handletextpad=0.5,
        columnspacing=0.9 if size == NARROW else 1.6,
        fontsize=10 if size == NARROW else 11,
    )


def finish(axes: Axes) -> None:
    """Give the vertical axis few, round, grouped figures."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))


def thin(
    frame: pd.DataFrame, *, highest: bool = False
) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
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


def _tick(value: float, _position: int | None) -> str:
    return f"{value:,.10g}"
