"""The tables and sentences of a comparison, for pages, the terminal and JSON."""

import math
from collections.abc import Sequence
from typing import Final

from harness.analysis.decide.bootstrap import CONFIDENCE, NORMAL_QUANTILE, Interval
from harness.analysis.decide.comparability import Incompatibility
from harness.analysis.decide.comparison import RATIO, Comparison, Difference, Side
from harness.analysis.decide.regression import Passage
from harness.analysis.run.record import Json
from harness.analysis.run.run_file import label_words, tags_of
from harness.core.metrics import more_is_better, title_of
from harness.report import formatting as q
from harness.report.clocks import WITHIN_CLOCKS, below, explanation, quoted
from harness.report.glossary import anchor, capital
from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS, verdict_cell
from harness.report.table_cells import Cell, Row, Table, table_of

NO_DIFFERENCE: Final = "no difference shown"
JSON_VERSION: Final = 1
"""Version of ``comparison_json``; incremented when a name disappears or changes its meaning."""

P99: Final = "fan_out_latency_ms.p99"
HEADLINES: Final = (
    *("fan_out_latency_ms.p50", P99, RATIO),
    *("joins.latency_ms.p99", "stall_s.p99", "cost.usd_day_at_reference"),
)
"""The main figures, in reading order; the first three in sentences."""
DECISIVE: Final = (P99, RATIO)
"""What makes a side better or worse: were there more, one of them would often differ by chance."""
_PERCENT: Final = round(100 * CONFIDENCE)


def decision(comparison: Comparison, passages: Sequence[Passage]) -> tuple[str, str, str]:
    """Return the mark, the word and the tone of the headline.

    It is the verdict of the gates; without gates, what the decisive figures show of the last side.
    """
    if passages:
        failed = next((one.verdict for one in passages if one.verdict != "pass"), "pass")
        return VERDICT_MARKS[failed], VERDICT_WORDS[failed], failed
    names = [side.name for side in comparison.sides]
    if len(comparison.differences) > 1:
        return "=", f"{', '.join(names[:-1])} and {names[-1]} compared", "no_data"
    found = [one for one in comparison.differences[0] if one.metric in HEADLINES]
    decisive = [one for one in found if one.metric in DECISIVE]
    if all(one.absolute is None for one in decisive):
        return "?", "No interval", "no_data"
    better = {is_better(one) for one in decisive if one.is_shown}
    if len(better) == 1:
        verdict, word = ("pass", "better") if better == {True} else ("fail", "worse")
        return VERDICT_MARKS[verdict], f"{names[1]} is {word}", verdict
    if better or any(one.is_shown for one in found):
        return "\N{NOT EQUAL TO}", f"{names[1]} differs", "no_data"
    return "=", capital(NO_DIFFERENCE), "no_data"


def noise_text(comparison: Comparison) -> str:
    """Return how far runs of the same thing are apart, and from what that is known."""
    seen = [
        one for found in comparison.differences for one in found if one.metric == P99 and one.noises
    ]
    if not seen:
        return "How far runs of the same thing are apart is not known here."
    noises = list(dict.fromkeys(noise for one in seen for noise in one.noises))
    parts = []
    for noise in noises:
        factor = math.exp(NORMAL_QUANTILE * noise.deviation * math.sqrt(2))
        source = f"measured from {noise.runs} runs" if noise.runs else "assumed: too few are stored"
        parts.append(f"a factor of {factor:.2f} ({source})")
    least = max((one.least_rise for one in seen if one.least_rise is not None), default=None)
    text = (
        f"Two runs of the same thing differ in {title_of(P99)} by up to {' or '.join(parts)}, and "
        "the intervals contain that."
    )
    return text if least is None else f"{text} A rise of {_percent(1 + least)} would be found here."


def difference_text(first: Side, other: Side, differences: Sequence[Difference]) -> str:
    """Return how a side differs from the first, in a few sentences."""
    by_metric = {one.metric: one for one in differences}
    return " ".join(
        f"{_figures_text(first, other, by_metric[metric])}." for metric in HEADLINES[:3]
    )


def figures_text(comparison: Comparison, name: str, seen: Difference) -> str:
    """Return a metric of a side beside the first side's, and how they differ."""
    first = comparison.sides[0]
    other = next(side for side in comparison.sides if side.name == name)
    return _figures_text(first, other, seen)


def _figures_text(first: Side, other: Side, seen: Difference) -> str:
    title = capital(title_of(seen.metric))
    if seen.difference is None:
        return f"{title}: no data"
    values = f"{figure_text(other, seen.metric)} in {other.name}, "
    values += f"{figure_text(first, seen.metric)} in {first.name}"
    return f"{title} {values}: {change_text(seen)}"


def unlike_text(one: Incompatibility) -> str:
    """Return in what runs differ that should be alike."""
    what = "another machine" if one.widens else "not comparable"
    return f"{what}: {one.key} is {one.found}"


def named_sides(comparison: Comparison) -> list[str]:
    """Return the label and tags of each side; nothing where no side has any."""
    if not any(side.label for side in comparison.sides) and not any(comparison.tags):
        return []
    pairs = zip(comparison.sides, comparison.tags, strict=True)
    return [f"{side.title} ({tags})" if tags else side.title for side, tags in pairs]


def figure_text(side: Side, metric: str) -> str:
    """Return a side's value of a metric, or the clock error as its upper bound."""
    return quoted(metric, side.figures[metric], side.clock_error_ms(metric))


def change_text(seen: Difference) -> str:
    """Return how a metric differs from the first side's, such as "lower, −20 %"."""
    return _word(seen) + _change(seen)


def is_better(seen: Difference) -> bool:
    """Return whether a metric improved."""
    return ((seen.difference or 0.0) > 0) == more_is_better(seen.metric)


def difference_table(first: Side, other: Side, differences: Sequence[Difference]) -> Table:
    """Return every metric of two sides with difference, ratio, intervals and finding."""
    rows = [_row(one) for one in differences if one.first is not None or one.other is not None]
    columns = ["Figure", "Finding", first.name, other.name]
    columns += [f"{other.name} − {first.name}", f"{other.name} ÷ {first.name}"]
    note = (
        f"Brackets contain the {_PERCENT} % confidence interval; values without brackets have no "
        "interval. Counts are the mean over the runs of a side; stalls, recovery, cost and joins/s "
        "are the maximum."
    )
    error_ms = max((one.clock_error_ms for one in differences), default=0.0)
    if error_ms:
        note += (
            f" {explanation('side')}; differences below the sum of both errors, "
            f"{q.milliseconds(error_ms)}, are not reported."
        )
    title = f"{other.title} compared with {first.title}"
    return Table(f"differences-{other.name}", title, note, columns, rows, texts=2)


def runs_table(comparison: Comparison) -> Table:
    """Return every run with its side, folder, verdict and origin."""
    rows: list[Row] = []
    for side in comparison.sides:
        for one in side.runs:
            run = one.record.run
            rows.append(
                {
                    "Side": side.name,
                    "Run": one.record.folder.name,
                    "Tested": label_words(run) or q.MISSING,
                    "Verdict": verdict_cell(one.summary["verdict"]),
                    "Workload": str(one.record.workload.get("name", q.MISSING)),
                    "Target": str(one.record.target.get("name", q.MISSING)),
                    "Started": str(run.get("started_at") or q.MISSING),
                    "Revision": str(run.get("environment", {}).get("git_revision") or q.MISSING),
                }
            )
    return table_of("runs", "Runs", "", rows, texts=8)


def gates_table(passages: Sequence[Passage]) -> Table:
    """Return each gate with the observed change."""
    rows: list[Row] = [
        {
            "Fails if": str(one.gate),
            "Verdict": verdict_cell(one.verdict),
            "Side": one.side,
            "Change": Cell(_relative(one.seen), link=anchor(one.seen.metric)),
            "Finding": _word(one.seen),
        }
        for one in passages
    ]
    return table_of("gates", "Gates", "", rows, texts=3)


def comparison_json(comparison: Comparison, passages: Sequence[Passage]) -> Json:
    """Return a comparison as JSON data under stable names."""
    return {
        "version": JSON_VERSION,
        "confidence": CONFIDENCE,
        "sides": [
            {
                "name": side.name,
                "label": side.label,
                "tags": [tags_of(one.record.run) for one in side.runs],
                "target": side.runs[0].record.target.get("name"),
                "runs": [str(one.record.folder) for one in side.runs],
            }
            for side in comparison.sides
        ],
        "headline": decision(comparison, passages)[1],
        "verdict": decision(comparison, passages)[2] if passages else None,
        "noise": noise_text(comparison),
        "unlike": [one._asdict() | {"kind": one.kind} for one in comparison.unlike],
        "differences": [
            _difference_json(side, one)
            for side, differences in zip(comparison.sides[1:], comparison.differences, strict=True)
            for one in differences
        ],
        "gates": [
            {
                "rule": str(one.gate),
                "side": one.side,
                "verdict": one.verdict,
                "finding": _word(one.seen),
            }
            for one in passages
        ],
    }


def _difference_json(side: Side, one: Difference) -> Json:
    return {
        "side": side.name,
        "metric": one.metric,
        "first": one.first,
        "other": one.other,
        "difference": one.difference,
        "difference_interval": one.absolute and list(one.absolute),
        "ratio": one.ratio,
        "ratio_interval": list(one.relative) if one.relative and one.ratio is not None else None,
        "clock_error_ms": one.clock_error_ms or None,
        "shown": one.is_shown if one.absolute else None,
        "least_rise": one.least_rise,
        "noise": [
            {"deviation": noise.deviation, "measured_from_runs": noise.runs} for noise in one.noises
        ],
    }


def _row(one: Difference) -> list[Cell]:
    figures = [
        quoted(one.metric, one.first, one.errors_ms[0]),
        quoted(one.metric, one.other, one.errors_ms[1]),
        _difference(one),
        _ratio(one),
    ]
    return [
        Cell(capital(title_of(one.metric))),
        Cell(_word(one), tone=_tone(one)),
        *(Cell(text, link=anchor(one.metric)) for text in figures),
    ]


def _word(one: Difference) -> str:
    if one.difference is None:
        return "no data"
    if one.is_within_clocks:
        return WITHIN_CLOCKS
    if one.difference == 0 or (one.absolute is not None and not one.is_shown):
        return NO_DIFFERENCE
    if one.absolute is None:
        return "no interval"
    return "higher" if one.difference > 0 else "lower"


def _tone(one: Difference) -> str:
    if not one.is_shown or not one.difference:
        return "no_data"
    return "pass" if is_better(one) else "fail"


def _change(one: Difference) -> str:
    """Return the relative change, where a difference is shown."""
    if not one.is_shown or one.ratio is None or one.relative is None:
        return ""
    low, high = (_percent(value) for value in one.relative)
    return f", {_percent(one.ratio)} ({low} to {high})"


def _percent(ratio: float) -> str:
    change = 100 * (ratio - 1)
    digits = ",.0f" if abs(change) >= 1000 else ".3g"  # noqa: PLR2004 - no powers of ten
    return f"{change:+{digits}}{q.THIN}%"


def _relative(one: Difference) -> str:
    return q.MISSING if one.ratio is None else _percent(one.ratio)


def _difference(one: Difference) -> str:
    if one.is_within_clocks:
        return below(one.clock_error_ms)
    return _signed(one.metric, one.difference) + _brackets(one.metric, one.absolute)


def _signed(metric: str, value: float | None) -> str:
    if value is not None and metric.endswith("ratio"):
        return f"{100 * value:+.3g}{q.THIN}%"  # A change needs no special digits near 0 and 100.
    sign = "+" if value is not None and value > 0 else ""
    return sign + q.of_metric(metric, value)


def _brackets(metric: str, interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f" [{_signed(metric, interval.low)}, {_signed(metric, interval.high)}]"


def _ratio(one: Difference) -> str:
    if one.ratio is None:
        return q.MISSING
    text = f"{one.ratio:.3f}"
    return text + (f" [{one.relative.low:.3f}, {one.relative.high:.3f}]" if one.relative else "")
