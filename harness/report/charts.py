"""The charts of a report; each exists only when there is something to draw.

Every chart is drawn twice, wide and narrow: a wide drawing shrunk to a phone cannot be read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.finalise import Analysis
from harness.analysis.histograms import percentile_curve
from harness.analysis.ledger import offered_per_second
from harness.analysis.record import MEASURE
from harness.analysis.summary import CHATTER, SUBSCRIBER
from harness.report import quantities as q
from harness.report.canvas import (
    HALF,
    NARROW,
    WIDE,
    Size,
    finish,
    legend,
    panels,
    percentile_axis,
    thin,
    time_axis,
    unit,
)
from harness.report.theme import (
    BLUE,
    INK,
    MAXIMUM,
    ORANGE,
    P50,
    P90,
    P99,
    SKY,
    STYLE,
    to_svg,
)

_PERCENTILE_STYLES: Final = (
    ("max", MAXIMUM, 1.4, (0, (1, 1))),
    ("p99", P99, 2.2, "-"),
    ("p90", P90, 1.6, "-"),
    ("p50", P50, 1.6, "-"),
)
"""Statistic, colour, line width, dashes; drawn in this order."""


@dataclass(frozen=True)
class Chart:
    """One chart, drawn for two widths.

    Attributes:
        name: File name without its ending, and prefix of its ids.
        title: What it shows.
        caption: What there is to see in it, in figures.
        wide: SVG document for screens and paper.
        narrow: SVG document for phones.
        is_full_width: Whether it takes the page's whole width.
    """

    name: str
    title: str
    caption: str
    wide: str
    narrow: str
    is_full_width: bool


@dataclass(frozen=True)
class _Sketch:
    """What to draw, before it is drawn at a size."""

    name: str
    title: str
    caption: str
    draw: Callable[[Figure, Size], None]
    size: Size = HALF


def draw_charts(analysis: Analysis) -> list[Chart]:
    """Draw every chart that the record has data for."""
    makers = (_fan_out, _distribution, _deliveries, _joins, _stalls)
    sketches = [sketch for maker in makers for sketch in maker(analysis)]
    with mpl.rc_context(STYLE):
        return [
            Chart(
                name=sketch.name,
                title=sketch.title,
                caption=sketch.caption,
                wide=_drawn(sketch, sketch.size),
                narrow=_drawn(sketch, NARROW),
                is_full_width=sketch.size == WIDE,
            )
            for sketch in sketches
        ]


def _drawn(sketch: _Sketch, size: Size) -> str:
    figure = Figure(figsize=(size.width / 72, size.height / 72), dpi=72)
    sketch.draw(figure, size)
    return to_svg(figure, f"{sketch.name}-{size.width}")


def _fan_out(analysis: Analysis) -> Iterator[_Sketch]:
    timeline = analysis.record.timeline
    rows = timeline[timeline["fan_out_latency_ms_p50"].notna()]
    if rows.empty:
        return
    # Percentiles of two classes cannot be combined, so the class with more deliveries is shown.
    busiest = str(rows.groupby("user_class")["deliveries"].sum().idxmax())
    seconds, series = thin(rows[rows["user_class"] == busiest].set_index("second"), highest=True)
    limits = [s for s in analysis.summary["slos"] if s["metric"] == "fan_out_latency_ms.p99"]
    top = float(series["fan_out_latency_ms_max"].max())
    shown = [slo["limit"] for slo in limits if slo["limit"] <= 2 * top]

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        for name, colour, width, dashes in _PERCENTILE_STYLES:
            values = series[f"fan_out_latency_ms_{name}"]
            axes.plot(
                seconds + 0.5, values, color=colour, linewidth=width, linestyle=dashes, label=name
            )
        for limit in shown:
            axes.axhline(limit, color=ORANGE, linewidth=1.2, linestyle="--", label="limit for p99")
        axes.set_ylim(0, 1.06 * max(top, *shown, 0.001))
        unit(axes, "ms")
        time_axis(axes, analysis.record, size)
        legend(axes, size)
        finish(axes)

    overall = analysis.summary["fan_out_latency_ms"]
    worst = series["fan_out_latency_ms_p99"]
    worst_at_s = float(seconds[int(worst.to_numpy().argmax())])
    caption = (
        f"As seen by {busiest}s, each second on its own. The worst second's p99 was "
        f"{q.milliseconds(float(worst.max()))}, at {q.seconds(worst_at_s)}."
    )
    if overall["p99"] is not None:
        caption += f" Over the whole measured time p99 was {q.milliseconds(overall['p99'])}."
    if limits and not shown:
        caption += f" The limit of {q.milliseconds(limits[0]['limit'])} lies far above this chart."
    yield _Sketch("fan-out-over-time", "Fan-out latency over time", caption, draw, WIDE)


def _distribution(analysis: Analysis) -> Iterator[_Sketch]:
    histograms = analysis.record.histograms
    curves = []
    for metric, label, colour in (
        ("fan_out_latency", "fan-out", BLUE),
        ("service_latency", "service", ORANGE),
    ):
        histogram = histograms.merged(metric, phase=MEASURE)
        if histogram.count:
            curves.append((label, colour, histogram.count, *percentile_curve(histogram)))
    if not curves:
        return
    most = max(count for _, _, count, _, _ in curves)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        # Dashed on top of solid: two systems' lines that agree stay both visible.
        for (label, colour, count, latency_ms, share), dashes in zip(
            curves, ("-", (0, (3, 3))), strict=False
        ):
            before = np.concatenate(([0.0], share[:-1]))
            tail = 1 / (1 - np.minimum(before, 1 - 1 / (2 * count)))
            axes.plot(tail, latency_ms, color=colour, linestyle=dashes, label=label)
        axes.set_ylim(bottom=0)
        percentile_axis(axes, most, size)
        unit(axes, "ms")
        legend(axes, size)
        finish(axes)

    block = analysis.summary["fan_out_latency_ms"]
    caption = (
        f"Every one of {q.count(most)} measured latencies; each step to the right is a tenth of "
        f"the rest. The slowest took {q.milliseconds(block['max'])}."
    )
    yield _Sketch("percentiles", "Latency by percentile", caption, draw)


def _deliveries(analysis: Analysis) -> Iterator[_Sketch]:
    record = analysis.record
    achieved = record.timeline.groupby("second")["deliveries"].sum().astype(float)
    offered = offered_per_second(record.messages, record.connections, record.epoch_ns).astype(float)
    if not achieved.sum() and not offered.sum():
        return
    both = pd.DataFrame({"achieved": achieved, "offered": offered}).fillna(0.0)
    seconds, series = thin(both.reindex(range(int(both.index.max()) + 1), fill_value=0.0))
    has_offered = bool(offered.sum())

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        axes.fill_between(
            seconds, series["achieved"], step="post", color=SKY, alpha=0.55, linewidth=0,
            label="achieved",
        )  # fmt: skip
        if has_offered:
            axes.step(
                seconds, series["offered"], where="post", color=INK, linewidth=1.2, label="offered"
            )
        axes.set_ylim(bottom=0)
        unit(axes, "deliveries/s")
        time_axis(axes, record, size)
        legend(axes, size)
        finish(axes)

    ledger = analysis.summary["deliveries"]
    caption = (
        f"Up to {q.count(achieved.max())} deliveries arrived in one second; while measuring the "
        f"mean was {q.rate(ledger['per_s_mean'])}."
    )
    title = "Offered and achieved deliveries" if has_offered else "Achieved deliveries"
    yield _Sketch("deliveries", title, caption, draw)


def _joins(analysis: Analysis) -> Iterator[_Sketch]:
    record = analysis.record
    timeline = record.timeline
    connected = timeline.pivot_table(
        index="second", columns="user_class", values="connected", aggfunc="sum"
    ).astype(float)
    joins = timeline.groupby("second")[["joins_succeeded", "joins_failed"]].sum().astype(float)
    if not joins.to_numpy().sum():
        return
    classes = [
        name for name in (SUBSCRIBER, CHATTER) if connected.get(name, joins.iloc[:, 0] * 0).any()
    ]
    seconds, series = thin(connected.join(joins).fillna(0.0))
    failed = bool(joins["joins_failed"].any())

    def draw(figure: Figure, size: Size) -> None:
        *upper, lower = panels(figure, size, 2 if classes else 1)
        for axes in upper:
            axes.stackplot(
                seconds, *(series[name] for name in classes), step="post",
                colors=[SKY, BLUE], labels=[f"{name}s" for name in classes],
            )  # fmt: skip
        width = float(np.diff(seconds).min()) if len(seconds) > 1 else 1.0
        place: Any = {"width": 0.8 * width, "align": "edge"}
        lower.bar(seconds, series["joins_succeeded"], color=BLUE, label="joined", **place)
        if failed:
            lower.bar(
                seconds, series["joins_failed"], bottom=series["joins_succeeded"], color=ORANGE,
                hatch="///", edgecolor=INK, linewidth=0, label="failed", **place,
            )  # fmt: skip
        for axes, name in zip((lower, *upper), ("joins/s", "users connected"), strict=False):
            axes.set_ylim(bottom=0)
            unit(axes, name)
            time_axis(axes, record, size, is_last=axes is lower)
            finish(axes)
        for axes in upper:
            legend(axes, size)
        if failed:
            legend(lower, size)

    figures = analysis.summary["joins"]
    tail = f"{q.count(figures['failed'])} failed to join." if failed else ""
    caption = f"Nobody joined; {tail}"
    if classes:
        caption = (
            f"At most {q.count(series[classes].sum(axis=1).max())} users were connected; up to "
            f"{q.count(figures['per_s_peak'])} joined in one second"
            + (f", {tail}" if tail else ".")
        )
    yield _Sketch("connections", "Users and joins", caption, draw)


def _stalls(analysis: Analysis) -> Iterator[_Sketch]:
    stalls_s = analysis.record.connections["stall_s"].dropna().to_numpy(dtype=float)
    if not len(stalls_s):
        return
    scale, name = (1000.0, "ms") if stalls_s.max() < 1 else (1.0, "s")
    top = max(float(stalls_s.max()) * scale, 0.001)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        axes.hist(
            stalls_s * scale, bins=40, range=(0, top), color=BLUE, edgecolor="none", rwidth=0.86
        )
        axes.set_xlim(0, top * 1.02)
        axes.set_xlabel(f"longest stall, {name}")
        unit(axes, "subscribers")
        finish(axes)

    block = analysis.summary["stall_s"]
    caption = (
        f"Half of the subscribers never waited longer than {q.seconds(block['p50'])} for a message "
        f"they were owed; the unluckiest waited {q.seconds(block['max'])}."
    )
    yield _Sketch("stalls", "Longest stall of each subscriber", caption, draw)
