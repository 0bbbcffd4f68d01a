"""``harness report``: judge a run record and write its report."""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.github import tell_github
from harness.core.errors import ScenarioError, ScenarioProblem

if TYPE_CHECKING:
    from harness.analysis.run.finalize import Analysis
    from harness.report.table_cells import Table as Cells

LOG_WIDTH = 120
"""Columns where stdout is no terminal; pipelines' logs have room."""

HISTORY_PAGE = "history.html"
HISTORY_WIDTH = 180
"""Columns of a history where stdout is no terminal: each run on one line."""

COLOURS = {"pass": "green", "fail": "red", "invalid": "yellow", "no_data": "blue"}


def report(
    run: Annotated[Path | None, typer.Argument(help="The run's own folder.", metavar="RUN")] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="Report on all runs below a folder instead, over time.", metavar="DIR"),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC", help="Figure of the history, such as stall_s.max. Repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The history's page.  [default: DIR/history.html]", metavar="FILE"),
    ] = None,
    quiet: Annotated[  # noqa: FBT002 - typer's way to say that a flag is off
        bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")
    ] = False,
) -> None:
    """Judge a run's record and write its report, again if need be.

    Works on a finished run, and on what a run that was killed left behind. Writes report.html,
    summary.md, junit.xml and charts/ into the run's folder. The exit code is the run's. With
    --history, shows instead how figures went over all runs below a folder, series by series of
    like runs, each with its git revision; what is damaged is named and left out.

    Raises:
        Exit: With the run's exit code; a history's is 0.
        ScenarioError: If neither a run nor a history is asked for, or both.
    """
    if (run is None) == (history is None):
        found = "neither" if run is None else "both"
        hint = "for example harness report reports/first, or harness report --history reports"
        raise _usage("report", found, "must be one of RUN, --history", hint)
    if history is not None:
        _report_history(history, metric or (), out, quiet=quiet)
        return
    assert run is not None  # noqa: S101 - one of the two is given
    for flag, given in (("--metric", metric), ("--out", out)):
        if given:
            hint = "a run's report is written into its own folder, with all figures"
            raise _usage(flag, "", "goes with --history alone", hint)
    analysis, page = make_report(run)
    if not quiet:
        show(analysis, page)
    raise typer.Exit(int(analysis.summary["exit_code"]))


def make_report(folder: Path) -> tuple["Analysis", Path]:
    """Judge a run's record, complete it on disk and write its report; return both.

    Raises:
        NoRecordError: If the folder holds no readable record.
        MachineError: If the folder cannot be written.
    """
    # Late, because pandas and matplotlib take a second to load and other verbs need neither.
    from harness.analysis.run.finalize import finalize
    from harness.report.write import write_report

    analysis = finalize(folder)
    return analysis, write_report(analysis)


def _usage(where: str, found: str, rule: str, hint: str | None = None) -> ScenarioError:
    return ScenarioError([ScenarioProblem(where, "", found, rule, hint)])


def _report_history(folder: Path, metrics: Sequence[str], out: Path | None, *, quiet: bool) -> None:
    """Write a history's page with its charts, and print its tables."""
    from harness.analysis.decide.history import METRICS, read_history
    from harness.core.metrics import SUMMARY_METRICS, find_metric
    from harness.report.decide.history_page import draw_history, render_history, tables, title
    from harness.report.write import write_page
    from harness.scenario.spelling import did_you_mean

    for name in metrics:
        if find_metric(name) is None:
            rule, example = "must be a figure of the run's summary", f"for example {METRICS[0]}"
            raise _usage("--metric", name, rule, did_you_mean(name, SUMMARY_METRICS) or example)
    found = read_history(folder, tuple(metrics) or METRICS)
    page = out or folder / HISTORY_PAGE
    charts = draw_history(found)
    write_page(page, render_history(found, charts), [one for each in charts for one in each])
    if quiet:
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else HISTORY_WIDTH)
    for series, table in zip(found.series, tables(found), strict=True):
        console.print(Text(title(series), style="bold"), soft_wrap=True)
        console.print(_history_grid(table))
        if table.note:
            console.print(_paragraph(table.note, console))
        console.print()
    for path, reason in found.skipped:
        console.print(Text(f"skipped: {path}: {reason}", style="yellow"), soft_wrap=True)
    console.print(Text(f"page: {page}"), soft_wrap=True)


def _history_grid(table: "Cells") -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(*(Text(name, style="dim") for name in table.columns))
    for row in table.rows:
        grid.add_row(*(Text(_plain(cell.text), COLOURS.get(cell.tone, "")) for cell in row))
    return grid


def show(analysis: "Analysis", page: Path) -> None:
    """Print the headline of a report to stdout, and tell GitHub Actions where it runs there."""
    width = None if sys.stdout.isatty() else LOG_WIDTH
    print_headline(analysis, page, Console(highlight=False, width=width))
    tell_github(analysis)


def print_headline(analysis: "Analysis", page: Path, console: Console) -> None:
    """Print verdict, story, the figures that matter, objectives, warnings and the page's path."""
    _print_verdict(analysis, console)
    console.print()
    console.print(_figures(analysis))
    _print_objectives(analysis, console)
    _print_warnings(analysis, console)
    console.print()
    console.print(Text(f"report: {page}"), soft_wrap=True)


def print_judgement(analysis: "Analysis", console: Console) -> None:
    """Print verdict, story, objectives with their margins, and warnings."""
    _print_verdict(analysis, console)
    _print_objectives(analysis, console, margins=True)
    _print_warnings(analysis, console)


def _print_verdict(analysis: "Analysis", console: Console) -> None:
    from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS, advise, tell

    verdict = analysis.summary["verdict"]
    colour = COLOURS[verdict]
    mark = Text(f"{VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}", style=f"bold {colour}")
    workload = analysis.record.workload.get("name", "unknown workload")
    target = analysis.record.target.get("name", "unknown target")
    console.print(mark, Text(f" {workload} on {target}", style="bold"), sep="")
    console.print(_paragraph(tell(analysis), console))
    if advice := advise(analysis):
        console.print(_paragraph(f"hint: {advice}", console))


def _figures(analysis: "Analysis") -> Table:
    from harness.report.html import headline

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(style="dim")
    for tile in headline(analysis.summary):
        figures = "  ".join(f"{figure.name} {figure.text}".strip() for figure in tile.figures)
        unit = tile.unit if tile.unit.startswith("/") else f" {tile.unit}"
        table.add_row(tile.title, _plain(figures + unit.rstrip()), _plain(tile.detail))
    return table


def _print_objectives(analysis: "Analysis", console: Console, *, margins: bool = False) -> None:
    from harness.report.run.tables import objectives

    rows = objectives(analysis.summary).rows
    if not rows:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, verdict, observed, required, margin in rows:
        style = COLOURS.get(verdict.tone, "")
        cells = [name.text, observed.text, required.text]
        cells += [f"margin {margin.text}"] if margins else []
        table.add_row(Text(verdict.text, style=style), *map(_plain, cells))
    console.print()
    console.print(table)


def _print_warnings(analysis: "Analysis", console: Console) -> None:
    from harness.report.summary_text import evidence

    for warning in analysis.summary["warnings"]:
        console.print()
        console.print(Text(_plain(f"warning: {warning['code']}{evidence(warning)}")))
        if warning["hint"]:
            console.print(Text(_plain(f"hint: {warning['hint']}")))


def _paragraph(text: str, console: Console) -> Text:
    """Wrap a text as rich does not: never between a figure and its unit."""
    return Text(_plain(textwrap.fill(text, console.width, break_long_words=False)))


def _plain(text: str) -> str:
    """Replace the thin spaces of the page, which terminals draw badly."""
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")
