"""The heat map of fan-out latency: deliveries by second and latency."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from harness.analysis.run.disturbances import objectives_on_p99
from harness.analysis.run.finalize import Analysis
from harness.core.clock import NS_PER_MS
from harness.measure.histogram import Int64Array, edges_ns
from harness.report.annotations import rectangles, thin
from harness.report.canvas import (
    NARROW,
    WIDE,
    ChartLayout,
    Size,
    latency_axis,
    legend,
    panels,
    time_axis,
    unit,
)
from harness.report.readings import Floats, Readings, of_run
from harness.report.theme import BLUE, ORANGE

_MOST_ROWS: Final = 32
_COLUMN_WIDTH: Final = 6
"""Points that a column takes at least; more seconds than fit share one."""
_MOST_LEVELS: Final = 6
_KEYS_PER_LINE: Final = 3
"""Names of levels that fit beside each other on a phone."""
_FAINTEST: Final = 0.13
_EMPTIEST: Final = 0.1
_STEPS: Final = ((1, 2, 5), (1, 3), (1,))
"""Steps in each decade of deliveries a second, the finest first."""

Places = npt.NDArray[np.intp]


def heatmap(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw time against latency; the darker a cell, the more deliveries a second fell into it."""
    record = analysis.record
    by_second = {
        second: bins
        for second, bins in record.histograms.by_second.items()
        if 0 <= second < record.ended_s and bins.any()
    }
    if not by_second:
        return
    limits = [
        slo["limit"]
        for slo in objectives_on_p99(analysis.summary["slos"])
        if not slo.get("user_class")
    ]

    def draw(figure: Figure, size: Size) -> None:
        per_s, starts_s, edges_ms = _cells(by_second, size)
        levels = _levels(per_s)
        named = len(levels) + len(limits)
        columns = _KEYS_PER_LINE if size == NARROW else named
        (axes,) = panels(figure, size, 1, key_lines=math.ceil(named / columns))
        for number, path, name in _level_paths(per_s, levels, starts_s, edges_ms):
            strength = _FAINTEST + (1 - _FAINTEST) * number / max(len(levels) - 1, 1)
            patch = PathPatch(path, facecolor=BLUE, alpha=strength, linewidth=0, label=name)
            axes.add_patch(patch)
        latency_axis(axes, edges_ms[0], edges_ms[-1])
        for limit in limits:
            if edges_ms[0] < limit < edges_ms[-1]:
                axes.axhline(limit, color=ORANGE, linewidth=1.2, linestyle="--", label="p99 limit")
        unit(axes, "ms")
        time_axis(axes, record, size)
        legend(axes, size, columns=columns)

    caption = (
        "All deliveries by second of arrival and latency; a stronger colour means more deliveries "
        "per second."
    )
    yield ChartLayout(
        "fan-out-heatmap",
        "Fan-out latency of every delivery",
        caption,
        draw,
        WIDE,
        _readings(analysis, by_second),
    )


def _readings(analysis: Analysis, by_second: Mapping[int, Int64Array]) -> Readings:
    """Return the deliveries of each second and between which latencies they lie."""
    edges_ms = edges_ns() / NS_PER_MS
    rows = []
    for second, bins in sorted(by_second.items()):
        filled = np.flatnonzero(bins)
        rows.append((second, bins.sum(), edges_ms[filled[0]], edges_ms[filled[-1] + 1]))
    frame = pd.DataFrame(rows, columns=["second", "deliveries", "from", "to"]).set_index("second")
    frame["from"] *= -1  # A bin has its lowest.
    seconds, found = thin(frame, highest=True)
    found["from"] *= -1
    by_unit = {
        "/s": {"deliveries": found["deliveries"]},
        "ms": {n: found[n] for n in ("from", "to")},
    }
    return of_run(analysis.record, seconds, by_unit)


def _cells(by_second: Mapping[int, Int64Array], size: Size) -> tuple[Floats, Floats, Floats]:
    """Return deliveries a second by latency and time, and the cells' edges.

    Returns:
        Shape (rows, columns); where each column starts and the last one ends, in s; where each
        row begins and the last one ends, in ms.
    """
    first, last = min(by_second), max(by_second)
    width = -(-(last + 1 - first) * _COLUMN_WIDTH // size.plotted_width)
    filled = np.flatnonzero(sum(by_second.values()))
    low, high = int(filled[0]), int(filled[-1]) + 1
    height = 2 ** max(0, int(np.ceil(np.log2((high - low) / _MOST_ROWS))))
    rows = -(-(high - low) // height)
    columns = -(-(last + 1 - first) // width)
    cells = np.zeros((rows, columns))
    for second, bins in by_second.items():
        shown = np.zeros(rows * height)
        shown[: high - low] = bins[low:high]
        cells[:, (second - first) // width] += shown.reshape(rows, height).sum(axis=1) / width
    starts_s = first + width * np.arange(columns + 1.0)
    edges = edges_ns()[np.minimum(low + height * np.arange(rows + 1), len(edges_ns()) - 1)]
    return cells, starts_s, edges / NS_PER_MS


def _levels(per_s: Floats) -> list[float]:
    """Return the least that each level stands for, in round steps, ascending; the first is 0.

    The steps are as fine as they can be above the emptiest cells, so that most cells differ.
    """
    low, top = np.quantile(per_s[per_s > 0], _EMPTIEST), per_s.max()
    decades = 10.0 ** np.arange(0, np.floor(np.log10(max(top, 1))) + 1)
    steps: list[float] = []
    for within in _STEPS:
        steps = [float(step * decade) for decade in decades for step in within]
        steps = [step for step in steps if step <= top]
        steps = [step for step in steps if step > low] or steps[-1:]
        if len(steps) < _MOST_LEVELS:
            break
    return [0.0, *steps[1 - _MOST_LEVELS :]]


def _level_paths(
    per_s: Floats, levels: list[float], starts_s: Floats, edges_ms: Floats
) -> Iterator[tuple[int, Path, str]]:
    """Yield each level that has cells: its number, its cells as one path, its name in the key."""
    level = np.searchsorted(levels, per_s, side="right") - 1
    level[per_s == 0] = -1
    for number, least in enumerate(levels):
        rows, starts, ends = _runs(level == number)
        name = f"from {least:,.0f}/s"
        if not least:
            # The leading underscore keeps a level that stands alone out of the key.
            name = f"under {levels[1]:,.0f}/s" if len(levels) > 1 else "_any"
        if len(rows):
            cells = (starts_s[starts], starts_s[ends], edges_ms[rows], edges_ms[rows + 1])
            yield number, rectangles(*cells), name


def _runs(mask: npt.NDArray[np.bool_]) -> tuple[Places, Places, Places]:
    """Return row, first column and column after the last of each run of cells in a row."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    changes = np.diff(padded, axis=1)
    rows, starts = np.nonzero(changes == 1)
    _, ends = np.nonzero(changes == -1)
    return rows, starts, ends
