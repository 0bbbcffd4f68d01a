"""The charts of a sweep: latency and throughput over load, and the law beyond them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis.decide.capacity import Cell, latency_ms
from harness.analysis.decide.scalability import law
from harness.analysis.decide.sweep import SweepStep, TrialResult
from harness.report.canvas import (
    HALF,
    WIDE,
    Chart,
    ChartLayout,
    Size,
    finish,
    latency_axis,
    legend,
    panels,
    unit,
)
from harness.report.decide.sweep_text import ANSWER_WORDS, fixed_text
from harness.report.theme import BAND, BLUE, GREEN, MAXIMUM, MUTED, ORANGE, ROSE

_LOOKS: Final = {
    TrialResult.HELD: (GREEN, "o"),
    TrialResult.BROKE: (ORANGE, "X"),
    TrialResult.NONE: (ROSE, "^"),
}
"""Colour and shape of a step, so that colour is never the only sign."""
_BEYOND: Final = 1.5
"""The law is drawn so much further than its limit, or than what was tested."""
_POINTS: Final = 200


def draw_sweep(names: tuple[str, str], cells: Sequence[Cell]) -> list[Chart]:
    """Draw the curves of every search; ``names`` are those of workload and target."""
    layouts = [one for number, cell in enumerate(cells, 1) for one in _layouts(cell, number)]
    return [layout.chart(" on ".join(names)) for layout in layouts]


def _layouts(cell: Cell, number: int) -> list[ChartLayout]:
    """Return the charts of a search, which say in a grid whose they are; none half as wide alone.

    Of three the first is as wide as the page and the others share it.
    """
    found = [one for maker in (_latency, _throughput, _law) for one in maker(cell, number)]
    if [one.size for one in found].count(HALF) == 1:
        found = [replace(one, size=WIDE) for one in found]
    return [replace(one, title=one.title + fixed_text(cell)) for one in found]


def _latency(cell: Cell, number: int) -> Iterator[ChartLayout]:
    points = [(one, ms) for one in cell.steps if (ms := latency_ms(one, cell.axis)) is not None]
    if not points:
        return
    values = [ms for _, ms in points]

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        _edge(axes, cell)
        _steps(axes, points)
        if cell.knee is not None:
            axes.axvspan(cell.knee.low, cell.knee.high, color=BAND, linewidth=0, zorder=0)
            axes.axvline(cell.knee.load, color=MAXIMUM, linestyle=":", label="knee")
        latency_axis(axes, 0.8 * min(values), max(values))
        unit(axes, "ms")
        _load_axis(axes, cell, size)
        legend(axes, size)

    of_what = "Join latency" if cell.axis.is_of_joins else "Fan-out latency"
    caption = "The p99 of each step"
    caption += "; the line is the capacity" if cell.bracket.low is not None else ""
    caption += "; the band is the range of the knee." if cell.knee is not None else "."
    yield ChartLayout(f"sweep-latency-{number}", f"{of_what} over load", caption, draw, WIDE)


def _throughput(cell: Cell, number: int) -> Iterator[ChartLayout]:
    points = [
        (one, one.achieved_per_s) for one in cell.steps if one.achieved_per_s and one.offered_per_s
    ]
    if not points or cell.axis.is_of_joins:
        return
    offered = sorted((one.load, one.offered_per_s or 0.0) for one, _ in points)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        _edge(axes, cell)
        loads, intended = zip(*offered, strict=True)
        axes.plot(loads, intended, color=MAXIMUM, linewidth=1.2, linestyle="--", label="offered")
        _steps(axes, points)
        axes.set_ylim(0, 1.12 * max(*intended, *(value for _, value in points)))
        unit(axes, "deliveries/s")
        _load_axis(axes, cell, size)
        legend(axes, size)
        finish(axes)

    caption = "Deliveries that arrived, and offered deliveries: messages × subscribers."
    yield ChartLayout(f"sweep-throughput-{number}", "Throughput over load", caption, draw)


def _law(cell: Cell, number: int) -> Iterator[ChartLayout]:
    fit = cell.law
    if fit.refusal:
        return
    tested = max(fit.at_once)
    furthest = _BEYOND * (fit.limit_at if np.isfinite(fit.limit_at) else 2 * tested)
    furthest = max(furthest, _BEYOND * tested)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        for start, end, style, label in (
            (min(fit.at_once), tested, "-", "fitted"),
            (tested, furthest, "--", "extrapolated"),
        ):
            work = np.linspace(start, end, _POINTS)
            rate = law(work, fit.alpha, fit.beta, fit.gamma)
            axes.plot(work, rate, color=BLUE, linestyle=style, label=label)
        axes.plot(fit.at_once, fit.throughput_per_s, "o", color=GREEN, label="measured")
        axes.axvspan(tested, furthest, color=BAND, linewidth=0, zorder=0)
        axes.set_xlim(0, furthest)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("in the system at once", color=MUTED)
        unit(axes, "joins/s" if cell.axis.is_of_joins else "deliveries/s")
        legend(axes, size)
        finish(axes)

    caption = "In the band beyond the last step, the line is extrapolated, not measured."
    yield ChartLayout(f"sweep-law-{number}", "Universal Scalability Law", caption, draw)


def _steps(axes: Axes, points: Sequence[tuple[SweepStep, float]]) -> None:
    """Draw a line through the steps that measured something, and a mark for each step."""
    known = sorted((one.load, value) for one, value in points if one.answer is not TrialResult.NONE)
    if known:
        axes.plot(*zip(*known, strict=True), color=BLUE, linewidth=1.2, zorder=1)
    for answer, (colour, mark) in _LOOKS.items():
        chosen = [(one.load, value) for one, value in points if one.answer is answer]
        if chosen:
            loads, values = zip(*chosen, strict=True)
            axes.plot(
                *(loads, values), mark, color=colour, label=ANSWER_WORDS[answer], markersize=7
            )


def _edge(axes: Axes, cell: Cell) -> None:
    if cell.bracket.low is not None:
        axes.axvline(cell.bracket.low, color=GREEN, linewidth=1.2, zorder=0.5)


def _load_axis(axes: Axes, cell: Cell, size: Size) -> None:
    axes.set_xlim(0, 1.06 * max(one.load for one in cell.steps))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(size.width // 90, 4)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel(cell.axis.title + cell.axis.unit, color=MUTED)
