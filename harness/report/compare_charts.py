"""The charts of a comparison: every side on the same axes, aligned on when measuring began."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis.comparison import Comparison, Side
from harness.analysis.disturbances import fan_out_p99_ms
from harness.analysis.histograms import percentile_curve
from harness.analysis.ledger import stalls_s
from harness.analysis.record import Record
from harness.report.canvas import (
    WIDE,
    Size,
    duration_axis,
    finish,
    latency_axis,
    legend,
    panels,
    percentile_axis,
    unit,
)
from harness.report.marks import line, thin
from harness.report.sketch import Chart, Sketch
from harness.report.theme import BAND, CAUSES, LINE, MUTED, STYLE

COLOURS: Final = (CAUSES[1], CAUSES[0], CAUSES[3], CAUSES[2])
"""Of the sides, in their order."""
_LEAST_STALL_S: Final = 0.001


def draw_comparison(comparison: Comparison) -> list[Chart]:
    """Draw every chart that the records have data for."""
    makers = (_percentiles, _p99_over_time, _connected, _deliveries, _stalls)
    sketches = [sketch for maker in makers for sketch in maker(comparison.sides)]
    with mpl.rc_context(STYLE):
        return [sketch.chart() for sketch in sketches]


def colour_of(place: int) -> str:
    """Return the colour of the side at a place."""
    return COLOURS[place % len(COLOURS)]


def _percentiles(sides: Sequence[Side]) -> Iterator[Sketch]:
    shown = [(n, one) for n, one in enumerate(sides) if one.latencies.count]
    if not shown:
        return
    most = max(one.latencies.count for _, one in shown)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        slowest, quickest = 0.0, np.inf
        for number, side in shown:
            latency_ms, share = percentile_curve(side.latencies)
            before = np.concatenate(([0.0], share[:-1]))
            tail = 1 / (1 - np.minimum(before, 1 - 1 / (2 * side.latencies.count)))
            axes.plot(tail, latency_ms, color=colour_of(number), label=side.name)
            slowest, quickest = max(slowest, latency_ms[-1]), min(quickest, latency_ms[0])
        percentile_axis(axes, most, size)
        latency_axis(axes, quickest, slowest)
        unit(axes, "ms")
        legend(axes, size)

    caption = "All measured fan-out latencies of a side's runs; each tenfold is as tall."
    yield Sketch("compare-percentiles", "Fan-out latency by percentile", caption, draw, WIDE)


def _p99_over_time(sides: Sequence[Side]) -> Iterator[Sketch]:
    caption = "The p99 of each second, a line for each run; second 0 is when measuring began."
    yield from _over_time(
        sides,
        "compare-p99",
        "Fan-out p99 over time",
        caption,
        "ms",
        lambda record: fan_out_p99_ms(record.timeline),
    )


def _connected(sides: Sequence[Side]) -> Iterator[Sketch]:
    yield from _over_time(
        sides,
        "compare-connected",
        "Connected over time",
        "Connections open at the end of each second, a line for each run.",
        "connected",
        lambda record: record.timeline.groupby("second")["connected"].sum(),
    )


def _deliveries(sides: Sequence[Side]) -> Iterator[Sketch]:
    yield from _over_time(
        sides,
        "compare-deliveries",
        "Deliveries over time",
        "Deliveries that arrived in each second, a line for each run.",
        "/s",
        lambda record: record.timeline.groupby("second")["deliveries"].sum(),
    )


def _over_time(
    sides: Sequence[Side],
    name: str,
    title: str,
    caption: str,
    of_what: str,
    values_of: Callable[[Record], "pd.Series[float]"],
) -> Iterator[Sketch]:
    lines = []
    for number, side in enumerate(sides):
        for run, analysis in enumerate(side.runs):
            values = values_of(analysis.record).astype(float)
            if len(values):
                seconds, thinned = thin(values.to_frame("value"), highest=True)
                start_s = analysis.record.measure_start_s or 0.0
                label = side.name if run == 0 else None
                lines.append((number, seconds - start_s, thinned["value"], label))
    if not lines:
        return

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        for number, seconds, values, label in lines:
            line(axes, seconds, values, color=colour_of(number), linewidth=1.4, label=label)
        top = max(float(values.max()) for _, _, values, _ in lines)
        axes.set_ylim(0, 1.12 * max(top, 0.001))
        unit(axes, of_what)
        _aligned_axis(axes, sides[0].runs[0].record, size)
        legend(axes, size)
        finish(axes)

    yield Sketch(name, title, caption, draw, WIDE)


def _aligned_axis(axes: Axes, record: Record, size: Size) -> None:
    """Mark the first run's phases; all runs have the same when their workloads are alike."""
    start_s = record.measure_start_s or 0.0
    axes.set_xlim(-start_s, max(record.ended_s - start_s, 1.0))
    for phase in record.phases:
        begin, end = phase["start_s"] - start_s, phase["end_s"] - start_s
        if phase["name"] == "measure":
            axes.axvspan(begin, end, color=BAND, linewidth=0, zorder=0)
        axes.axvline(begin, color=LINE, linewidth=0.8, zorder=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(size.width // 70, 4), integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} s"))
    axes.set_xlabel("since measuring began", color=MUTED)


def _stalls(sides: Sequence[Side]) -> Iterator[Sketch]:
    found = []
    for number, side in enumerate(sides):
        stalls = np.concatenate([stalls_s(one.record.connections) for one in side.runs])
        stalls = np.sort(np.maximum(stalls[np.isfinite(stalls)], _LEAST_STALL_S))
        if len(stalls):
            found.append((number, side.name, stalls))
    if not found:
        return
    low = min(float(stalls[0]) for _, _, stalls in found)
    high = max(float(stalls[-1]) for _, _, stalls in found)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        for number, name, stalls in found:
            share = 100 * (1 - np.arange(len(stalls)) / len(stalls))
            axes.step(stalls, share, where="pre", color=colour_of(number), label=name)
        axes.set_ylim(0, 105)
        duration_axis(axes, 0.8 * low, 1.25 * high)
        unit(axes, "% of subscribers")
        legend(axes, size)

    caption = "The share of subscribers whose longest stall was at least so long."
    yield Sketch("compare-stalls", "Stalls", caption, draw, WIDE)
