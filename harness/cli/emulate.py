"""``harness emulate``: run emulators on this machine until stopped."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from harness.cli.emulated_api import Api, describe, options_of, page, warning
from harness.cli.options import Overrides, load_each, scenario_argument
from harness.cli.output import OUTPUT
from harness.core.child_errors import encode_error
from harness.core.errors import MachineError, ScenarioError, error_lines
from harness.core.system import system_named

if TYPE_CHECKING:
    from harness.scenario.target import Target

FROM_RUN = Path("/dev/stdin")
"""With --exit-with-parent: a run sends its target, already read, on standard input."""

_STDIN = 0
_REQUIRED = ("start", "HTTP_PATH", "REALTIME_PATH")
"""What the command reads of an emulator."""


def emulate(
    targets: Annotated[
        list[Path],
        scenario_argument(
            "targets", "Target files or names of emulated systems, one API each.", "TARGET..."
        ),
    ],
    *,
    overrides: Overrides = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each address as a line of JSON instead of text.")
    ] = False,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="Also stop at the end of standard input.")
    ] = False,
) -> None:
    """Emulate systems on this machine until Ctrl-C.

    Prints the addresses and an API key of each emulator once it accepts connections. SIGHUP reloads
    the target files: namespaces, credentials and handlers change, connections stay open.
    """
    OUTPUT.as_json = False  # Its JSON is a line for each emulator, or for the error.
    try:
        _serve(targets, overrides or (), as_json=as_json, exit_with_parent=exit_with_parent)
    except Exception as error:
        if as_json:
            typer.echo(encode_error(error))
        raise


def _serve(
    targets: Sequence[Path], overrides: Sequence[str], *, as_json: bool, exit_with_parent: bool
) -> None:
    from harness.emulation.supervisor import Signals, supervise

    given = exit_with_parent and targets == [FROM_RUN]
    scenarios = (
        _target_of_run() if given else load_each(targets, lambda file: _load(file, overrides))
    )
    with Signals() as signals, ExitStack() as serving:
        apis = [_start(file, target, serving) for file, target in scenarios.items()]
        for api in apis:
            emulated = describe(api)
            typer.echo(orjson.dumps(emulated._asdict()) if as_json else page(api, emulated))
            if text := warning(api):
                typer.secho(text, err=True, fg="red", bold=True)
        supervise(
            [api.processes for api in apis],
            signals,
            reload=(lambda: None) if given else (lambda: _reload(apis, overrides)),
            until_stdin_ends=exit_with_parent,
        )


def _target_of_run() -> dict[Path, "Target"]:
    from harness.scenario.resolved import decode_target

    # Unbuffered: the lines after the first are commands for the running emulator.
    with open(_STDIN, "rb", buffering=0, closefd=False) as stdin:
        file, target = decode_target(stdin.readline())
    return {Path(file): target}


def _load(file: Path, overrides: Sequence[str]) -> "Target":
    from harness.scenario.loading import load_emulated_target

    return load_emulated_target(file, overrides)


def _start(file: Path, target: "Target", serving: ExitStack) -> Api:
    system = _emulator_of(target.system)
    try:
        return Api(file, target, system, serving.enter_context(system.start(target.emulator)))
    except ScenarioError as error:
        # The processes know what they could not load, but not which target file names it.
        raise ScenarioError(
            [replace(problem, file=f"{file}: {problem.file}") for problem in error.problems]
        ) from None


def _emulator_of(name: str) -> Any:
    system = system_named(name)
    emulator = system.load("emulator")
    if missing := [one for one in _REQUIRED if not hasattr(emulator, one)]:
        raise MachineError(
            f"system {name}",
            f"its emulator {system.emulator} has no {missing[0]}",
            "a class that extends harness.emulation.emulated_service.EmulatedService is required",
            "see docs/adding-a-system.md of the harness",
        )
    return emulator


def _reload(apis: Sequence[Api], overrides: Sequence[str]) -> None:
    """Read the target files again; an invalid file changes nothing."""
    for api in apis:
        try:
            options = options_of(_load(api.file, overrides))
        except ScenarioError as error:
            typer.echo(error_lines(error), err=True)
            typer.echo(f"{api.file}: not reloaded, the previous settings stay in effect", err=True)
            continue
        for key in options.changed_until_restart(options_of(api.target)):
            typer.echo(f"{api.file}: emulator.{key} takes effect at the next start", err=True)
        api.processes.reload(options.model_dump(mode="json"))
