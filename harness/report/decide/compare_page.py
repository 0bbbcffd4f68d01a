"""The page of a comparison."""

from collections.abc import Sequence

from harness.analysis.decide.bootstrap import REPLICATES, block_seconds
from harness.analysis.decide.comparison import METRICS, Comparison
from harness.analysis.decide.regression import Passage
from harness.core.metrics import title_of
from harness.report import formatting as q
from harness.report.canvas import Chart
from harness.report.decide.compare_charts import contestants_of
from harness.report.decide.compare_tables import (
    HEADLINES,
    change_text,
    decision,
    difference_table,
    difference_text,
    figure_text,
    gates_table,
    noise_text,
    runs_table,
)
from harness.report.glossary import capital
from harness.report.page import Figure, Tile, render_page
from harness.report.theme import VARIABLES


def render_comparison(
    comparison: Comparison, passages: Sequence[Passage], charts: Sequence[Chart]
) -> str:
    """Return the page, with the verdicts of the gates that were passed or not."""
    first = comparison.sides[0]
    pairs = list(zip(comparison.sides[1:], comparison.differences, strict=True))
    tables = [
        *([gates_table(passages)] if passages else []),
        *(difference_table(first, other, found) for other, found in pairs),
        runs_table(comparison),
    ]
    mark, word, tone = decision(comparison, passages)
    return render_page(
        "compare",
        [*METRICS, "generator.clock_error_ms"],
        charts=charts,
        block_s=block_seconds(round(first.runs[0].record.measured_s())),
        clocks=_clocks(comparison),
        mark=mark,
        replicates=REPLICATES,
        sides=[
            (side, VARIABLES[one.look.colour], tags)
            for side, one, tags in zip(
                comparison.sides, contestants_of(comparison), comparison.tags, strict=True
            )
        ],
        noise=noise_text(comparison),
        stories=[difference_text(first, other, found) for other, found in pairs],
        tables=tables,
        tiles=comparison_tiles(comparison),
        tone=tone,
        machines=[one for one in comparison.unlike if one.widens],
        unlike=[one for one in comparison.unlike if not one.widens],
        word=word,
        workload=first.runs[0].record.workload.get("name", "unknown workload"),
    )


def _clocks(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the sides with several clocks, each with its clock error."""
    errors_ms = [
        (side.name, side.clock_error_ms("fan_out_latency_ms")) for side in comparison.sides
    ]
    return [(name, q.milliseconds(error_ms)) for name, error_ms in errors_ms if error_ms]


def comparison_tiles(comparison: Comparison) -> list[Tile]:
    """Return a tile for each main metric, with every side and their differences."""
    return [_tile(comparison, metric) for metric in HEADLINES]


def _tile(comparison: Comparison, metric: str) -> Tile:
    first, *others = comparison.sides
    figures = [Figure(metric, figure_text(side, metric), side.name) for side in (first, *others)]
    details = [
        (f"{side.name}: " if len(others) > 1 else "") + change_text(one)
        for side, found in zip(others, comparison.differences, strict=True)
        for one in found
        if one.metric == metric
    ]
    return Tile(capital(title_of(metric)), figures, "", "; ".join(details))
