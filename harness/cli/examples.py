"""``harness examples``: list the scenarios that can be given by name."""

import textwrap
from typing import Annotated

import typer

from harness.cli.scenario_files import completion
from harness.scenario.shipped import (
    KINDS,
    known_names,
    opening_comment,
    scenario_file,
    scenario_files,
    shipped_root,
    summary,
)

_WIDTH = 88


def examples(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Print the path of this one and what it says of itself.",
            autocompletion=completion(*KINDS),
        ),
    ] = None,
) -> None:
    """List the workloads, targets, studies and SLOs that any command takes by name.

    Those in ./scenarios come first, then those that come with the harness.
    """
    if name is None:
        _list_all()
        return
    for file in scenario_files(name):
        typer.echo(f"{file.resolve()}\n{textwrap.indent(opening_comment(file), '  ')}")


def _list_all() -> None:
    for kind in KINDS:
        typer.echo(kind)
        names = known_names(kind)
        width = max(map(len, names))
        for name in names:
            about = summary(scenario_file(kind, name))
            typer.echo(f"  {name:<{width}}  {textwrap.shorten(about, _WIDTH, placeholder=' …')}")
    root = shipped_root()
    places = {"files": "scenarios", "pages": "docs", "dashboard": "deploy/grafana/fan-out.json"}
    typer.echo("".join(f"\n{what}: {root / place}" for what, place in places.items()))
