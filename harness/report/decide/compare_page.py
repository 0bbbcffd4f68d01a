"""The page of a comparison."""

from collections.abc import Sequence
from typing import Final

from harness.analysis.decide.bootstrap import REPLICATES, block_seconds
from harness.analysis.decide.comparison import METRICS, RATIO, Comparison
from harness.analysis.decide.regression import Passage
from harness.core.metrics import title_of
from harness.report import formatting as q
from harness.report.canvas import Chart
from harness.report.decide.compare_charts import contestants_of
from harness.report.decide.compare_tables import (
    NO_DIFFERENCE,
    change_text,
    difference_table,
    difference_text,
    figure_text,
    gates_table,
    is_better,
    runs_table,
)
from harness.report.glossary import capital
from harness.report.page import Figure, Tile, render_page
from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS
from harness.report.theme import VARIABLES

HEADLINES: Final = (
    *("fan_out_latency_ms.p50", "fan_out_latency_ms.p99", RATIO),
    *("joins.latency_ms.p99", "stall_s.p99", "cost.usd_day_at_reference"),
)
"""The main metrics, in reading order."""


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
        single=any(len(one.runs) == 1 for one in comparison.sides),
        stories=[difference_text(first, other, found) for other, found in pairs],
        tables=tables,
        tiles=comparison_tiles(comparison),
        tone=tone,
        unlike=comparison.unlike,
        word=word,
        workload=first.runs[0].record.workload.get("name", "unknown workload"),
    )


def _clocks(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the sides with several clocks, each with its clock error."""
    errors_ms = [
        (side.name, side.clock_error_ms("fan_out_latency_ms")) for side in comparison.sides
    ]
    return [(name, q.milliseconds(error_ms)) for name, error_ms in errors_ms if error_ms]


def decision(comparison: Comparison, passages: Sequence[Passage]) -> tuple[str, str, str]:
    """Return the mark, the word and the tone of the headline.

    It is the verdict of the gates; without gates, what the main metrics show of the last side.
    """
    if passages:
        failed = next((one.verdict for one in passages if one.verdict != "pass"), "pass")
        return VERDICT_MARKS[failed], VERDICT_WORDS[failed], failed
    names = [side.name for side in comparison.sides]
    if len(comparison.differences) > 1:
        return "=", f"{', '.join(names[:-1])} and {names[-1]} compared", "no_data"
    found = [one for one in comparison.differences[0] if one.metric in HEADLINES]
    if all(one.absolute is None for one in found):
        return "?", "No interval", "no_data"
    return _word_for(names[1], {is_better(one) for one in found if one.is_shown})


def _word_for(name: str, better: set[bool]) -> tuple[str, str, str]:
    """Return mark, word and tone for whether the differences are improvements."""
    if not better:
        return "=", capital(NO_DIFFERENCE), "no_data"
    if len(better) > 1:
        return "\N{NOT EQUAL TO}", f"{name} differs", "no_data"
    if better == {True}:
        return VERDICT_MARKS["pass"], f"{name} is better", "pass"
    return VERDICT_MARKS["fail"], f"{name} is worse", "fail"


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
