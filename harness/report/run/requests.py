"""The table and the chart of requests of ordinary Locust users."""

from collections.abc import Iterator
from typing import Final

from matplotlib.figure import Figure

from harness.analysis.run.finalize import Analysis
from harness.core.metric_types import STATISTICS
from harness.core.metrics import AGGREGATED
from harness.report import formatting as q
from harness.report.annotations import bars, every_second, line, thin
from harness.report.canvas import WIDE, ChartLayout, Size, finish, legend, panels, time_axis, unit
from harness.report.readings import of_run
from harness.report.table_cells import Table, table_of
from harness.report.theme import CAUSES, INK, ORANGE, SKY

_MOST_LINES: Final = len(CAUSES)


def requests(analysis: Analysis) -> Table:
    """Return a row for each kind of request, and one for all of them."""
    rows = []
    for name, found in analysis.summary["requests"].items():
        latency = found["latency_ms"]
        rows.append(
            {
                "Request": "All requests" if name == AGGREGATED else name,
                "Times": q.count(found["count"]),
                "Failed": q.count(found["failures"]),
                "Failure ratio": q.percent(found["failure_ratio"]),
                "Rate": q.rate(found["per_s"]),
                **{key: q.milliseconds(latency[key]) for key in STATISTICS},
                "Received": q.size(found["bytes"]),
            }
        )
    note = "Of ordinary Locust users in the measured time, by method and name as in Locust's table."
    meanings = ("", *["requests"] * (len(STATISTICS) + 5))
    return table_of("requests", "Requests", note, rows, meanings=meanings)


def request_latency(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw the p99 of the most frequent kinds of request, and how many there were."""
    found = analysis.record.requests
    if found.empty:
        return
    totals = found.groupby("name")["count"].sum().sort_values(ascending=False)
    names = [str(name) for name in totals.index[:_MOST_LINES]]
    # A phase that begins within a second leaves two rows of it; the slower one is shown.
    p99 = found.pivot_table(
        index="second", columns="name", values="latency_ms_p99", aggfunc="max"
    ).reindex(columns=names)
    counts = found.groupby("second")[["count", "failures"]].sum().astype(float)
    seconds, lines = thin(p99, highest=True)
    bar_seconds, shown = thin(every_second(counts, analysis.record))
    failed = bool(counts["failures"].any())

    def draw(figure: Figure, size: Size) -> None:
        upper, lower = panels(figure, size, 2, key_lines=len(names))
        for name, colour in zip(names, CAUSES, strict=False):
            known = lines[name].notna()
            line(
                upper, seconds[known.to_numpy()], lines[name][known],
                color=colour, linewidth=1.8, label=name,
            )  # fmt: skip
        bars(lower, bar_seconds, shown["count"], color=SKY, label="requests")
        if failed:
            bars(
                lower, bar_seconds, shown["failures"],
                facecolor=ORANGE, edgecolor=INK, hatch="///", label="failed",
            )  # fmt: skip
        for axes, text in ((upper, "p99, ms"), (lower, "requests/s")):
            axes.set_ylim(bottom=0)
            unit(axes, text)
            time_axis(axes, analysis.record, size, is_last=axes is lower)
            finish(axes)
        legend(upper, size, columns=1)

    overall = analysis.summary["requests"][AGGREGATED]
    caption = (
        f"{q.count(counts['count'].sum())} requests over the whole run, "
        f"{q.count(counts['failures'].sum())} of them failed."
    )
    if overall["latency_ms"]["p99"] is not None:
        caption += (
            f" In the measured time p99 was {q.milliseconds(overall['latency_ms']['p99'])} over "
            "all of them."
        )
    p99_ms = lines.reindex(bar_seconds)
    by_unit = {
        "ms": {f"{name} p99": p99_ms[name] for name in names},
        "/s": {"requests": shown["count"], "failed": shown["failures"]},
    }
    readings = of_run(analysis.record, bar_seconds, by_unit)
    yield ChartLayout("requests-over-time", "Requests over time", caption, draw, WIDE, readings)
