"""The charts of users: connections, joins, and failures by cause."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.run.finalize import Analysis
from harness.core.metric_types import CHATTER, SUBSCRIBER
from harness.report import formatting as q
from harness.report.annotations import bars, every_second, thin
from harness.report.canvas import ChartLayout, Size, finish, legend, panels, time_axis, unit
from harness.report.readings import of_run
from harness.report.theme import BLUE, CAUSES, INK, MAXIMUM, ORANGE, SKY

_MOST_CAUSES = len(CAUSES)
_OTHERS = "others"
_LONGEST_NAME = 44
"""Characters of a cause that fit on a line of a phone's key."""


def joins(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw the connected users, and successful and failed joins."""
    record = analysis.record
    timeline = record.timeline
    connected = timeline.pivot_table(
        index="second", columns="user_class", values="connected", aggfunc="sum"
    ).astype(float)
    counts = timeline.groupby("second")[["joins_succeeded", "joins_failed"]].sum().astype(float)
    if not counts.to_numpy().sum():
        return
    classes = [
        name for name in (SUBSCRIBER, CHATTER) if connected.get(name, counts.iloc[:, 0] * 0).any()
    ]
    seconds, series = thin(connected.join(counts).fillna(0.0))
    failed = bool(counts["joins_failed"].any())

    def draw(figure: Figure, size: Size) -> None:
        *upper, lower = panels(figure, size, 2 if classes else 1)
        for axes in upper:
            axes.stackplot(
                seconds, *(series[name] for name in classes), step="post",
                colors=[SKY, BLUE], labels=[f"{name}s" for name in classes],
            )  # fmt: skip
        joined = series["joins_succeeded"]
        bars(lower, seconds, joined, color=BLUE, label="joined")
        if failed:
            bars(
                lower, seconds, series["joins_failed"], joined,
                facecolor=ORANGE, edgecolor=INK, hatch="///", label="failed",
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
    caption = f"No user joined; {tail}"
    if classes:
        caption = (
            f"At most {q.count(series[classes].sum(axis=1).max())} users were connected; up to "
            f"{q.count(figures['per_s_peak'])} joined in one second"
            + (f", {tail}" if tail else ".")
        )
    joined = {"joined": series["joins_succeeded"], "failed": series["joins_failed"]}
    users = {f"{name}s": series[name] for name in classes}
    readings = of_run(record, seconds, {"": users, "/s": joined})
    yield ChartLayout("connections", "Users and joins", caption, draw, readings=readings)


def failures(analysis: Analysis) -> Iterator[ChartLayout]:
    """Draw everything that failed, second by second, by its cause."""
    record = analysis.record
    by_cause = _by_cause(record.errors)
    if by_cause.empty:
        return
    seconds, series = thin(every_second(by_cause, record))
    causes = list(by_cause.columns)

    def draw(figure: Figure, size: Size) -> None:
        (axes,) = panels(figure, size, 1, key_lines=len(causes))
        bottom = pd.Series(0.0, index=series.index)
        for cause, colour in zip(causes, (*CAUSES, MAXIMUM), strict=False):
            shade = MAXIMUM if cause == _OTHERS else colour
            bars(axes, seconds, series[cause], bottom, color=shade, label=cause)
            bottom = bottom + series[cause]
        axes.set_ylim(bottom=0)
        unit(axes, "failures/s")
        time_axis(axes, record, size)
        legend(axes, size, columns=1)
        finish(axes)

    total, worst = by_cause.to_numpy().sum(), by_cause.sum(axis=1)
    worst_at_s = float(worst.index[int(worst.argmax())])
    caption = (
        f"{q.count(total)} failures of joins, publishes, connections and requests; most, "
        f"{q.count(worst.max())}, at {q.seconds(worst_at_s)}."
    )
    readings = of_run(record, seconds, {"/s": {cause: series[cause] for cause in causes}})
    yield ChartLayout("failures", "Failures by cause", caption, draw, readings=readings)


def _by_cause(errors: pd.DataFrame) -> pd.DataFrame:
    """Return failures by second and cause, the most frequent first; rare ones are one column."""
    named = errors.fillna({"code": "", "error_class": "", "stage": ""})
    # A bare number is unclear: close code 1006 becomes "Disconnected 1006".
    bare = named["code"].str.fullmatch(r"\d*")
    name = named["code"].where(~bare, (named["error_class"] + " " + named["code"]).str.strip())
    cause = (named["stage"] + ": " + name).str.slice(0, _LONGEST_NAME)
    order = errors["count"].groupby(cause).sum().sort_values(ascending=False)
    kept = order.index[:_MOST_CAUSES] if len(order) > _MOST_CAUSES + 1 else order.index
    shown = cause.where(cause.isin(kept), _OTHERS)
    counts = errors.assign(cause=shown).pivot_table(
        index="second", columns="cause", values="count", aggfunc="sum", fill_value=0
    )
    names = [*kept, *([_OTHERS] if len(kept) < len(order) else [])]
    return counts.reindex(columns=names)
