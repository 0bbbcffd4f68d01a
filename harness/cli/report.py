"""``harness report``: judge a run record and write its report."""

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.github import tell_github

if TYPE_CHECKING:
    from harness.analysis.finalise import Analysis

LOG_WIDTH = 120
"""Columns where stdout is no terminal; pipelines' logs have room."""

COLOURS = {"pass": "green", "fail": "red", "invalid": "yellow", "no_data": "blue"}


def report(
    run: Annotated[Path, typer.Argument(help="The run's own folder.", metavar="RUN")],
    quiet: Annotated[  # noqa: FBT002 - typer's way to say that a flag is off
        bool, typer.Option("--quiet", "-q", help="Print nothing; the exit code tells.")
    ] = False,
) -> None:
    """Judge a run's record and write its report, again if need be.

    Works on a finished run, and on what a run that was killed left behind. Writes report.html,
    summary.md, junit.xml and charts/ into the run's folder. The exit code is the run's.

    Raises:
        Exit: Always, with the run's exit code.
    """
    # Late, because pandas and matplotlib take a second to load and other verbs need neither.
    from harness.analysis.finalise import finalise
    from harness.report.write import write_report

    analysis = finalise(run)
    page = write_report(analysis)
    if not quiet:
        show(analysis, page)
    raise typer.Exit(int(analysis.summary["exit_code"]))


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
    from harness.report.story import VERDICT_MARKS, VERDICT_WORDS, advise, tell

    verdict = analysis.summary["verdict"]
    colour = COLOURS[verdict]
    mark = Text(f"{VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}", style=f"bold {colour}")
    names = (analysis.record.workload.get("name"), analysis.record.target.get("name"))
    console.print(mark, Text(f" {names[0]} on {names[1]}", style="bold"), sep="")
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
    from harness.report.tables import objectives

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
    from harness.report.story import evidence

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
