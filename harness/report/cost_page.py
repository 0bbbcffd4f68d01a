"""The page of a cost comparison: one HTML file that needs nothing else."""

from collections.abc import Sequence
from itertools import cycle

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter

from harness import __version__
from harness.analysis.cost import RunCost
from harness.analysis.cost_study import CostStudy, Curve
from harness.report import quantities as q
from harness.report.canvas import Size, legend, panels, unit
from harness.report.cost_tables import cost_tables
from harness.report.html import TEMPLATES, Figure, Tile, drawings, stylesheet
from harness.report.sketch import Chart, Sketch
from harness.report.theme import CAUSES, STYLE


def render_cost_page(study: CostStudy, runs: Sequence[RunCost] = ()) -> str:
    """Return the comparison as one HTML document."""
    charts = draw_curves(study.curves)
    return TEMPLATES.get_template("cost.html.j2").render(
        css=stylesheet(),
        charts=[(chart, drawings(chart)) for chart in charts],
        tables=cost_tables(study, runs),
        tiles=_tiles(study),
        day=study.day,
        connected=q.count(study.day.connected),
        messages=q.count(study.day.messages),
        version=__version__,
    )


def draw_curves(curves: Sequence[Curve]) -> list[Chart]:
    """Draw the cost of a day over users and over messages, both axes logarithmic."""
    with mpl.rc_context(STYLE):
        return [_sketch(curve).chart() for curve in curves]


def _sketch(curve: Curve) -> Sketch:
    def draw(figure: Drawing, size: Size) -> None:
        (axes,) = panels(figure, size, 1, key_lines=2)
        for (name, usd), colour in zip(curve.usd.items(), cycle(CAUSES), strict=False):
            axes.plot(curve.at, usd, color=colour, label=name, marker="o", markersize=3)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_formatter(FuncFormatter(_dollars))
        axes.set_xlabel(curve.over)
        unit(axes, "USD a day")
        legend(axes, size, columns=2)

    highest = max(curve.usd, key=lambda name: curve.usd[name][-1])
    caption = f"At {q.count(curve.at[-1])}, {highest} is the dearest with "
    caption += f"{q.money(curve.usd[highest][-1])} a day."
    name = "cost-over-" + curve.over.split()[0]
    return Sketch(name, f"Cost of a day over {curve.over}", caption, draw)


def _dollars(value: float, _position: int | None) -> str:
    return f"${value / 1000:g}k" if value >= 10_000 else f"${value:,g}"  # noqa: PLR2004 - what fits


def _tiles(study: CostStudy) -> list[Tile]:
    return [
        Tile(
            bill.name,
            [Figure("", q.money(bill.usd))],
            "a day",
            f"{q.money(study.idle[bill.name])} with nobody connected",
        )
        for bill in study.cases[0].bills
    ]
