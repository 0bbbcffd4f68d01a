"""``harness compare``: differences between runs, with confidence intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.text import Text

from harness.cli.options import REPORTS, AsJson, usage_error
from harness.cli.terminal import print_table, stdout_console
from harness.cli.verdict import add_to_step_summary
from harness.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from harness.analysis.decide.comparison import Comparison
    from harness.analysis.decide.regression import Passage
    from harness.report.table_cells import Table

DEFAULT_PAGE = REPORTS / "comparison.html"
_LEAST_SIDES = 2
_MOST_SIDES = 4


def compare(
    sides: Annotated[
        list[str],
        typer.Argument(
            help="Folder of a run per side, or of several runs of the same system: RUN,RUN,RUN.",
            metavar="A B [C]",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The page to write.", metavar="FILE")] = DEFAULT_PAGE,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 3 if a metric changed by more than this, for example "
            "'fan_out_latency_ms.p99 +10%'. Repeatable.",
            metavar="RULE",
        ),
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Compare runs that are not comparable; the page says so."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs with the first one, and write a page.

    Each difference has its 95 % confidence interval; "no difference shown" means that the interval
    contains 0. Refuses runs that differ in workload, seed, load generator or machine. Exit code: 0,
    or 3 if a --fail-if rule is met.
    """
    from harness.analysis.decide.comparability import IncomparableRunsError, find_incompatibilities
    from harness.analysis.decide.comparison import compare as compare_sides
    from harness.analysis.decide.regression import parse_gates, pass_gates
    from harness.analysis.run.finalize import analyse
    from harness.report.decide.compare_charts import draw_comparison
    from harness.report.decide.compare_page import render_comparison
    from harness.report.decide.compare_tables import comparison_json
    from harness.report.write import write_page

    gates = parse_gates(fail_if or [])
    runs = [[analyse(folder) for folder in folders] for folders in _folders(sides)]
    if (unlike := find_incompatibilities(runs)) and not anyway:
        raise IncomparableRunsError(unlike)
    comparison = compare_sides(runs, unlike)
    passages = pass_gates(comparison, gates)
    charts = draw_comparison(comparison)
    write_page(out, render_comparison(comparison, passages, charts), charts)
    if as_json:
        found = comparison_json(comparison, passages)
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    else:
        _show(comparison, passages, out)
    add_to_step_summary(lambda: _markdown(comparison, passages))
    if any(one.verdict != "pass" for one in passages):
        raise typer.Exit(int(ExitCode.SLO_FAILED))


def _folders(sides: Sequence[str]) -> list[list[Path]]:
    if not _LEAST_SIDES <= len(sides) <= _MOST_SIDES:
        rule, hint = "must be two to four sides", "join the runs of one side with commas: A1,A2"
        raise usage_error("compare", f"{len(sides)}", rule, hint)
    folders = [[Path(one) for one in side.split(",") if one] for side in sides]
    empty = [side for side, of_side in zip(sides, folders, strict=True) if not of_side]
    if empty:
        rule, hint = "must name at least one run on each side", "for example A1,A2 B1,B2"
        raise usage_error("compare", repr(empty[0]), rule, hint)
    return folders


def _show(comparison: "Comparison", passages: Sequence["Passage"], page: Path) -> None:
    console = stdout_console()
    for one in comparison.unlike:
        console.print(Text(f"not comparable: {one.key} is {one.found}", style="bold red"))
    for line in _named(comparison):
        console.print(Text(line))
    for table in _tables(comparison, passages):
        print_table(table, console)
    console.print(Text(f"page: {page}"), soft_wrap=True)


def _named(comparison: "Comparison") -> list[str]:
    """Return the label and tags of each side; nothing where no side has any."""
    if not any(side.label for side in comparison.sides) and not any(comparison.tags):
        return []
    pairs = zip(comparison.sides, comparison.tags, strict=True)
    return [f"{side.title} ({tags})" if tags else side.title for side, tags in pairs]


def _tables(comparison: "Comparison", passages: Sequence["Passage"]) -> list["Table"]:
    from harness.report.decide.compare_tables import difference_table, gates_table

    found = [
        difference_table(comparison.sides[0], side, differences)
        for side, differences in zip(comparison.sides[1:], comparison.differences, strict=True)
    ]
    return found + ([gates_table(passages)] if passages else [])


def _markdown(comparison: "Comparison", passages: Sequence["Passage"]) -> str:
    from harness.report.markdown import escape, render_table

    parts = [
        f"**not comparable**: {escape(f'{one.key} is {one.found}')}" for one in comparison.unlike
    ]
    parts += [f"- {escape(line)}" for line in _named(comparison)]
    for table in _tables(comparison, passages):
        parts += [f"## {escape(table.title)}", render_table(table)]
    return "\n\n".join(parts) + "\n"
