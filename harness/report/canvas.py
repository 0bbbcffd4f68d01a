"""Charts and their shared parts: sizes, panels, axes, phase marks and legends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from harness.analysis.run.disturbances import disturbances
from harness.analysis.run.record import Record
from harness.core.metric_types import MEASURE
from harness.report import formatting as q
from harness.report.readings import Readings
from harness.report.theme import BAND, CARD, DISTURBED, LINE, MUTED, STYLE, to_png, to_svg

_CHARACTER: Final = 5.6
"""Width of one character of a phase's name, in points."""

_LEAST_MS: Final = 0.001
_IN_THOUSANDS: Final = 100_000
"""Marks from here on are written in thousands: there is no room for more digits."""
_ROOM_ABOVE: Final = 1.6
"""Headroom of a tall logarithmic axis, for the names of disturbances."""

_DECADES: Final = (
    *((1, "0"), (10, "90"), (100, "99"), (1e3, "99.9"), (1e4, "99.99"), (1e5, "99.999")),
    *((1e6, "99.9999"), (1e7, "99.99999")),
)


class Size(NamedTuple):
    """Width and height of a drawing, in points, which are a page's pixels."""

    width: int
    height: int

    @property
    def plotted_width(self) -> int:
        """Width of the area that its axes enclose."""
        return self.width - LEFT - RIGHT


WIDE: Final = Size(1040, 300)
HALF: Final = Size(508, 290)
NARROW: Final = Size(350, 280)


LEFT: Final = 46
RIGHT: Final = 12
BOTTOM: Final = 40
HEAD: Final = 32
"""Height above a panel, for its unit and a key of one line, in points."""
_KEY_LINE: Final = 16


def panels(figure: Figure, size: Size, rows: int, *, key_lines: int = 1) -> list[Axes]:
    """Split a figure into panels above each other that share the time axis.

    ``key_lines`` are the lines of the key above the first panel.
    """
    head = HEAD + (key_lines - 1) * _KEY_LINE
    grid = figure.add_gridspec(
        rows,
        1,
        left=LEFT / size.width,
        right=1 - RIGHT / size.width,
        bottom=BOTTOM / size.height,
        top=1 - head / size.height,
        hspace=0.5,
    )
    return [figure.add_subplot(grid[row, 0]) for row in range(rows)]


def unit(axes: Axes, name: str) -> None:
    """Write the unit of the vertical axis above it, where it can be read without a tilt."""
    axes.annotate(
        name,
        (0, 1),
        xycoords="axes fraction",
        xytext=(-38, 10),
        textcoords="offset points",
        color=MUTED,
    )


def write(
    axes: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], **style: Any
) -> None:
    """Write text beside a place, given on the horizontal axis and as a share of the height.

    The offset is in points.
    """
    axes.annotate(
        text,
        place,
        xycoords=("data", "axes fraction"),
        xytext=offset,
        textcoords="offset points",
        **{"color": MUTED, "fontsize": 10, **style},
    )


def time_axis(axes: Axes, record: Record, size: Size, *, is_last: bool = True) -> None:
    """Set the axis of run seconds; mark phases and disturbances, named where there is room."""
    end_s = max(record.ended_s, 1.0)
    axes.set_xlim(0, end_s)
    room = size.plotted_width / end_s
    for phase in record.phases:
        start_s, length_s = phase["start_s"], min(phase["end_s"], end_s) - phase["start_s"]
        if length_s <= 0:
            continue
        if phase["name"] == MEASURE:
            axes.axvspan(start_s, start_s + length_s, color=BAND, linewidth=0, zorder=0)
        axes.axvline(start_s, color=LINE, linewidth=0.8, zorder=0.5)
        name = phase["name"].replace("_", "-")
        if is_last and length_s * room > len(name) * _CHARACTER:
            write(axes, name, (start_s + length_s / 2, 0), (0, -34), ha="center")
    _mark_disturbances(axes, record, size)
    mark_seconds(axes, size)
    axes.tick_params(axis="x", labelbottom=is_last)


def mark_seconds(axes: Axes, size: Size) -> None:
    """Give the horizontal axis as many whole seconds as there is room for."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(size.width // 70, 4), integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} s"))


def _mark_disturbances(axes: Axes, record: Record, size: Size) -> None:
    """Draw a band for each disturbance, with its number in the table of them."""
    found = disturbances(record)
    end_s = max(record.ended_s, 1.0)
    points_per_s = size.plotted_width / end_s
    line, last_s = 0, -end_s
    for number, one in enumerate(found, 1):
        until_s = min(one.end_s, end_s)
        axes.axvspan(one.start_s, until_s, color=DISTURBED, alpha=0.14, linewidth=0, zorder=0.3)
        for edge_s in sorted({one.start_s, until_s}):
            axes.axvline(edge_s, color=DISTURBED, alpha=0.5, linewidth=0.8, zorder=0.6)
        next_s = found[number].start_s if number < len(found) else end_s
        named = f"{number} {one.name}"
        fits = size == WIDE and (next_s - one.start_s) * points_per_s > _width(named)
        # Numbers of disturbances that begin together stand below each other.
        line = line + 1 if (one.start_s - last_s) * points_per_s < _width(f"{number}") else 0
        last_s = one.start_s
        box = {"boxstyle": "round,pad=0.2", "fc": CARD, "ec": "none", "alpha": 0.8}
        text, offset = named if fits else f"{number}", (3, -4 - line * _KEY_LINE)
        style = {"va": "top", "color": DISTURBED, "bbox": box, "zorder": 4}
        write(axes, text, (one.start_s, 1), offset, **style)


def _width(text: str) -> float:
    """Return about how wide a text with room around it is, in points."""
    return (len(text) + 2) * _CHARACTER


def percentile_end(count: int) -> float:
    """Return where the percentile axis of so many values ends, in 1 / (1 - share)."""
    return max(2.0 * count, 10)


def percentile_axis(axes: Axes, count: int, size: Size) -> None:
    """Set HdrHistogram's percentile axis, logarithmic in the distance to 100 %."""
    shown = [(place, name) for place, name in _DECADES if place <= max(count, 10)]
    axes.set_xscale("log")
    axes.set_xlim(1, percentile_end(count))
    step = 2 if len(shown) * _width(f"{shown[-1][1]} %") > size.plotted_width else 1
    axes.set_xticks(
        [place for place, _ in shown][::step], [f"{name} %" for _, name in shown][::step]
    )
    axes.minorticks_off()
    axes.grid(visible=True, axis="x")
    axes.set_xlabel("percentile")


def latency_axis(axes: Axes, low_ms: float, high_ms: float) -> None:
    """Set a logarithmic vertical axis of milliseconds, from the least to the greatest shown."""
    axes.set_yscale("log")
    axes.set_ylim(max(low_ms, _LEAST_MS), max(high_ms, 2 * _LEAST_MS) * _ROOM_ABOVE)
    axes.yaxis.set_major_locator(LogLocator(subs=_log_steps(low_ms, high_ms), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    axes.minorticks_off()


def duration_axis(axes: Axes, low_s: float, high_s: float) -> None:
    """Set a logarithmic horizontal axis of durations."""
    axes.set_xscale("log")
    axes.set_xlim(low_s, high_s)
    axes.xaxis.set_major_locator(LogLocator(subs=_log_steps(low_s, high_s), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(_duration))
    axes.minorticks_off()


def _log_steps(low: float, high: float) -> tuple[float, ...]:
    """Return the ticks within each decade, so that there are a few of them."""
    decades = np.log10(high / max(low, 1e-9))
    if decades > 3:  # noqa: PLR2004 - three decades have enough ticks
        return (1.0,)
    return (1.0, 3.0) if decades > 1 else (1.0, 2.0, 5.0)


def legend(axes: Axes, size: Size, *, columns: int | None = None) -> None:
    """Put the key above the panel, beside the unit, on one line without ``columns``."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    order = list(range(len(labels)))
    if "max" in labels:
        order = order[3::-1] + order[4:]
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.4,
        ncols=columns or len(labels),
        handlelength=1.2 if size == NARROW else 1.8,
        handletextpad=0.5,
        columnspacing=0.9 if size == NARROW else 1.6,
        fontsize=10 if size == NARROW else 11,
    )


def finish(axes: Axes) -> None:
    """Give the vertical axis few, round, grouped figures."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))


def _duration(value: float, _position: int | None) -> str:
    return q.seconds(value) if value >= 1 else f"{1000 * value:g}{q.THIN}ms"


def _tick(value: float, _position: int | None) -> str:
    thousands = abs(value) >= _IN_THOUSANDS
    return f"{value / 1000:,.10g}k" if thousands else f"{value:,.10g}"


@dataclass(frozen=True)
class Chart:
    """One chart, drawn twice: a wide drawing is unreadable on a phone.

    Attributes:
        name: File name without its ending, and prefix of its ids.
        caption: What there is to see in it, in figures.
        wide: SVG document for screens and paper.
        narrow: SVG document for phones.
        png: The wide drawing for slides, with title and source.
        is_full_width: Whether it takes the page's whole width.
        readings: The values that the page shows under the pointer, if any.
    """

    name: str
    title: str
    caption: str
    wide: str
    narrow: str
    png: bytes
    is_full_width: bool
    readings: Readings | None = None


@dataclass(frozen=True)
class ChartLayout:
    """What to draw, before it is drawn at a size."""

    name: str
    title: str
    caption: str
    draw: Callable[[Figure, Size], None]
    size: Size = HALF
    readings: Readings | None = None

    def chart(self, source: str) -> Chart:
        """Draw it at both of its sizes; ``source`` tells in the PNG what it was made from."""
        wide, narrow = self._figure(self.size), self._figure(NARROW)
        return Chart(
            name=self.name,
            title=self.title,
            caption=self.caption,
            wide=to_svg(wide, f"{self.name}-{self.size.width}"),
            narrow=to_svg(narrow, f"{self.name}-{NARROW.width}"),
            png=to_png(wide, self.title, source),
            is_full_width=self.size.width == WIDE.width,
            readings=self.readings,
        )

    def _figure(self, size: Size) -> Figure:
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=(size.width / 72, size.height / 72), dpi=72)
            self.draw(figure, size)
        return figure
