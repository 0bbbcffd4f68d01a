"""The latency charts: over time, by percentile, from the intended and the actual send time."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.run.disturbances import objectives_on_p99
from harness.analysis.run.finalize import Analysis
from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.metric_types import MEASURE
from harness.report import formatting as q
from harness.report.annotations import line, slowest_in_bins, tail_curve, thin
from harness.report.canvas import (
    WIDE,
    ChartLayout,
    Size,
    finish,
    latency_axis,
    legend,
    panels,
    percentile_axis,
    percentile_end,
    time_axis,
    unit,
)
from harness.report.readings import by_percentile, of_run
from harness.report.theme import BLUE, INK, MAXIMUM, ORANGE, P50, P90, P99, SKY

_PERCENTILE_STYLES: Final = (
    ("max", MAXIMUM, 1.4, (0, (1, 1))),
    ("p99", P99, 2.2, "-"),
    ("p90", P90, 1.6, "-"),
    ("p50", P50, 1.6, "-"),
)
"""Statistic, colour, line width, dashes; drawn in this order."""

_MOST_OF_THEM: Final = (("half", "half", INK, "o"), ("p99", "99 %", ORANGE, "D"))
"""Which share of a message's subscribers, its name, its colour and its mark."""

_WIDE_RATIO: Final = 20
"""With a maximum so far above the usual p99, a linear axis would show a spike and a flat line."""

_AGREE_MS: Final = 1.0
_AGREE_RATIO: Final = 0.05
"""Latencies from the intended and the actual send time that differ by less count as equal."""


def fan_out(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw percentiles of the fan-out latency, second by second."""
    timeline = analysis.record.timeline
    rows = timeline[timeline["fan_out_latency_ms_p50"].notna()]
    if rows.empty:
        return
    # Percentiles of two classes cannot be combined, so the class with more deliveries is shown.
    busiest = str(rows.groupby("user_class")["deliveries"].sum().idxmax())
    seconds, series = thin(rows[rows["user_class"] == busiest].set_index("second"), highest=True)
    limits = [
        slo
        for slo in objectives_on_p99(analysis.summary["slos"])
        if slo.get("user_class") in {None, busiest}
    ]
    top = float(series["fan_out_latency_ms_max"].max())
    shown = [slo["limit"] for slo in limits if slo["limit"] <= 2 * top]
    is_logarithmic = top > _WIDE_RATIO * float(series["fan_out_latency_ms_p99"].median())

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        for name, colour, width, dashes in _PERCENTILE_STYLES:
            values = series[f"fan_out_latency_ms_{name}"]
            line(axes, seconds, values, color=colour, linewidth=width, linestyle=dashes, label=name)
        for limit in shown:
            axes.axhline(limit, color=ORANGE, linewidth=1.2, linestyle="--", label="limit for p99")
        if is_logarithmic:
            latency_axis(axes, float(series["fan_out_latency_ms_p50"].min()), max([top, *shown]))
        else:
            axes.set_ylim(0, 1.12 * max(top, *shown, 0.001))
            finish(axes)
        unit(axes, "ms")
        time_axis(axes, analysis.record, size)
        legend(axes, size)

    overall = analysis.summary["fan_out_latency_ms"]
    worst = series["fan_out_latency_ms_p99"]
    worst_at_s = float(seconds[int(worst.to_numpy().argmax())])
    caption = (
        f"Latency of {busiest}s per second. The p99 of the worst second was "
        f"{q.milliseconds(float(worst.max()))}, at {q.seconds(worst_at_s)}."
    )
    if overall["p99"] is not None:
        caption += f" Over the whole measured time p99 was {q.milliseconds(overall['p99'])}."
    if is_logarithmic:
        caption += " Logarithmic axis."
    if limits and not shown:
        caption += f" The limit of {q.milliseconds(limits[0]['limit'])} is far above this chart."
    shown_values = {
        name: series[f"fan_out_latency_ms_{name}"] for name, *_ in reversed(_PERCENTILE_STYLES)
    }
    readings = of_run(analysis.record, seconds, {"ms": shown_values})
    yield ChartLayout(
        "fan-out-over-time", "Fan-out latency over time", caption, draw, WIDE, readings
    )


def distribution(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw the distribution of latencies from the intended and from the actual send time."""
    histograms = analysis.record.histograms
    curves = []
    for metric, label, colour in (
        ("fan_out_latency", "from due: fan-out", BLUE),
        ("service_latency", "from sent: service", ORANGE),
    ):
        histogram = histograms.merged(metric, phase=MEASURE)
        if histogram.count:
            curves.append((label, colour, histogram))
    if not curves:
        return
    most = max(histogram.count for *_, histogram in curves)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        # Dashed on top of solid: two lines that agree stay both visible.
        for (label, colour, histogram), dashes in zip(curves, ("-", (0, (3, 3))), strict=False):
            axes.plot(*tail_curve(histogram), color=colour, linestyle=dashes, label=label)
        axes.set_ylim(bottom=0)
        percentile_axis(axes, most, size)
        unit(axes, "ms")
        legend(axes, size)
        finish(axes)

    block = analysis.summary["fan_out_latency_ms"]
    caption = (
        f"All {q.count(most)} measured latencies; each step to the right leaves a tenth of the "
        f"rest. The maximum was {q.milliseconds(block['max'])}."
    )
    readings = by_percentile({label: one for label, _, one in curves}, percentile_end(most))
    yield ChartLayout("percentiles", "Latency by percentile", caption, draw, readings=readings)


def due_or_sent(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw the p99 from the intended and from the actual send time."""
    timeline = analysis.record.timeline
    names = ["fan_out_latency_ms_p99", "service_latency_ms_p99"]
    both = timeline.groupby("second")[names].max().dropna()
    if both.empty:
        return
    seconds, series = thin(both, highest=True)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        dashes = (0, (3, 3))
        line(axes, seconds, series[names[0]], color=BLUE, label="from due")
        line(axes, seconds, series[names[1]], color=ORANGE, linestyle=dashes, label="from sent")
        axes.set_ylim(0, 1.12 * max(float(series.to_numpy().max()), 0.001))
        unit(axes, "p99, ms")
        time_axis(axes, analysis.record, size)
        legend(axes, size)
        finish(axes)

    left_out = both[names[0]] - both[names[1]]
    notable = left_out[left_out > (_AGREE_RATIO * both[names[0]]).clip(lower=_AGREE_MS)]
    if notable.empty:
        caption = (
            "Messages were sent on schedule, so both agree: no waiting is hidden "
            "(coordinated omission)."
        )
    else:
        worst_at_s = float(notable.index[int(notable.argmax())])
        caption = (
            f"Measured from the actual send time, p99 would omit up to "
            f"{q.milliseconds(float(notable.max()))} of waiting, at {q.seconds(worst_at_s)}: "
            "coordinated omission."
        )
    p99 = {"p99 from due": series[names[0]], "p99 from sent": series[names[1]]}
    readings = of_run(analysis.record, seconds, {"ms": p99})
    title = "Latency from the intended and from the actual send time"
    yield ChartLayout("due-or-sent", title, caption, draw, readings=readings)


def completion(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw for each message when the first, half, 99 % and all of its subscribers had it."""
    record = analysis.record
    messages = record.messages[record.messages["last_arrival_ns"].notna()]
    if messages.empty:
        return
    due_s = (messages["intended_ns"] - record.epoch_ns) / NS_PER_S
    after_ms = pd.DataFrame(
        {
            name: ((messages[f"{name}_arrival_ns"] - messages["intended_ns"]) / NS_PER_MS)
            for name in ("first", "half", "p99", "last")
        }
    ).astype(float)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        seconds, shown = slowest_in_bins(due_s.astype(float), after_ms, size)
        gaps = np.full(len(shown), np.nan)
        axes.plot(
            np.column_stack((seconds, seconds, gaps)).ravel(),
            np.column_stack((shown["first"], shown["last"], gaps)).ravel(),
            color=SKY, linewidth=1.4, solid_capstyle="butt", label="first to last",
        )  # fmt: skip
        for name, label, colour, marker in _MOST_OF_THEM:
            if shown[name].notna().any():
                axes.plot(
                    seconds, shown[name], color=colour, linestyle="none", marker=marker,
                    markersize=2.8, markeredgewidth=0, label=label,
                )  # fmt: skip
        latency_axis(axes, shown["first"].min(), shown["last"].max())
        unit(axes, "ms")
        time_axis(axes, record, size)
        legend(axes, size)

    slowest_ms = float(after_ms["last"].max())
    caption = (
        f"Each line is a message, from its first to its last subscriber; the slowest message "
        f"took {q.milliseconds(slowest_ms)}."
    )
    due_in = due_s.astype(int)
    slowest = after_ms.loc[after_ms["last"].groupby(due_in).idxmax()].set_axis(
        sorted(due_in.unique())
    )
    seconds, reached = thin(slowest, highest=True)
    names = {"first": "first", "half": "half", "p99": f"99{q.THIN}%", "last": "last"}
    by_name = {name: reached[column] for column, name in names.items()}
    readings = of_run(record, seconds, {"ms": by_name})
    yield ChartLayout("completion", "How each message spread", caption, draw, readings=readings)
