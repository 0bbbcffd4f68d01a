"""``harness emulate``: play a system on this machine until told to stop."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from harness.cli.emulated_api import Api, Emulated, describe, options_of
from harness.cli.scenario_files import scenario_argument
from harness.core.child_errors import encode_error
from harness.core.errors import ScenarioError, ScenarioProblem, error_lines
from harness.core.system import system_named

if TYPE_CHECKING:
    from harness.scenario.target import Target

SET = "--set"

FROM_RUN = Path("/dev/stdin")
"""With --exit-with-parent: a run hands over its target on standard input, its file read already."""

_STDIN = 0


def emulate(
    targets: Annotated[
        list[Path],
        scenario_argument(
            "targets", "Targets of emulated systems, files or names, one API each.", "TARGET..."
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            SET,
            metavar="KEY=VALUE",
            help="Override a field of each target, as target.emulator.port=8080. Repeatable.",
        ),
    ] = None,
    as_json: Annotated[  # noqa: FBT002 - typer's way to say that a flag is off
        bool, typer.Option("--json", help="Print one line of JSON an API when it serves.")
    ] = False,
    exit_with_parent: Annotated[  # noqa: FBT002 - as above
        bool, typer.Option("--exit-with-parent", help="Stop at the end of standard input too.")
    ] = False,
) -> None:
    """Play systems on this machine, as their target files say, until Ctrl-C.

    Prints the addresses and an API key of each once it accepts connections. SIGHUP makes it read
    the files again: namespaces, credentials and handlers change, connections stay.
    """
    try:
        _play(targets, overrides or (), as_json=as_json, exit_with_parent=exit_with_parent)
    except Exception as error:
        if as_json:
            typer.echo(encode_error(error))
        raise


def _play(
    targets: Sequence[Path], overrides: Sequence[str], *, as_json: bool, exit_with_parent: bool
) -> None:
    from harness.cli.emulate_page import page, warning
    from harness.emulation.supervisor import Signals, supervise

    given = exit_with_parent and targets == [FROM_RUN]
    scenarios = _target_of_run() if given else _load_all(targets, overrides)
    with Signals() as signals, ExitStack() as serving:
        apis = [_start(file, target, serving) for file, target in scenarios.items()]
        for api in apis:
            emulated = describe(api)
            typer.echo(_json_line(emulated) if as_json else page(api, emulated))
            if told := warning(api):
                typer.secho(told, err=True, fg="red", bold=True)
        supervise(
            [api.processes for api in apis],
            signals,
            reload=(lambda: None) if given else (lambda: _reload(apis, overrides)),
            until_stdin_ends=exit_with_parent,
        )


def _target_of_run() -> dict[Path, "Target"]:
    from harness.scenario.resolved import decode_target

    # Unbuffered: whatever follows the first line is an order for the running emulator.
    with open(_STDIN, "rb", buffering=0, closefd=False) as stdin:
        file, target = decode_target(stdin.readline())
    return {Path(file): target}


def _load_all(files: Sequence[Path], overrides: Sequence[str]) -> dict[Path, "Target"]:
    """Return what all target files say, or raise with the problems of all of them."""
    loaded: dict[Path, Target] = {}
    problems: list[ScenarioProblem] = []
    for file in files:
        try:
            loaded[file] = _load(file, overrides)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return loaded


def _load(file: Path, overrides: Sequence[str]) -> "Target":
    from harness.scenario.loading import load_emulated_target

    return load_emulated_target(file, overrides)


def _start(file: Path, target: "Target", serving: ExitStack) -> Api:
    system = system_named(target.system).load("emulator")
    try:
        return Api(file, target, system, serving.enter_context(system.start(target.emulator)))
    except ScenarioError as error:
        # Its processes know what they could not load, but not which file says so.
        raise ScenarioError(
            [replace(problem, file=f"{file}: {problem.file}") for problem in error.problems]
        ) from None


def _reload(apis: Sequence[Api], overrides: Sequence[str]) -> None:
    """Read the target files again; one that is wrong changes nothing."""
    for api in apis:
        try:
            options = options_of(_load(api.file, overrides))
        except ScenarioError as error:
            typer.echo(error_lines(error), err=True)
            typer.echo(f"{api.file}: not reloaded, the old settings stay", err=True)
            continue
        for key in options.changed_until_restart(options_of(api.target)):
            typer.echo(f"{api.file}: emulator.{key} changes at the next start", err=True)
        api.processes.reload(options.model_dump(mode="json"))


def _json_line(emulated: Emulated) -> str:
    return orjson.dumps(emulated._asdict()).decode()
