"""The charts of a comparison: all sides on the same axes, aligned at the start of measuring."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis.decide.comparison import Comparison
from harness.analysis.run.disturbances import fan_out_p99_ms
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.ledger import faults_per_second, stalls_s
from harness.analysis.run.record import Record
from harness.core.metrics import title_of
from harness.measure.histogram import LatencyHistogram
from harness.report.annotations import every_second, line, tail_curve, thin
from harness.report.canvas import (
    NARROW,
    WIDE,
    Chart,
    ChartLayout,
    Size,
    duration_axis,
    finish,
    latency_axis,
    legend,
    mark_seconds,
    panels,
    percentile_axis,
    percentile_end,
    unit,
)
from harness.report.readings import Floats, Readings, by_percentile, over_time
from harness.report.theme import BAND, INK, LINE, MUTED, Look, looks_of

_LEAST_STALL_S: Final = 0.001
_CHARACTER: Final = 6.0
_KEY_MARK: Final = 34
"""Width of a character and of a mark in a key, in points."""
_ROOM_LEFT: Final = 176
"""Width of the names of figures, in points."""


@dataclass(frozen=True)
class Contestant:
    """One side of a chart.

    Each of its runs is drawn as one line over time; ``latencies`` are all their fan-out latencies.
    """

    label: str
    look: Look
    runs: Sequence[Analysis]
    latencies: LatencyHistogram

    @property
    def style(self) -> dict[str, Any]:
        """Its lines' colour and pattern, as matplotlib names them."""
        return {"color": self.look.colour, "linestyle": self.look.dashes}


_Line = tuple[Contestant, Floats, "pd.Series[float]", str | None]
"""A run over time: its side, its seconds, their values, and its name in the key."""


def contestants_of(comparison: Comparison) -> list[Contestant]:
    """Return the sides of a comparison, each with the colour of its system."""
    systems = [str(side.runs[0].record.target.get("system", "")) for side in comparison.sides]
    return [
        Contestant(side.name, look, side.runs, side.latencies)
        for side, look in zip(comparison.sides, looks_of(systems), strict=True)
    ]


def draw_comparison(comparison: Comparison) -> list[Chart]:
    """Draw every chart that the records have data for."""
    contestants = contestants_of(comparison)
    layouts = [*_ratios(comparison, contestants), *_layouts(contestants)]
    return [layout.chart(_source(contestants)) for layout in layouts]


def draw_contest(contestants: Sequence[Contestant], prefix: str, about: str) -> list[Chart]:
    """Draw the same on the axes of one workload.

    ``prefix`` begins the charts' names, and ``about`` follows their titles.
    """
    layouts = [
        replace(one, name=one.name.replace("compare", prefix, 1), title=one.title + about)
        for one in _layouts(contestants)
    ]
    return [layout.chart(_source(contestants)) for layout in layouts]


def _source(contestants: Sequence[Contestant]) -> str:
    workload = contestants[0].runs[0].record.workload.get("name", "unknown workload")
    return f"{workload}: {', '.join(one.label for one in contestants)}"


def _layouts(contestants: Sequence[Contestant]) -> list[ChartLayout]:
    return [
        *_fan_out_percentiles(contestants),
        *(layout for words in _OVER_TIME for layout in _over_time(contestants, *words)),
        *_lost(contestants),
        *_stalls(contestants),
        *_join_percentiles(contestants),
    ]


def _panel(figure: Figure, size: Size, contestants: Sequence[Contestant]) -> Axes:
    """Return a panel with room for the key, which has several lines where there are many names."""
    columns = _columns(size, contestants)
    (axes,) = panels(figure, size, 1, key_lines=-(-len(contestants) // columns))
    return axes


def _columns(size: Size, contestants: Sequence[Contestant]) -> int:
    longest = max(len(one.label) for one in contestants)
    room = max(int((size.width - 90) / (_KEY_MARK + _CHARACTER * longest)), 1)
    return min(room, len(contestants))


def _ratios(comparison: Comparison, contestants: Sequence[Contestant]) -> Iterator[ChartLayout]:
    """Draw by how many percent each figure with an interval differs from the first side's."""
    rows = [
        (title_of(one.metric), contestant, one)
        for place in range(len(comparison.differences[0]))
        for contestant, found in zip(contestants[1:], comparison.differences, strict=True)
        if (one := found[place]).relative is not None and one.ratio is not None
    ]
    if not rows:
        return
    first = comparison.sides[0].name

    def draw(figure: Figure, size: Size) -> None:
        left = _ROOM_LEFT / size.width
        width, height = 1 - left - 16 / size.width, 1 - 52 / size.height
        axes = figure.add_axes((left, 40 / size.height, width, height))
        axes.axvline(0, color=INK, linewidth=1.2, zorder=1)
        for place, (_, contestant, one) in enumerate(rows):
            colour = contestant.look.colour
            low, high = (100 * (bound - 1) for bound in one.relative or ())
            axes.plot((low, high), (place, place), color=colour, linewidth=4, alpha=0.45)
            mark = "o" if one.is_shown else "|"
            axes.plot(100 * ((one.ratio or 1) - 1), place, color=colour, marker=mark, markersize=6)
        named = len(comparison.sides) > 2  # noqa: PLR2004 - more than one beside the first
        names = [f"{name} ({side.label})" if named else name for name, side, _ in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=True, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=3 if size == NARROW else 6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+,.4g} %"))

    caption = (
        f"Change against {first} in percent, with its 95 % confidence interval. An interval that "
        "contains 0 shows no difference; a dot marks one that does not."
    )
    size = Size(WIDE.width, 76 + 24 * len(rows))
    yield ChartLayout("compare-differences", f"How far from {first}", caption, draw, size)


def _fan_out_percentiles(contestants: Sequence[Contestant]) -> Iterator[ChartLayout]:
    caption = "All measured fan-out latencies of the runs of a side, logarithmic axis."
    yield from _percentiles(
        contestants,
        [one.latencies for one in contestants],
        ("compare-percentiles", "Fan-out latency by percentile", caption),
    )


def _join_percentiles(contestants: Sequence[Contestant]) -> Iterator[ChartLayout]:
    merged = []
    for contestant in contestants:
        latencies = LatencyHistogram()
        for one in contestant.runs:
            latencies.hdr.add(one.record.histograms.merged("join_latency").hdr)
        merged.append(latencies)
    caption = "All joins of the runs of a side, over the whole run, logarithmic axis."
    words = ("compare-joins", "Join latency by percentile", caption)
    yield from _percentiles(contestants, merged, words)


def _percentiles(
    contestants: Sequence[Contestant],
    latencies: Sequence[LatencyHistogram],
    words: tuple[str, str, str],
) -> Iterator[ChartLayout]:
    shown = [pair for pair in zip(contestants, latencies, strict=True) if pair[1].count]
    if not shown:
        return
    most = max(one.count for _, one in shown)

    def draw(figure: Figure, size: Size) -> None:
        axes = _panel(figure, size, contestants)
        slowest, quickest = 0.0, np.inf
        for contestant, histogram in shown:
            tail, latency_ms = tail_curve(histogram)
            axes.plot(tail, latency_ms, label=contestant.label, **contestant.style)
            slowest, quickest = max(slowest, latency_ms[-1]), min(quickest, latency_ms[0])
        percentile_axis(axes, most, size)
        latency_axis(axes, quickest, slowest)
        unit(axes, "ms")
        legend(axes, size, columns=_columns(size, contestants))

    curves = {contestant.label: histogram for contestant, histogram in shown}
    readings = by_percentile(curves, percentile_end(most))
    yield ChartLayout(*words, draw, WIDE, readings)


_OVER_TIME: Final[Sequence[tuple[str, str, str, str, Callable[[Record], "pd.Series[float]"]]]] = (
    (
        *("compare-p99", "Fan-out p99 over time"),
        "The p99 of each second, a line for each run; second 0 is the start of measuring.",
        *("ms", lambda record: fan_out_p99_ms(record.timeline)),
    ),
    (
        *("compare-connected", "Connected over time"),
        "Connections open at the end of each second, a line for each run.",
        *("connected", lambda record: record.timeline.groupby("second")["connected"].sum()),
    ),
    (
        *("compare-deliveries", "Deliveries over time"),
        "Deliveries that arrived in each second, a line for each run.",
        *("/s", lambda record: record.timeline.groupby("second")["deliveries"].sum()),
    ),
)
"""Name, title, caption and unit of charts over time, and what is drawn of a run."""


def _lost(contestants: Sequence[Contestant]) -> Iterator[ChartLayout]:
    runs = [one.record for side in contestants for one in side.runs]
    known = all(record.is_complete for record in runs)
    if not known or not any(record.messages["lost"].any() for record in runs):
        return
    yield from _over_time(
        contestants,
        "compare-lost",
        "Lost over time",
        "Lost deliveries by the second in which their message was due, for each run.",
        "lost/s",
        lambda record: every_second(
            faults_per_second(record.messages, record.epoch_ns)[["lost"]], record
        )["lost"],
    )


def _over_time(
    contestants: Sequence[Contestant],
    name: str,
    title: str,
    caption: str,
    of_what: str,
    values_of: Callable[[Record], "pd.Series[float]"],
) -> Iterator[ChartLayout]:
    lines: list[_Line] = []
    for one in contestants:
        for run, analysis in enumerate(one.runs):
            values = values_of(analysis.record).astype(float)
            if len(values):
                seconds, thinned = thin(values.to_frame("value"), highest=True)
                start_s = analysis.record.measure_start_s or 0.0
                key = one.label if run == 0 else None
                lines.append((one, seconds - start_s, thinned["value"], key))
    if not lines:
        return

    def draw(figure: Figure, size: Size) -> None:
        axes = _panel(figure, size, contestants)
        for one, seconds, values, key in lines:
            line(axes, seconds, values, linewidth=1.4, label=key, **one.style)
        top = max(float(values.max()) for _, _, values, _ in lines)
        axes.set_ylim(0, 1.12 * max(top, 0.001))
        unit(axes, of_what)
        _aligned_axis(axes, contestants[0].runs[0].record, size)
        legend(axes, size, columns=_columns(size, contestants))
        finish(axes)

    yield ChartLayout(name, title, caption, draw, WIDE, _readings(contestants, lines, of_what))


def _readings(contestants: Sequence[Contestant], lines: Sequence[_Line], of_what: str) -> Readings:
    """Return the values of every run by the whole second since measuring began."""
    numbered = Counter(one.label for one, *_ in lines)
    seen: Counter[str] = Counter()
    columns = {}
    for one, seconds, values, _ in lines:
        seen[one.label] += 1
        name = one.label if numbered[one.label] == 1 else f"{one.label}, run {seen[one.label]}"
        columns[name] = values.set_axis(np.floor(seconds))
    frame = pd.concat(columns, axis=1).sort_index()
    first = contestants[0].runs[0].record
    start_s = first.measure_start_s or 0.0
    unit = of_what.removeprefix("lost").replace("connected", "")
    named = {name: frame[name] for name in columns}
    seconds = frame.index.to_numpy(dtype=np.float64)
    return over_time(seconds, {unit: named}, max(first.ended_s - start_s, 1.0), -start_s)


def _aligned_axis(axes: Axes, record: Record, size: Size) -> None:
    """Mark the first run's phases; all runs have the same when their workloads are alike."""
    start_s = record.measure_start_s or 0.0
    axes.set_xlim(-start_s, max(record.ended_s - start_s, 1.0))
    for phase in record.phases:
        begin, end = phase["start_s"] - start_s, phase["end_s"] - start_s
        if phase["name"] == "measure":
            axes.axvspan(begin, end, color=BAND, linewidth=0, zorder=0)
        axes.axvline(begin, color=LINE, linewidth=0.8, zorder=0.5)
    mark_seconds(axes, size)
    axes.set_xlabel("since measuring began", color=MUTED)


def _stalls(contestants: Sequence[Contestant]) -> Iterator[ChartLayout]:
    found = []
    for one in contestants:
        stalls = np.concatenate([stalls_s(run.record.connections) for run in one.runs])
        stalls = np.sort(np.maximum(stalls[np.isfinite(stalls)], _LEAST_STALL_S))
        if len(stalls):
            found.append((one, stalls))
    if not found:
        return
    low = min(float(stalls[0]) for _, stalls in found)
    high = max(float(stalls[-1]) for _, stalls in found)

    def draw(figure: Figure, size: Size) -> None:
        axes = _panel(figure, size, contestants)
        for one, stalls in found:
            share = 100 * (1 - np.arange(len(stalls)) / len(stalls))
            axes.step(stalls, share, where="pre", label=one.label, **one.style)
        axes.set_ylim(0, 105)
        duration_axis(axes, 0.8 * low, 1.25 * high)
        unit(axes, "% of subscribers")
        legend(axes, size, columns=_columns(size, contestants))

    caption = "Share of subscribers whose longest stall was at least this long."
    yield ChartLayout("compare-stalls", "Stalls", caption, draw, WIDE)
