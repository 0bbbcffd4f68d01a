"""The page of a sweep."""

from collections.abc import Sequence
from typing import Final

from harness.analysis.decide.backlog import LEAST_GROWTH_MS_PER_S, SIGNIFICANCE
from harness.analysis.decide.capacity import FOUND, Cell, exit_code_of
from harness.core.exit_codes import VERDICTS
from harness.report import formatting as q
from harness.report.canvas import Chart
from harness.report.decide.sweep_text import (
    amount,
    capacities_table,
    capacity_text,
    cell_name,
    fan_out,
    headroom_table,
    knee_text,
    law_table,
    law_text,
    load_text,
    result_text,
    step_text,
    steps_table,
)
from harness.report.glossary import OF_SWEEPS, anchor
from harness.report.page import Figure, Tile, render_page
from harness.report.summary_text import VERDICT_MARKS
from harness.report.table_cells import Table

_METRICS: Final = (
    *("deliveries.per_s_mean", "deliveries.ratio", "fan_out_latency_ms", "joins.latency_ms"),
)


def render_sweep(
    names: tuple[str, str], cells: Sequence[Cell], status: str, charts: Sequence[Chart]
) -> str:
    """Return the page of at least one search; ``names`` are those of workload and target."""
    tone = VERDICTS[exit_code_of(cells)]
    return render_page(
        "sweep",
        [*OF_SWEEPS, *_METRICS],
        charts=charts,
        growth=q.milliseconds(LEAST_GROWTH_MS_PER_S),
        heading=capacity_text(cells[0]) if len(cells) == 1 else f"{len(cells)} capacities",
        is_interrupted=status == "interrupted",
        mark=VERDICT_MARKS[tone],
        significance=SIGNIFICANCE,
        stories=[
            (cell_name(cell), [result_text(cell), knee_text(cell), law_text(cell)])
            for cell in cells
        ],
        tables=_tables(cells),
        target=names[1],
        tiles=_tiles(cells[0]) if len(cells) == 1 else [],
        tone=tone,
        workload=names[0],
    )


def _tables(cells: Sequence[Cell]) -> list[Table]:
    tables = [capacities_table(cells)] if len(cells) > 1 else []
    for number, cell in enumerate(cells, 1):
        tables += [headroom_table(cell, number)] if cell.headroom else []
        tables += [steps_table(cell, number)]
        tables += [] if cell.law.refusal else [law_table(cell, number)]
    return tables


def _tiles(cell: Cell) -> list[Tile]:
    """Return the main figures of one search."""
    step = cell.at_capacity
    low, high, _ = cell.bracket
    fineness = step_text(low, high) if low and high else q.MISSING
    latency = q.MISSING if step is None else fan_out(step.fan_out_p99_ms, step)
    offered = q.MISSING if step is None else q.count(step.offered_per_s)
    knee = amount(None if cell.knee is None else cell.knee.load)
    least = min((one.ratio for one in cell.headroom), default=None)
    detail = f"not held at {load_text(cell.axis, high)}" if high else "no step failed"
    headroom = q.MISSING if least is None else f"{least:.3g} ×"
    bound = "" if cell.result == FOUND or low is None else ", at least"
    unit = cell.axis.unit

    def tile(title: str, word: str, text: str, unit: str, detail: str) -> Tile:
        figure = Figure("", text, link=anchor(word))
        return Tile(title, [figure], unit, detail, is_wide=word in {"capacity", "knee"})

    apart = "between the highest load that held and the lowest that failed"
    capacity = f"Capacity in {cell.axis.title}{bound}"
    relative = "the minimum, relative to the reference load"
    return [
        tile(capacity, "capacity", amount(low), unit if low is not None else "", detail),
        tile("Step", "step", fineness, "", apart),
        tile("Fan-out p99", "fan_out_latency_ms", latency, "", "at the capacity"),
        tile("Deliveries", "offered", offered, "/s" if step else "", "offered at the capacity"),
        tile("Knee", "knee", knee, unit if cell.knee else "", "where latency begins to rise"),
        tile("Headroom", "headroom", headroom, "", relative),
    ]
