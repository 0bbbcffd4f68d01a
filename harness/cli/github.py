"""Telling GitHub Actions how a run ended: a step summary and annotations, when run there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.core.errors import MachineError

if TYPE_CHECKING:
    from harness.analysis.run.finalize import Analysis

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
ACTIONS_VARIABLE = "GITHUB_ACTIONS"


def tell_github(analysis: "Analysis") -> None:
    """Add the verdict to the job's page and annotate it; nothing outside of GitHub Actions.

    Annotations go to stderr, which the runner reads too, so that stdout stays what was asked for.
    """
    from harness.report.markdown import render_markdown
    from harness.report.run.github import annotations

    if os.environ.get(ACTIONS_VARIABLE) == "true":
        for line in annotations(analysis.summary):
            typer.echo(line, err=True)
    add_to_step_summary(lambda: render_markdown(analysis))


def add_to_step_summary(text: Callable[[], str]) -> None:
    """Append Markdown to the job's page, if there is one.

    Raises:
        MachineError: If the file that stands for the page cannot be written.
    """
    path = os.environ.get(SUMMARY_VARIABLE)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as page:
            page.write(text() + "\n")
    except OSError as error:
        found = f"{path} cannot be written ({(error.strerror or str(error)).lower()})"
        raise MachineError(SUMMARY_VARIABLE, found, "it must name a writable file") from None
