"""A comparison as one HTML file that needs nothing else."""

from collections.abc import Sequence

from harness.analysis.decide.bootstrap import REPLICATES, block_seconds
from harness.analysis.decide.comparison import METRICS, Comparison
from harness.analysis.decide.regression import Passage
from harness.core.distribution import VERSION
from harness.report import formatting as q
from harness.report.chart_layout import Chart
from harness.report.decide.compare_charts import contestants_of, draw_comparison
from harness.report.decide.compare_headline import comparison_tiles, decision
from harness.report.decide.compare_tables import (
    difference_table,
    gates_table,
    runs_table,
    tell_difference,
)
from harness.report.glossary import definitions
from harness.report.html import TEMPLATES, drawings, stylesheet
from harness.report.theme import VARIABLES


def render_comparison(
    comparison: Comparison,
    passages: Sequence[Passage],
    charts: Sequence[Chart] | None = None,
) -> str:
    """Return the page.

    Args:
        comparison: What was compared.
        passages: The gates and how they were passed.
        charts: From ``draw_comparison``; drawn now where none are given.
    """
    charts = draw_comparison(comparison) if charts is None else charts
    first = comparison.sides[0]
    pairs = list(zip(comparison.sides[1:], comparison.differences, strict=True))
    tables = [
        *([gates_table(passages)] if passages else []),
        *(difference_table(first, other, found) for other, found in pairs),
        runs_table(comparison),
    ]
    mark, word, tone = decision(comparison, passages)
    return TEMPLATES.get_template("compare.html.j2").render(
        block_s=block_seconds(round(first.runs[0].record.measured_s())),
        charts=[(chart, drawings(chart)) for chart in charts],
        clocks=_clocks(comparison),
        css=stylesheet(),
        definitions=definitions([*METRICS, "generator.clock_error_ms"]),
        mark=mark,
        replicates=REPLICATES,
        sides=[
            (side, VARIABLES[one.look.colour], tags)
            for side, one, tags in zip(
                comparison.sides, contestants_of(comparison), comparison.tags, strict=True
            )
        ],
        single=any(len(one.runs) == 1 for one in comparison.sides),
        stories=[tell_difference(first, other, found) for other, found in pairs],
        tables=tables,
        tiles=comparison_tiles(comparison),
        tone=tone,
        unlike=comparison.unlike,
        version=VERSION,
        word=word,
        workload=first.runs[0].record.workload.get("name", "unknown workload"),
    )


def _clocks(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the sides whose workers did not share a clock, each with its error."""
    errors_ms = [
        (side.name, side.clock_error_ms("fan_out_latency_ms")) for side in comparison.sides
    ]
    return [(name, q.milliseconds(error_ms)) for name, error_ms in errors_ms if error_ms]
