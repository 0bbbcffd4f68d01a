"""``harness examples`` and ``harness systems``: list scenarios and installed systems."""

import textwrap
from typing import Annotated

import typer

from harness.cli.options import completion
from harness.cli.terminal import aligned
from harness.core.system import PARTS, Registration, System, registrations
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
            help="Print the path and the description of this scenario.",
            autocompletion=completion(*KINDS),
        ),
    ] = None,
) -> None:
    """List the workloads, targets, studies and SLOs that can be given by name.

    Scenarios in ./scenarios come first, then those shipped with the harness.
    """
    if name is None:
        _list_all()
        return
    for file in scenario_files(name):
        typer.echo(f"{file.resolve()}\n{textwrap.indent(opening_comment(file), '  ')}")


def _list_all() -> None:
    for kind in KINDS:
        typer.echo(kind)
        rows = [(name, summary(scenario_file(kind, name))) for name in known_names(kind)]
        shown = [
            (f"  {name}", textwrap.shorten(text, _WIDTH, placeholder=" …")) for name, text in rows
        ]
        typer.echo("\n".join(aligned(shown)))
    root = shipped_root()
    places = {"files": "scenarios", "pages": "docs", "dashboard": "deploy/grafana/fan-out.json"}
    typer.echo("".join(f"\n{what}: {root / place}" for what, place in places.items()))


def systems() -> None:
    """List the installed systems, with the parts and the package of each.

    A package registers a system as an entry point of the group harness.systems. Systems that fail
    to load are listed last, with the reason.
    """
    working = [(found, found.system) for found in registrations() if found.system]
    rows = [_row(found, system) for found, system in working]
    heading = ("NAME", "TITLE", "PACKAGE", "MODULE", "PARTS")
    typer.echo("\n".join(aligned([heading, *rows])))
    for found in registrations():
        if found.problem:
            typer.echo(f"\nbroken: {found}")


def _row(found: Registration, system: System) -> tuple[str, ...]:
    package = f"{found.distribution} {found.version}"
    module, _, _ = found.reference.partition(":")
    parts = [part.replace("_", " ") for part in PARTS if getattr(system, part)]
    return system.name, system.title, package, module, ", ".join(parts)
