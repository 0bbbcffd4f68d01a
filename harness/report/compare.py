"""A comparison as one HTML file that needs nothing else."""

from collections.abc import Sequence

from harness import __version__
from harness.analysis.bootstrap import REPLICATES, block_seconds
from harness.analysis.comparison import Comparison
from harness.analysis.regression import Passage
from harness.report.compare_charts import colour_of, draw_comparison
from harness.report.compare_tables import (
    difference_table,
    gates_table,
    runs_table,
    tell_difference,
)
from harness.report.html import TEMPLATES, drawings, stylesheet
from harness.report.theme import VARIABLES


def render_comparison(comparison: Comparison, passages: Sequence[Passage]) -> str:
    """Return the page."""
    first = comparison.sides[0]
    pairs = list(zip(comparison.sides[1:], comparison.differences, strict=True))
    tables = [
        *([gates_table(passages)] if passages else []),
        *(difference_table(first, other, found) for other, found in pairs),
        runs_table(comparison),
    ]
    return TEMPLATES.get_template("compare.html.j2").render(
        block_s=block_seconds(round(first.runs[0].record.measured_s())),
        charts=[(chart, drawings(chart)) for chart in draw_comparison(comparison)],
        css=stylesheet(),
        replicates=REPLICATES,
        sides=[(one, VARIABLES[colour_of(n)]) for n, one in enumerate(comparison.sides)],
        single=any(len(one.runs) == 1 for one in comparison.sides),
        stories=[tell_difference(first, other, found) for other, found in pairs],
        tables=tables,
        unlike=comparison.unlike,
        version=__version__,
        workload=first.runs[0].record.workload.get("name", "unknown workload"),
    )
