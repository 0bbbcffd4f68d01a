"""The charts of a comparison: every side on the same axes, aligned on when measuring began."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis.comparison import Comparison, Side
from harness.analysis.disturbances import fan_out_p99_ms
from harness.analysis.histograms import percentile_curve
from harness.analysis.ledger import faults_per_second, stalls_s
from harness.analysis.record import Record
from harness.measure.histogram import LatencyHistogram
from harness.report.canvas import (
    NARROW,
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
from harness.report.definitions import label
from harness.report.marks import every_second, line, thin
from harness.report.sketch import Chart, Sketch
from harness.report.theme import BAND, INK, LINE, MUTED, SOFTER, STYLE, system_colour

_LEAST_STALL_S: Final = 0.001
_DASHES: Final[tuple[Any, ...]] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
"""Of the first side of a system, of the second, and so on."""


class Style(NamedTuple):
    """How the lines of a side are drawn."""

    color: str
    linestyle: Any


def styles_of(sides: Sequence[Side]) -> list[Style]:
    """Return each side's style: its system's colour; sides of the same system differ in shade."""
    seen: Counter[str] = Counter()
    styles = []
    for side in sides:
        system = str(side.runs[0].record.target.get("system", ""))
        colour, place = system_colour(system), seen[system] % len(_DASHES)
        shades = (colour, SOFTER.get(colour, MUTED), INK, MUTED)
        styles.append(Style(shades[place], _DASHES[place]))
        seen[system] += 1
    return styles


def draw_comparison(comparison: Comparison) -> list[Chart]:
    """Draw every chart that the records have data for."""
    makers = (
        *(_fan_out_percentiles, _p99_over_time, _connected, _deliveries, _lost),
        *(_stalls, _join_percentiles),
    )
    sketches = [
        *_ratios(comparison),
        *(sketch for maker in makers for sketch in maker(comparison.sides)),
    ]
    with mpl.rc_context(STYLE):
        return [sketch.chart() for sketch in sketches]


def _ratios(comparison: Comparison) -> Iterator[Sketch]:
    """Draw by how many percent each figure with an interval differs from the first side's."""
    styles = styles_of(comparison.sides)[1:]
    rows = [
        (label(one.metric), side.name, style, one)
        for place in range(len(comparison.differences[0]))
        for side, style, found in zip(
            comparison.sides[1:], styles, comparison.differences, strict=True
        )
        if (one := found[place]).relative is not None and one.ratio is not None
    ]
    if not rows:
        return
    first = comparison.sides[0].name

    def draw(figure: Figure, size: Size) -> None:
        axes = figure.add_axes((_room_left(size), 40 / size.height, 0, 1))
        axes.set_position(
            (
                _room_left(size),
                40 / size.height,
                1 - _room_left(size) - 16 / size.width,
                1 - 52 / size.height,
            )
        )
        axes.axvline(0, color=INK, linewidth=1.2, zorder=1)
        for place, (_, _, style, one) in enumerate(rows):
            low, high = (100 * (bound - 1) for bound in one.relative or ())
            axes.plot((low, high), (place, place), color=style.color, linewidth=4, alpha=0.45)
            mark = "o" if one.is_shown else "|"
            axes.plot(
                100 * ((one.ratio or 1) - 1), place, color=style.color, marker=mark, markersize=6
            )
        named = len(comparison.sides) > 2  # noqa: PLR2004 - more than one beside the first
        names = [f"{name} ({side})" if named else name for name, side, _, _ in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=True, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=3 if size == NARROW else 6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+,.4g} %"))

    caption = (
        f"Percent above or below {first}, with where it may lie. A bar that crosses the line at 0 "
        "shows no difference; a dot marks one that does not."
    )
    size = Size(WIDE.width, 76 + 24 * len(rows))
    yield Sketch("compare-differences", f"How far from {first}", caption, draw, size)


def _room_left(size: Size) -> float:
    """Return the share of a drawing's width that names of figures take."""
    return 176 / size.width


def _fan_out_percentiles(sides: Sequence[Side]) -> Iterator[Sketch]:
    caption = "All measured fan-out latencies of a side's runs; each tenfold is as tall."
    yield from _percentiles(
        sides,
        [side.latencies for side in sides],
        ("compare-percentiles", "Fan-out latency by percentile", caption),
    )


def _join_percentiles(sides: Sequence[Side]) -> Iterator[Sketch]:
    merged = []
    for side in sides:
        latencies = LatencyHistogram()
        for one in side.runs:
            latencies.hdr.add(one.record.histograms.merged("join_latency").hdr)
        merged.append(latencies)
    caption = "All joins of a side's runs, over the whole run; each tenfold is as tall."
    yield from _percentiles(sides, merged, ("compare-joins", "Join latency by percentile", caption))


def _percentiles(
    sides: Sequence[Side], latencies: Sequence[LatencyHistogram], words: tuple[str, str, str]
) -> Iterator[Sketch]:
    shown = [
        (side.name, style, one)
        for side, style, one in zip(sides, styles_of(sides), latencies, strict=True)
        if one.count
    ]
    if not shown:
        return
    most = max(one.count for _, _, one in shown)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        slowest, quickest = 0.0, np.inf
        for name, style, histogram in shown:
            latency_ms, share = percentile_curve(histogram)
            before = np.concatenate(([0.0], share[:-1]))
            tail = 1 / (1 - np.minimum(before, 1 - 1 / (2 * histogram.count)))
            axes.plot(tail, latency_ms, label=name, **style._asdict())
            slowest, quickest = max(slowest, latency_ms[-1]), min(quickest, latency_ms[0])
        percentile_axis(axes, most, size)
        latency_axis(axes, quickest, slowest)
        unit(axes, "ms")
        legend(axes, size)

    yield Sketch(*words, draw, WIDE)


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


def _lost(sides: Sequence[Side]) -> Iterator[Sketch]:
    runs = [one.record for side in sides for one in side.runs]
    known = all(record.is_complete for record in runs)
    if not known or not any(record.messages["lost"].any() for record in runs):
        return
    yield from _over_time(
        sides,
        "compare-lost",
        "Lost over time",
        "Deliveries owed that never came, by the second their message was due, for each run.",
        "lost/s",
        lambda record: every_second(
            faults_per_second(record.messages, record.epoch_ns)[["lost"]], record
        )["lost"],
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
    for side, style in zip(sides, styles_of(sides), strict=True):
        for run, analysis in enumerate(side.runs):
            values = values_of(analysis.record).astype(float)
            if len(values):
                seconds, thinned = thin(values.to_frame("value"), highest=True)
                start_s = analysis.record.measure_start_s or 0.0
                key = side.name if run == 0 else None
                lines.append((style, seconds - start_s, thinned["value"], key))
    if not lines:
        return

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        for style, seconds, values, key in lines:
            line(axes, seconds, values, linewidth=1.4, label=key, **style._asdict())
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
    for side, style in zip(sides, styles_of(sides), strict=True):
        stalls = np.concatenate([stalls_s(one.record.connections) for one in side.runs])
        stalls = np.sort(np.maximum(stalls[np.isfinite(stalls)], _LEAST_STALL_S))
        if len(stalls):
            found.append((style, side.name, stalls))
    if not found:
        return
    low = min(float(stalls[0]) for _, _, stalls in found)
    high = max(float(stalls[-1]) for _, _, stalls in found)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        for style, name, stalls in found:
            share = 100 * (1 - np.arange(len(stalls)) / len(stalls))
            axes.step(stalls, share, where="pre", label=name, **style._asdict())
        axes.set_ylim(0, 105)
        duration_axis(axes, 0.8 * low, 1.25 * high)
        unit(axes, "% of subscribers")
        legend(axes, size)

    caption = "The share of subscribers whose longest stall was at least so long."
    yield Sketch("compare-stalls", "Stalls", caption, draw, WIDE)
