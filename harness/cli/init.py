"""``harness init``: write a new load-test project."""

import contextlib
import errno
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.terminal import aligned
from harness.core.errors import MachineError

if TYPE_CHECKING:
    from harness.cli.starter.project import Project

DEFAULT_SYSTEM = "appsync-events"


def _completed(incomplete: str) -> list[str]:
    from harness.core.system import installed_systems

    return [name for name in installed_systems() if name.startswith(incomplete)]


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Folder of the project.")
    ] = Path(),
    system: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=_completed,
            help="System of your service.  [default: prompt; appsync-events without a terminal]",
        ),
    ] = None,
) -> None:
    """Create a load-test project: scenarios, a locustfile and a CI workflow.

    The project runs against an emulator of the system. Existing files are never overwritten:
    README.md and .gitignore are kept, and if any other file of the project exists, nothing is
    written.
    """
    from harness.cli.starter.project import OPTIONAL, new_project
    from harness.core.system import system_named

    _require_free(folder)
    chosen = system_named(_prompt_for_system() if system is None else system)
    top = _repository(folder)
    project = new_project(chosen, Path(os.path.relpath(folder, top)).as_posix())
    kept = [path for path in OPTIONAL if os.path.lexists(folder / path)]
    files = {path: text for path, text in project.files.items() if path not in kept}
    _write(folder, files)
    typer.echo(f"wrote {len(files)} files for {chosen.title} to {folder.resolve()}\n")
    typer.echo(_next_steps(folder, top, project, kept))


def _require_free(folder: Path) -> None:
    """Raise MachineError where a file of the project exists, or the folder is unusable."""
    from harness.cli.starter.project import NEW

    if os.path.lexists(folder) and not folder.is_dir():
        raise _unusable(folder, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    if found := [str(path) for path in NEW if os.path.lexists(folder / path)]:
        raise MachineError(
            str(folder.resolve()),
            f"holds {', '.join(found)}",
            "init overwrites nothing",
            "harness init load-test writes to a new folder",
        )


def _prompt_for_system() -> str:
    """Prompt for a system; return the default without a terminal."""
    from harness.core.system import installed_systems

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        typer.echo(f"system: {DEFAULT_SYSTEM}; choose another with --system", err=True)
        return DEFAULT_SYSTEM
    systems = installed_systems()
    rows = [(f"  {name}", system.title) for name, system in systems.items()]
    typer.echo("\n".join(aligned(rows)), err=True)
    answer: str = typer.prompt("Which system is your service?", default=DEFAULT_SYSTEM, err=True)
    return answer.strip()


def _repository(folder: Path) -> Path:
    """Return the root of the git repository around a folder, or the folder itself."""
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
    return MachineError(str(folder), reason, "a writable folder is required")


def _next_steps(folder: Path, top: Path, project: "Project", kept: Collection[Path]) -> str:
    from harness.cli.starter.project import GITIGNORE, REQUIREMENTS, WORKFLOW, how_to_load

    steps = [] if folder.resolve() == Path.cwd() else [f"cd {folder}"]
    steps.append(f"harness run live --target {project.target} --locustfile locustfile.py")
    lines = ["next:", *(f"  {step}" for step in steps)]
    lines += ["", f"your own service: {how_to_load(project.variables)}"]
    if GITIGNORE in kept:
        lines += ["", f"for git: add the line reports/ to {GITIGNORE}"]
    if not project.is_installable:
        lines += ["", f"for CI: add the source of fanout-harness to {REQUIREMENTS}"]
    if top != folder.resolve():
        lines += ["", f"for GitHub: move {WORKFLOW} to the same place in {top}"]
    return "\n".join(lines)
