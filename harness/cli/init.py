"""``harness init``: write a small load-test project of one's own."""

import contextlib
import errno
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.core.errors import MachineError

if TYPE_CHECKING:
    from harness.cli.starter.project import Project

DEFAULT_SYSTEM = "appsync-events"


def _completed(incomplete: str) -> list[str]:
    """Complete the name of a system in the shell."""
    from harness.core.system import installed_systems

    return [name for name in installed_systems() if name.startswith(incomplete)]


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where to write it, such as a new folder.")
    ] = Path(),
    system: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=_completed,
            help="Which system your service is.  [default: asked for; appsync-events without a "
            "terminal]",
        ),
    ] = None,
) -> None:
    """Write a load test of your own: scenarios, users, and a workflow that judges it in CI.

    The project runs at once, against an emulator of the system. Nothing is overwritten: README.md
    and .gitignore stay as they are; where another file of the project exists, nothing is written.
    """
    from harness.cli.starter.project import OPTIONAL, new_project
    from harness.core.system import system_named

    _require_free(folder)
    chosen = system_named(_asked() if system is None else system)
    top = _repository(folder)
    project = new_project(chosen, Path(os.path.relpath(folder, top)).as_posix())
    kept = [path for path in OPTIONAL if os.path.lexists(folder / path)]
    files = {path: text for path, text in project.files.items() if path not in kept}
    _write(folder, files)
    typer.echo(f"wrote {len(files)} files for {chosen.title} to {folder.resolve()}\n")
    typer.echo(_next_steps(folder, top, project, kept))


def _require_free(folder: Path) -> None:
    """Raise MachineError where something is that the project would be mixed with, or no place."""
    from harness.cli.starter.project import NEW

    try:
        Path.cwd()
    except OSError as error:  # The working directory has been deleted.
        raise _unusable(Path("working directory"), error) from None
    if os.path.lexists(folder) and not folder.is_dir():
        raise _unusable(folder, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if found := [str(path) for path in NEW if os.path.lexists(folder / path)]:
        raise MachineError(
            str(folder.resolve()),
            f"holds {', '.join(found)}",
            "init overwrites nothing",
            "harness init load-test writes to a folder of its own",
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


def _next_steps(folder: Path, top: Path, project: "Project", kept: Collection[Path]) -> str:
    from harness.cli.starter.project import GITIGNORE, REQUIREMENTS, WORKFLOW, how_to_load

    steps = [] if folder.resolve() == Path.cwd() else [f"cd {folder}"]
    steps.append(f"harness run live --target {project.target} --locustfile locustfile.py")
    lines = ["next:", *(f"  {step}" for step in steps)]
    lines += ["", f"your own service: {how_to_load(project.variables)}"]
    if GITIGNORE in kept:
        lines += ["", f"for git: add the line reports/ to {GITIGNORE}"]
    if not project.is_installable:
        lines += ["", f"for CI: write into {REQUIREMENTS} where fanout-harness comes from"]
    if top != folder.resolve():
        lines += ["", f"for GitHub: move {WORKFLOW} to the same place in {top}"]
    return "\n".join(lines)
