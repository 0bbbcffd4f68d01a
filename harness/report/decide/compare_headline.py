"""The first screen of a comparison: one word, and the six figures that matter."""

from collections.abc import Iterator, Sequence
from typing import Final

from harness.analysis.decide.comparison import RATIO, Comparison, Difference
from harness.analysis.decide.regression import Passage
from harness.core.metrics import title_of
from harness.report.decide.compare_tables import NO_DIFFERENCE, figure_words, is_better, tell_change
from harness.report.glossary import capital
from harness.report.html import Figure, Tile
from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS

HEADLINES: Final = (
    *("fan_out_latency_ms.p50", "fan_out_latency_ms.p99", RATIO),
    *("joins.latency_ms.p99", "stall_s.p99", "cost.usd_day_at_reference"),
)
"""The figures that matter, in reading order."""


def decision(comparison: Comparison, passages: Sequence[Passage]) -> tuple[str, str, str]:
    """Return the mark, the word and the tone of the first line.

    With gates it is their verdict; without, what the figures that matter show of the last side.
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
    """Return mark, word and tone for whether the differences shown are for the better."""
    if not better:
        return "=", capital(NO_DIFFERENCE), "no_data"
    if len(better) > 1:
        return "\N{NOT EQUAL TO}", f"{name} differs", "no_data"
    if better == {True}:
        return VERDICT_MARKS["pass"], f"{name} is better", "pass"
    return VERDICT_MARKS["fail"], f"{name} is worse", "fail"


def comparison_tiles(comparison: Comparison) -> list[Tile]:
    """Return a tile for each figure that matters: every side's, and how they differ."""
    return [_tile(comparison, metric) for metric in HEADLINES]


def _tile(comparison: Comparison, metric: str) -> Tile:
    figures = [Figure(metric, figure_words(side, metric), side.name) for side in comparison.sides]
    return Tile(capital(title_of(metric)), figures, "", "; ".join(_details(comparison, metric)))


def _details(comparison: Comparison, metric: str) -> Iterator[str]:
    several = len(comparison.differences) > 1
    for side, found in zip(comparison.sides[1:], comparison.differences, strict=True):
        one: Difference = next(each for each in found if each.metric == metric)
        yield (f"{side.name}: " if several else "") + tell_change(one)
