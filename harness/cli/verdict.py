"""The verdict of a run on the terminal, and on GitHub Actions where it runs there."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Column
from rich.text import Text

from harness.cli.output import give
from harness.cli.terminal import COLOURS, grid, paragraph, plain, print_table, stdout_console
from harness.core.errors import MachineError, os_reason

if TYPE_CHECKING:
    from harness.analysis.run.finalize import Analysis

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
ACTIONS_VARIABLE = "GITHUB_ACTIONS"


def show(analysis: "Analysis", page: Path) -> None:
    """Report to GitHub Actions, and print the headline of a report to stdout."""
    report_to_github(analysis)  # It may fail; then nothing is to say that the run passed.
    give(
        lambda: run_json(analysis) | {"report": str(page)},
        lambda: print_headline(analysis, page, stdout_console()),
        lambda: verdict_line(analysis),
    )


def run_json(analysis: "Analysis") -> dict[str, Any]:
    """Return verdict, objectives, warnings and all figures of a run under stable names."""
    from harness.analysis.run.finalize import verdict_json
    from harness.analysis.run.slo import figures_of

    record = analysis.record
    found = {"folder": str(record.folder), "figures": figures_of(analysis.summary)}
    return verdict_json(analysis) | {"cause": record.run.get("cause")} | found


def verdict_line(analysis: "Analysis") -> str:
    """Return the verdict of a run with its mark, its workload and its target."""
    return f"{_mark(analysis)} {_title(analysis)}"


def _mark(analysis: "Analysis") -> str:
    from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS

    verdict = analysis.summary["verdict"]
    return f"{VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}"


def _title(analysis: "Analysis") -> str:
    workload = analysis.record.workload.get("name", "unknown workload")
    return f"{workload} on {analysis.record.target.get('name', 'unknown target')}"


def print_headline(analysis: "Analysis", page: Path, console: Console) -> None:
    """Print verdict, summary text, main figures, objectives, warnings and the page's path."""
    _print_verdict(analysis, console)
    console.print()
    _print_figures(analysis, console)
    _print_objectives(analysis, console)
    _print_warnings(analysis, console)
    console.print()
    console.print(Text(f"report: {page}"), soft_wrap=True)


def print_judgement(analysis: "Analysis", console: Console, *, every: bool = False) -> None:
    """Print verdict, summary text, objectives with their margins, and warnings.

    ``every`` adds all figures, also those without an objective.
    """
    from harness.report.run.tables import figures_table

    _print_verdict(analysis, console)
    _print_objectives(analysis, console, margins=True)
    _print_warnings(analysis, console)
    if every:
        console.print()
        print_table(figures_table(analysis.summary), console)


def _print_verdict(analysis: "Analysis", console: Console) -> None:
    from harness.report.summary_text import advise, summary_text

    mark = Text(_mark(analysis), style=f"bold {COLOURS[analysis.summary['verdict']]}")
    console.print(mark, Text(_title(analysis), style="bold"))
    console.print(paragraph(summary_text(analysis), console))
    if advice := advise(analysis):
        console.print(paragraph(f"hint: {advice}", console))


def _print_figures(analysis: "Analysis", console: Console) -> None:
    from harness.report.html import headline

    rows = []
    for tile in headline(analysis.summary):
        figures = "  ".join(f"{figure.name} {figure.text}".strip() for figure in tile.figures)
        unit = tile.unit if tile.unit.startswith("/") else f" {tile.unit}"
        rows.append((tile.title, figures + unit.rstrip(), tile.detail))
    styles = Column(style="dim", no_wrap=True), Column(style="bold", no_wrap=True)
    console.print(grid([*styles, Column(style="dim")], rows))


def _print_objectives(analysis: "Analysis", console: Console, *, margins: bool = False) -> None:
    from harness.report.run.tables import objectives

    rows: list[list[str | Text]] = []
    for name, verdict, observed, required, margin in objectives(analysis.summary).rows:
        mark = Text(verdict.text, style=COLOURS.get(verdict.tone, ""))
        rows.append([mark, name.text, observed.text, required.text])
        rows[-1] += [f"margin {margin.text}"] if margins else []
    if rows:
        console.print()
        console.print(grid([Column() for _ in rows[0]], rows))


def _print_warnings(analysis: "Analysis", console: Console) -> None:
    from harness.report.summary_text import evidence

    for warning in analysis.summary["warnings"]:
        console.print()
        console.print(Text(plain(f"warning: {warning['code']}{evidence(warning)}")))
        if warning["hint"]:
            console.print(Text(plain(f"hint: {warning['hint']}")))


def report_to_github(analysis: "Analysis") -> None:
    """Annotate the job and add the verdict to its page; does nothing outside of GitHub Actions."""
    from harness.report.markdown import render_markdown
    from harness.report.run.ci import annotations

    annotate(annotations(analysis.summary, analysis.record.run))
    add_to_step_summary(lambda: render_markdown(analysis))


def annotate(lines: Iterable[str]) -> None:
    """Print annotations where this runs on GitHub Actions, whose runner reads stderr too."""
    if os.environ.get(ACTIONS_VARIABLE) == "true":
        for line in lines:
            typer.echo(line, err=True)


def add_to_step_summary(text: Callable[[], str]) -> None:
    """Append Markdown to the summary page of the GitHub job, if there is one.

    Raises:
        MachineError: If the file of the page cannot be written.
    """
    path = os.environ.get(SUMMARY_VARIABLE)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as page:
            page.write(text() + "\n")
    except OSError as error:
        found = f"{path} cannot be written ({os_reason(error)})"
        raise MachineError(SUMMARY_VARIABLE, found, "it must name a writable file") from None
