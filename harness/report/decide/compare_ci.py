"""A comparison for CI: JUnit XML, annotations of GitHub Actions and its step summary."""

from collections.abc import Iterator, Sequence

from harness.analysis.decide.comparison import Comparison, Difference
from harness.analysis.decide.regression import Passage
from harness.core.errors import HarnessError
from harness.core.metrics import title_of
from harness.report.ci import Suite, annotation
from harness.report.decide.compare_tables import (
    DECISIVE,
    decision,
    difference_table,
    figures_text,
    gates_table,
    named_sides,
    noise_text,
    unlike_text,
)
from harness.report.glossary import capital
from harness.report.markdown import escape, render_table
from harness.report.table_cells import Table

COMPARABLE = "the runs are comparable"


def render_comparison_junit(comparison: Comparison, passages: Sequence[Passage]) -> bytes:
    """Return JUnit XML, UTF-8: a case for each gate and side, and one for comparability.

    Without gates there is a case for each decisive figure, which states the difference and never
    fails, like the subcommand itself.
    """
    mark, word, _ = decision(comparison, passages)
    sides = {side.name: side.title for side in comparison.sides}
    suite = Suite("compare", {"headline": f"{mark} {word}", "noise": noise_text(comparison)}, {})
    said = "\n".join([*sides.values(), *map(unlike_text, comparison.unlike)])
    suite.passed("comparability", COMPARABLE, said)
    for one in passages:
        text = _gate_text(comparison, one)
        name = f"{one.side}: {one.gate}"
        if one.verdict == "pass":
            suite.passed("gates", name, text)
        else:
            suite.failed("gates", name, one.verdict, text)
    for side, seen in () if passages else _decisive(comparison):
        suite.passed("figures", f"{side}: {seen.metric}", figures_text(comparison, side, seen))
    return suite.document()


def render_refusal_junit(error: HarnessError) -> bytes:
    """Return JUnit XML, UTF-8, of a comparison that was refused."""
    suite = Suite("compare", {"headline": "! Not comparable"}, {})
    suite.broken("comparability", COMPARABLE, "refused", str(error).split("\n"))
    return suite.document()


def comparison_annotations(comparison: Comparison, passages: Sequence[Passage]) -> Iterator[str]:
    """Yield a workflow command of GitHub Actions for each gate that failed, and what is unlike."""
    for one in passages:
        if one.verdict != "pass":
            title = f"{capital(title_of(one.gate.metric))} ({one.side})"
            yield annotation("error", title, _gate_text(comparison, one))
    for unlike in comparison.unlike:
        yield annotation(
            "notice" if unlike.widens else "warning", "Comparison", unlike_text(unlike)
        )


def _gate_text(comparison: Comparison, one: Passage) -> str:
    return f"{figures_text(comparison, one.side, one.seen)}; fails if {one.gate}"


def _decisive(comparison: Comparison) -> Iterator[tuple[str, Difference]]:
    for side, found in zip(comparison.sides[1:], comparison.differences, strict=True):
        yield from ((side.name, one) for one in found if one.metric in DECISIVE)


def comparison_markdown(comparison: Comparison, passages: Sequence[Passage]) -> str:
    """Return headline, sides, differences and gates as Markdown."""
    mark, word, _ = decision(comparison, passages)
    parts = [f"**{mark} {escape(word)}**"]
    parts += [f"- {escape(unlike_text(one))}" for one in comparison.unlike]
    parts += [f"- {escape(line)}" for line in named_sides(comparison)]
    for table in comparison_tables(comparison, passages):
        parts += [f"## {escape(table.title)}", render_table(table)]
    parts.append(escape(noise_text(comparison)))
    return "\n\n".join(parts) + "\n"


def comparison_tables(comparison: Comparison, passages: Sequence[Passage]) -> list[Table]:
    """Return the tables that the terminal and the step summary show."""
    found = [
        difference_table(comparison.sides[0], side, differences)
        for side, differences in zip(comparison.sides[1:], comparison.differences, strict=True)
    ]
    return found + ([gates_table(passages)] if passages else [])
