"""``harness init``: write a small load-test project of one's own."""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.core.errors import MachineError

if TYPE_CHECKING:
    from harness.cli.starter.project import Project

DEFAULT_SYSTEM = "appsync-events"

_KEPT = {".git", ".venv", "venv"}
"""What a folder may hold that counts as empty: a new repository, and an environment."""


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="A new or an empty folder.  [default: .]")
    ] = Path(),
    system: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which system your service is.  [default: asked for; appsync-events without a "
            "terminal]",
        ),
    ] = None,
) -> None:
    """Write a load test of your own: scenarios, users, and a workflow that judges it in CI.

    The project runs at once, against an emulator of the system. Nothing is overwritten.
    """
    from harness.cli.starter.project import new_project
    from harness.core.system import system_named

    _require_empty(folder)
    chosen = system_named(system or _asked())
    top = _repository(folder)
    project = new_project(chosen, Path(os.path.relpath(folder, top)).as_posix())
    _write(folder, project.files)
    typer.echo(f"wrote {len(project.files)} files for {chosen.title} to {folder.resolve()}\n")
    typer.echo(_next_steps(folder, top, project))


def _require_empty(folder: Path) -> None:
    try:
        found = {entry.name for entry in folder.iterdir()} - _KEPT if folder.exists() else set()
    except OSError as error:
        raise _unusable(folder, error) from None
    if found:
        raise MachineError(
            str(folder.resolve()),
            f"is not empty, it holds {min(found)}",
            "init needs a new or an empty folder",
            "harness init load-test makes a new one",
        )


def _asked() -> str:
    """Return which system the user names, or the default where no terminal can answer."""
    from harness.core.system import installed_systems

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        typer.echo(f"system: {DEFAULT_SYSTEM}; --system names another", err=True)
        return DEFAULT_SYSTEM
    systems = installed_systems()
    width = max(map(len, systems))
    for name, system in systems.items():
        typer.echo(f"  {name:<{width}}  {system.title}", err=True)
    answer: str = typer.prompt("Which system is your service?", default=DEFAULT_SYSTEM, err=True)
    return answer.strip()


def _repository(folder: Path) -> Path:
    """Return the top of the git repository around a folder; the folder itself where none is."""
    whole = folder.resolve()
    return next((each for each in (whole, *whole.parents) if (each / ".git").exists()), whole)


def _write(folder: Path, texts: Mapping[Path, str]) -> None:
    """Write all files, or none."""
    made: list[Path] = []
    try:
        for path, text in texts.items():
            file = folder / path
            missing = [each for each in (file, *file.parents) if not each.exists()]
            file.parent.mkdir(parents=True, exist_ok=True)
            made += reversed(missing)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        for each in reversed(made):
            with contextlib.suppress(OSError):
                each.rmdir() if each.is_dir() else each.unlink()
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: OSError) -> MachineError:
    reason = (error.strerror or "cannot be written").lower()
    return MachineError(str(folder), reason, "init needs a folder that it may write")


def _next_steps(folder: Path, top: Path, project: "Project") -> str:
    from harness.cli.starter.project import WORKFLOW, how_to_load

    steps = [] if folder.resolve() == Path.cwd() else [f"cd {folder}"]
    steps.append(f"harness run live --target {project.target} --locustfile locustfile.py")
    lines = ["next:", *(f"  {step}" for step in steps)]
    lines += ["", f"your own service: {how_to_load(project.variables)}"]
    if top != folder.resolve():
        lines += ["", f"for GitHub: move {WORKFLOW} to the same place in {top}"]
    return "\n".join(lines)
