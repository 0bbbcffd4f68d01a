"""The page of a cost comparison."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter

from harness.analysis.decide.cost_study import Bill, CostStudy, Curve
from harness.analysis.run.cost import RunCost
from harness.report import formatting as q
from harness.report.canvas import NARROW, Chart, ChartLayout, Size, legend, panels, unit
from harness.report.decide.cost_tables import by_effect, cost_tables, lines_table
from harness.report.glossary import OF_COSTS
from harness.report.page import Figure, Tile, render_page
from harness.report.theme import looks_of


def render_cost_page(study: CostStudy, runs: Sequence[RunCost], charts: Sequence[Chart]) -> str:
    """Return the comparison, with the usage of runs in tables of their own, as one document."""
    return render_page(
        "cost",
        OF_COSTS,
        charts=charts,
        percentiles=False,
        story=_summary(study),
        assumption=_largest_effect(study.cases[0].bills),
        tables=cost_tables(study, runs),
        tiles=_tiles(study),
        day=study.day,
        connected=q.count(study.day.connected),
        messages=q.count(study.day.messages),
    )


def _summary(study: CostStudy) -> str:
    """Return the cheapest and the most expensive system."""
    bills = sorted(study.cases[0].bills, key=lambda bill: bill.usd)
    cheapest, highest = bills[0], bills[-1]
    times = q.figure(highest.usd / cheapest.usd) if cheapest.usd else q.MISSING
    return (
        f"With {q.count(study.day.connected)} users connected and {q.count(study.day.messages)} "
        f"messages a day, {cheapest.name} cost the least with {q.money(cheapest.usd)}, and "
        f"{highest.name} the most with {q.money(highest.usd)}: {times} times as much."
    )


def _largest_effect(bills: Sequence[Bill]) -> str:
    """Return the assumption that changes a cost by the largest factor; empty without any."""
    found = by_effect(bills)
    if not found:
        return ""
    bill, other = found[0]
    text = (
        f"The assumption with the largest effect is {other.switch}: {other.question} As counted, "
        f"{bill.name} costs {q.money(bill.usd)}; with the alternative {q.money(other.usd)}"
    )
    usd = {one.name: one.usd for one in bills}
    cheapest = min(usd, key=usd.__getitem__)
    changed = usd | {bill.name: other.usd}
    then = min(changed, key=changed.__getitem__)
    return text + (f", and then {then} costs the least." if then != cheapest else ".")


def draw_curves(curves: Sequence[Curve]) -> list[Chart]:
    """Draw the cost of a day over users and over messages, both axes logarithmic."""
    return [_layout(curve).chart("At list prices") for curve in curves]


def _layout(curve: Curve) -> ChartLayout:
    def draw(figure: Drawing, size: Size) -> None:
        # On a phone the key leaves no room for the unit beside two columns.
        columns = 1 if size == NARROW else 2
        (axes,) = panels(figure, size, 1, key_lines=-(-len(curve.usd) // columns))
        for (name, usd), look in zip(curve.usd.items(), looks_of(curve.systems), strict=True):
            style: Any = {"color": look.colour, "linestyle": look.dashes}
            axes.plot(curve.at, usd, label=name, marker="o", markersize=3, **style)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_formatter(FuncFormatter(_dollars))
        axes.set_xlabel(curve.over)
        unit(axes, "USD per day")
        legend(axes, size, columns=columns)

    highest = max(curve.usd, key=lambda name: curve.usd[name][-1])
    caption = f"At {q.count(curve.at[-1])}, {highest} is the most expensive with "
    caption += f"{q.money(curve.usd[highest][-1])} per day."
    name = "cost-over-" + curve.over.split()[0]
    return ChartLayout(name, f"Cost of a day over {curve.over}", caption, draw)


def _dollars(value: float, _position: int | None) -> str:
    return f"${value / 1000:g}k" if value >= 10_000 else f"${value:,g}"  # noqa: PLR2004 - what fits


def _tiles(study: CostStudy) -> list[Tile]:
    return [
        Tile(
            bill.name,
            [Figure("", q.money(bill.usd), link=lines_table(bill))],
            "per day",
            f"{q.money(study.idle[bill.name])} when idle",
        )
        for bill in study.cases[0].bills
    ]
