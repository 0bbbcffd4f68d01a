"""The page and the tables of a history of runs."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.analysis.decide.comparison import Difference
from harness.analysis.decide.history import History, Point, Series
from harness.analysis.run.record import Json
from harness.core.metrics import title_of
from harness.report import formatting as q
from harness.report.canvas import (
    NARROW,
    Chart,
    ChartLayout,
    Size,
    legend,
    panels,
    write,
)
from harness.report.clocks import WITHIN_CLOCKS, explanation, quoted
from harness.report.glossary import capital
from harness.report.page import render_page
from harness.report.summary_text import VERDICT_WORDS, verdict_cell
from harness.report.table_cells import Cell, Row, Table, table_of
from harness.report.theme import BAND, BLUE, MAXIMUM, MUTED, ORANGE, ROSE, SKY

_LEAST_POINTS = 2
_CHARACTER = 5.4
_MOST_KEYS = 4
_MARKS: Final = {
    "pass": (BLUE, "o"),
    "fail": (ORANGE, "X"),
    "invalid": (ROSE, "D"),
    "no_data": (MAXIMUM, "s"),
}
"""Colour and shape of a run by its verdict, so that colour is never the only sign."""


def render_history(history: History, charts: Sequence[Sequence[Chart]]) -> str:
    """Return the page with the charts of each series."""
    return render_page(
        "history",
        history.metrics,
        folder=history.folder,
        runs=sum(len(series.points) for series in history.series),
        sections=list(zip(map(title, history.series), charts, tables(history), strict=True)),
        skipped=history.skipped,
    )


def draw_history(history: History) -> list[list[Chart]]:
    """Draw the charts of each series."""
    return [
        list(_charts(number, series, history.metrics))
        for number, series in enumerate(history.series, 1)
    ]


def tables(history: History) -> list[Table]:
    """Return a table for each series: its runs, newest last, and the latest change."""
    return [
        _table(number, series, history.metrics) for number, series in enumerate(history.series, 1)
    ]


def history_json(history: History) -> Json:
    """Return a history as plain data under stable names."""
    return {
        "metrics": list(history.metrics),
        "series": [
            {
                "name": series.name,
                "apart": list(series.apart),
                "runs": [_point_json(point) for point in series.points],
            }
            for series in history.series
        ],
        "skipped": [
            {"folder": str(folder), "reason": reason} for folder, reason in history.skipped
        ],
    }


def _point_json(point: Point) -> Json:
    return {
        "folder": str(point.folder),
        "run_id": point.run_id,
        "started": point.started.isoformat(),
        "revision": point.revision,
        "tested": point.tested,
        "verdict": point.verdict,
        "figures": dict(point.values),
    }


def title(series: Series) -> str:
    """Return the name of a series, and how it differs from the first of that name."""
    keys = ", ".join(series.apart[:_MOST_KEYS])
    more = len(series.apart) - _MOST_KEYS
    apart = f", differs in {keys}" + (f" and {more} more" if more > 0 else "") if keys else ""
    return series.name + apart


def _table(number: int, series: Series, metrics: Sequence[str]) -> Table:
    is_named = any(point.tested for point in series.points)
    rows: list[Row] = [
        {
            "Started": f"{point.started:%Y-%m-%d %H:%M}",
            **({"Tested": point.tested or q.MISSING} if is_named else {}),
            **({"Revision": point.revision} if series.knows_revisions else {}),
            "Verdict": _verdict(point),
            "Run": point.folder.name,
            **{capital(title_of(metric)): _quoted(metric, point) for metric in metrics},
        }
        for point in series.points
    ]
    changes = [text for metric in metrics if (text := _change(series.change(metric)))]
    notes = [f"The last valid run against the median of the previous runs: {', '.join(changes)}."]
    notes = notes if changes else []
    if any(point.errors_ms[metric] for point in series.points for metric in metrics):
        notes.append(f"{explanation('run')}.")
    texts = 3 + is_named + series.knows_revisions
    title, meanings = f"Runs of series {number}, oldest first", ("",) * texts + tuple(metrics)
    name, note = f"series-{number}", " ".join(notes)
    return table_of(name, title, note, rows, texts=texts, meanings=meanings)


def _quoted(metric: str, point: Point) -> str:
    return quoted(metric, point.values[metric], point.errors_ms[metric])


def _change(seen: Difference | None) -> str:
    """Return the change of a metric as text; empty if unknown."""
    if seen is None:
        return ""
    if seen.is_within_clocks:
        return f"{title_of(seen.metric)} {WITHIN_CLOCKS}"
    if seen.ratio is None:
        return ""
    return f"{title_of(seen.metric)} {100 * (seen.ratio - 1):+.3g}{q.THIN}%"


def _verdict(point: Point) -> Cell:
    known = point.verdict in VERDICT_WORDS
    return verdict_cell(point.verdict) if known else Cell(f"? {point.verdict}", tone=point.verdict)


def _charts(number: int, series: Series, metrics: Sequence[str]) -> Iterator[Chart]:
    """Draw each metric over a series of several runs."""
    if len(series.points) < _LEAST_POINTS:
        return
    for metric in metrics:
        values = [point.values[metric] for point in series.points]
        if any(value is not None for value in values):
            yield _layout(number, series, metric).chart(title(series))


def _layout(number: int, series: Series, metric: str) -> ChartLayout:
    values = np.array([point.values[metric] for point in series.points], dtype=float)
    valid = np.array([point.verdict != "invalid" for point in series.points])
    places = np.arange(len(values))

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        _mark_days(axes, series.points, size)
        if series.knows_revisions:
            _mark_revisions(axes, series.points, size)
        kept = valid & np.isfinite(values)
        axes.plot(places[kept], values[kept], color=SKY, linewidth=1.4)
        for verdict, (colour, marker) in _MARKS.items():
            shown = np.array([_known(point.verdict) == verdict for point in series.points])
            if np.isfinite(values[shown]).any():
                style: Any = {"color": colour, "marker": marker, "linestyle": "none"}
                axes.plot(places[shown], values[shown], label=VERDICT_WORDS[verdict], **style)
        _name_runs(axes, series.points, values, size)
        legend(axes, size)
        _limits(axes, values[np.isfinite(values)], metric)
        axes.set_xlim(-0.5, len(values) - 0.5)

    name = f"history-{number}-{metric.replace('.', '-').replace('_', '-')}"
    known = [point for point in series.points if point.values[metric] is not None]
    known.sort(key=lambda point: point.values[metric] or 0.0)
    caption = f"{len(known)} runs, from {_quoted(metric, known[0])} to "
    caption += f"{_quoted(metric, known[-1])}"
    caption += "; bands are revisions." if series.knows_revisions else "."
    caption += " Invalid runs are not on the line." if not valid.all() else ""
    return ChartLayout(name, capital(title_of(metric)), caption, draw)


def _known(verdict: str) -> str:
    return verdict if verdict in _MARKS else "no_data"


def _mark_days(axes: Axes, points: Sequence[Point], size: Size) -> None:
    """Write the days of as many runs as there is room for, with the time where days repeat."""
    room = size.plotted_width / len(points)
    days = {point.started.date() for point in points}
    pattern = "%-d %b %Y" if len(days) == len(points) else "%-d %b, %H:%M"
    step = math.ceil(len(f"{points[0].started:{pattern}}..") * _CHARACTER / room)
    shown = range(0, len(points), step)
    axes.set_xticks(shown, [f"{points[place].started:{pattern}}" for place in shown])


def _name_runs(
    axes: Axes,
    points: Sequence[Point],
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    size: Size,
) -> None:
    """Write what a run tested above its value, where there is room."""
    room = size.plotted_width / len(points)
    for place, (point, value) in enumerate(zip(points, values, strict=True)):
        if np.isfinite(value) and point.tested and len(point.tested) * _CHARACTER < room:
            axes.annotate(
                point.tested, (place, value), xytext=(0, 7), textcoords="offset points",
                ha="center", color=MUTED, fontsize=10,
            )  # fmt: skip


def _mark_revisions(axes: Axes, points: Sequence[Point], size: Size) -> None:
    """Shade every other revision's runs; name each below, where there is room."""
    room = size.plotted_width / len(points)
    place, last_end = 0, -1.0
    for turn, (revision, group) in enumerate(groupby(points, key=lambda point: point.revision)):
        length = len(list(group))
        if turn % 2 == 0:
            axes.axvspan(place - 0.5, place + length - 0.5, color=BAND, linewidth=0, zorder=0)
        width = len(revision) * _CHARACTER / room
        start = place - 0.45
        if start >= last_end:
            write(axes, revision, (start, 0), (0, -32), fontsize=9 if size == NARROW else 10)
            last_end = start + width
        place += length


def _limits(axes: Axes, known: "np.ndarray[tuple[int], np.dtype[np.float64]]", metric: str) -> None:
    """Give the axis round figures in the metric's own unit, from 0 unless it is a ratio."""
    high = float(known.max())
    if "ratio" in metric:
        low = min(float(known.min()), 0.99)
        axes.set_ylim(low - 0.05 * (1 - low), max(high, 1.0) + 0.05 * (1 - low))
    else:
        axes.set_ylim(0, 1.15 * high if high > 0 else 1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: q.of_metric(metric, value)))
