"""The charts of deliveries, delivery faults and stalls."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.run.finalize import Analysis
from harness.analysis.run.ledger import FAULTS, faults_per_second, offered_per_second, stalls_s
from harness.core.metric_types import WAIT_LIMITS_S
from harness.report import formatting as q
from harness.report.annotations import bars, every_second, thin
from harness.report.canvas import (
    ChartLayout,
    Size,
    duration_axis,
    finish,
    legend,
    panels,
    time_axis,
    unit,
    write,
)
from harness.report.glossary import capital
from harness.report.readings import of_run
from harness.report.theme import BLUE, INK, ORANGE, ROSE, SKY

_SHORTEST_STALL_S = 0.001
_STALL_BARS = 36
_LEAST_SPAN = 4
"""The axis of stalls spans at least this factor: stalls that are nearly alike should look so."""
_FAULT_COLOURS = {"lost": ORANGE, "duplicated": BLUE, "reordered": ROSE}


def deliveries(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw the deliveries that the schedule intended and those that arrived."""
    record = analysis.record
    achieved = record.timeline.groupby("second")["deliveries"].sum().astype(float)
    offered = offered_per_second(
        record.messages, record.connections, record.epoch_ns, owed_own=record.owed_own
    ).astype(float)
    # Without the timeline, arrivals are unknown and must not be drawn as 0.
    if achieved.empty or (not achieved.sum() and not offered.sum()):
        return
    both = pd.DataFrame({"achieved": achieved, "offered": offered}).fillna(0.0)
    seconds, series = thin(every_second(both, record))
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
        f"Up to {q.count(achieved.max())} deliveries arrived in one second; in the measured time "
        f"the mean was {q.rate(ledger['per_s_mean'])}."
    )
    title = "Offered and achieved deliveries" if has_offered else "Achieved deliveries"
    names = ("offered", "achieved") if has_offered else ("achieved",)
    readings = of_run(record, seconds, {"/s": {name: series[name] for name in names}})
    yield ChartLayout("deliveries", title, caption, draw, readings=readings)


def faults(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw lost, duplicated and reordered deliveries, each in its own panel."""
    record = analysis.record
    if not record.is_complete:
        return
    found = faults_per_second(record.messages, record.epoch_ns)
    kinds = [name for name in FAULTS if found[name].any()]
    if not kinds:
        return
    seconds, series = thin(every_second(found, record))

    def draw(figure: Figure, size: Size) -> None:
        panes = panels(figure, size, len(kinds))
        for axes, kind in zip(panes, kinds, strict=True):
            bars(axes, seconds, series[kind], color=_FAULT_COLOURS[kind])
            axes.set_ylim(bottom=0)
            unit(axes, f"{kind}/s")
            time_axis(axes, record, size, is_last=axes is panes[-1])
            finish(axes)

    worst_at_s = {kind: float(found.index[int(found[kind].argmax())]) for kind in kinds}
    parts = [
        f"{q.count(found[kind].sum())} {kind}, most at {q.seconds(worst_at_s[kind])}"
        for kind in kinds
    ]
    caption = f"Over the whole run, by the intended send time of the message: {'; '.join(parts)}."
    title = f"{capital(' and '.join(kinds))} deliveries"
    readings = of_run(record, seconds, {"/s": {kind: series[kind] for kind in kinds}})
    yield ChartLayout("faults", title, caption, draw, readings=readings)


def stalls(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw the longest stall of each subscriber, and the shares over each limit."""
    stalled_s = stalls_s(analysis.record.connections).to_numpy(dtype=float)
    if not len(stalled_s):
        return
    shown_s = np.maximum(stalled_s, _SHORTEST_STALL_S)
    high, low = shown_s.max() * 1.1, shown_s.min() / 1.1
    wider = max(1.0, np.sqrt(_LEAST_SPAN * low / high))
    high, low = high * wider, low / wider
    block = analysis.summary["stall_s"]

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1)
        axes.hist(
            shown_s, bins=np.geomspace(low, high, _STALL_BARS).tolist(), color=BLUE,
            edgecolor="none", rwidth=0.86,
        )  # fmt: skip
        duration_axis(axes, low, high)
        for limit_s in WAIT_LIMITS_S:
            if low < limit_s < high:
                axes.axvline(limit_s, color=ORANGE, linewidth=1.2, linestyle="--")
                share = q.percent(block[f"over_{limit_s}s_ratio"])
                write(axes, f"{share} over {q.seconds(limit_s)}", (limit_s, 1), (4, 0), va="top")
        axes.set_xlabel("longest stall")
        unit(axes, "subscribers")
        finish(axes)

    caption = (
        f"Half of the subscribers never waited longer than {q.seconds(block['p50'])} for a message "
        f"they were owed; the longest wait was {q.seconds(block['max'])}."
    )
    yield ChartLayout("stalls", "Longest stall of each subscriber", caption, draw)
