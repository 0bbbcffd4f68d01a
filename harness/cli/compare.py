"""``harness compare``: differences between runs, with confidence intervals."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from harness.cli.options import REPORTS, require_known, usage_error
from harness.cli.output import JSON, QUIET, give, takes
from harness.cli.terminal import print_table, stdout_console
from harness.cli.verdict import add_to_step_summary, annotate
from harness.core.errors import HarnessError
from harness.core.exit_codes import ExitCode
from harness.core.load_differences import KINDS

if TYPE_CHECKING:
    from harness.analysis.decide.comparison import Comparison
    from harness.analysis.decide.regression import Passage

DEFAULT_PAGE = REPORTS / "comparison.html"
_LEAST_SIDES = 2
_MOST_SIDES = 4


Sides = Annotated[
    list[str],
    typer.Argument(
        help="Folder of a run per side, or of several runs of the same system: RUN,RUN,RUN, or the "
        "folder that holds them, as run --repeat makes it.",
        metavar="A B [C]",
    ),
]
Baseline = Annotated[
    Path | None, typer.Option(help="First side: the runs in this baseline.", metavar="FILE")
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        help="Exit with 3 if a metric changed by more than this, for example "
        "'fan_out_latency_ms.p99 +10% and +5 ms' or 'deliveries.lost +0'. Repeatable.",
        metavar="RULE",
    ),
]
StoredRuns = Annotated[
    Path | None,
    typer.Option(
        help="Folder of runs that show how far runs of the same thing are apart.  "
        "[default: the folder that the last run is in]",
        metavar="DIR",
    ),
]
Allow = Annotated[
    str,
    typer.Option(
        help=f"What runs may differ in all the same, separated by commas: {', '.join(KINDS)}.",
        metavar="KINDS",
    ),
]


@takes(JSON, QUIET)
def compare(
    sides: Sides,
    *,
    baseline: Baseline = None,
    out: Annotated[Path, typer.Option(help="The page to write.", metavar="FILE")] = DEFAULT_PAGE,
    fail_if: FailIf = None,
    history: StoredRuns = None,
    allow: Allow = "",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare runs whatever they differ in.")
    ] = False,
    junit: Annotated[
        Path | None,
        typer.Option(help="Write JUnit XML with one case per rule and side.", metavar="FILE"),
    ] = None,
) -> None:
    """Compare runs with the first one, and write a page.

    Each difference has its 95 % confidence interval, which contains how far runs of the same thing
    are apart; "no difference shown" means that the interval contains 0. Runs that differ in
    workload, scale, seed, target of a side or load generator are refused; another machine or kernel
    widens the intervals. Exit code: 0; 3 if a --fail-if rule is met; 6 if the runs are refused.
    """
    from harness.analysis.decide.baseline import opened_baseline
    from harness.analysis.decide.comparability import IncomparableRunsError
    from harness.analysis.decide.history import compare_with_stored
    from harness.analysis.decide.regression import parse_gates, pass_gates
    from harness.analysis.run.finalize import analyse
    from harness.report.decide.compare_charts import draw_comparison
    from harness.report.decide.compare_page import render_comparison
    from harness.report.write import write_page

    gates = parse_gates(fail_if or [])
    allowed = list(KINDS) if anyway else [one.strip() for one in allow.split(",") if one.strip()]
    require_known("--allow", allowed, KINDS)
    folders = _folders(sides, given=0 if baseline is None else 1)
    none: AbstractContextManager[list[Path]] = nullcontext([])
    with opened_baseline(baseline) if baseline else none as first:
        every = [first, *folders] if baseline else folders
        runs = [[analyse(folder) for folder in side] for side in every]
        try:
            comparison = compare_with_stored(runs, allowed, history)
        except IncomparableRunsError as error:
            _refuse(error, junit)
            raise
        passages = pass_gates(comparison, gates)
        charts = draw_comparison(comparison)
        write_page(out, render_comparison(comparison, passages, charts), charts)
    _give(comparison, passages, out, junit)
    if any(one.verdict != "pass" for one in passages):
        raise typer.Exit(int(ExitCode.SLO_FAILED))


def _folders(sides: Sequence[str], given: int) -> list[list[Path]]:
    """Return the folders of the sides named; ``given`` is 1 where a baseline is one more."""
    if not _LEAST_SIDES <= len(sides) + given <= _MOST_SIDES:
        rule, hint = "must be two to four sides", "join the runs of one side with commas: A1,A2"
        raise usage_error("compare", f"{len(sides)}", rule, hint)
    from harness.analysis.run.run_file import runs_in

    folders = [
        [run for one in side.split(",") if one for run in runs_in(Path(one))] for side in sides
    ]
    empty = [side for side, of_side in zip(sides, folders, strict=True) if not of_side]
    if empty:
        rule, hint = "must name at least one run on each side", "for example A1,A2 B1,B2"
        raise usage_error("compare", repr(empty[0]), rule, hint)
    return folders


def _give(
    comparison: "Comparison", passages: Sequence["Passage"], page: Path, junit: Path | None
) -> None:
    """Give a comparison to JUnit, GitHub Actions and stdout."""
    from harness.report.decide.compare_ci import (
        comparison_annotations,
        comparison_markdown,
        render_comparison_junit,
    )
    from harness.report.decide.compare_tables import comparison_json
    from harness.report.write import write_file

    if junit is not None:
        write_file(junit, render_comparison_junit(comparison, passages))
    annotate(comparison_annotations(comparison, passages))
    add_to_step_summary(lambda: comparison_markdown(comparison, passages))
    give(
        lambda: comparison_json(comparison, passages) | {"page": str(page)},
        lambda: _show(comparison, passages, page),
        lambda: _headline(comparison, passages),
    )


def _show(comparison: "Comparison", passages: Sequence["Passage"], page: Path) -> None:
    from harness.report.decide.compare_ci import comparison_tables
    from harness.report.decide.compare_tables import named_sides, noise_text, unlike_text

    console = stdout_console()
    for one in comparison.unlike:
        style = "yellow" if one.widens else "bold red"
        console.print(Text(unlike_text(one), style=style))
    console.print(Text(_headline(comparison, passages), style="bold"))
    for line in named_sides(comparison):
        console.print(Text(line))
    for table in comparison_tables(comparison, passages):
        print_table(table, console)
    console.print(Text(noise_text(comparison)), soft_wrap=True)
    console.print(Text(f"page: {page}"), soft_wrap=True)


def _headline(comparison: "Comparison", passages: Sequence["Passage"]) -> str:
    from harness.report.decide.compare_tables import decision

    mark, word, _ = decision(comparison, passages)
    return f"{mark} {word}"


def _refuse(error: HarnessError, junit: Path | None) -> None:
    """Report a comparison that was refused to JUnit and to GitHub Actions."""
    from harness.report.ci import annotation
    from harness.report.decide.compare_ci import render_refusal_junit
    from harness.report.markdown import escape
    from harness.report.write import write_file

    if junit is not None:
        write_file(junit, render_refusal_junit(error))
    annotate([annotation("error", "Not comparable", str(error))])
    add_to_step_summary(lambda: f"**! Not comparable**\n\n{escape(str(error))}\n")
