"""``harness systems``: list the systems that are installed."""

import typer

from harness.core.system import PARTS, Registration, System, registrations


def systems() -> None:
    """List the installed systems, the parts of each, and the package that it comes from.

    A package adds a system by an entry point of the group harness.systems. One that does not work
    is listed last, with the reason.
    """
    working = [(found, found.system) for found in registrations() if found.system]
    rows = [_row(found, system) for found, system in working]
    heading = ("NAME", "TITLE", "PACKAGE", "MODULE", "PARTS")
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    for row in (heading, *rows):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
    for found in registrations():
        if found.problem:
            typer.echo(f"\nbroken: {found}")


def _row(found: Registration, system: System) -> tuple[str, ...]:
    package = f"{found.distribution} {found.version}"
    module, _, _ = found.reference.partition(":")
    parts = [part.replace("_", " ") for part in PARTS if getattr(system, part)]
    return system.name, system.title, package, module, ", ".join(parts)
