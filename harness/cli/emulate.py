"""``harness emulate``: play a system on this machine until told to stop."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from harness.core.errors import ScenarioError, ScenarioProblem

if TYPE_CHECKING:
    from harness.emulation.options import EmulatorOptions
    from harness.emulation.processes import EmulatorProcesses
    from harness.scenario.target import Target

SET = "--set"


class Emulated(NamedTuple):
    """A running emulator as clients need to know it; with ``--json``, this is what is printed.

    Attributes:
        http: Address for publishing over HTTP.
        realtime: Address for WebSockets.
        ca_file: PEM of the authority to trust; None without TLS.
        pids: The processes that serve.
        api_key: A key it lets in.
    """

    http: str
    realtime: str
    ca_file: str | None
    pids: list[int]
    api_key: str


def emulate(
    target: Annotated[Path, typer.Argument(help="Target file of an emulated system.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            SET,
            metavar="KEY=VALUE",
            help="Override a field of the target, as target.emulator.port=8080. Repeatable.",
        ),
    ] = None,
    as_json: Annotated[  # noqa: FBT002 - typer's way to say that a flag is off
        bool, typer.Option("--json", help="Print one line of JSON when it serves.")
    ] = False,
    exit_with_parent: Annotated[  # noqa: FBT002 - as above
        bool, typer.Option("--exit-with-parent", help="Stop at the end of standard input too.")
    ] = False,
) -> None:
    """Play a system on this machine, as its target file says, until Ctrl-C.

    Prints the addresses and an API key once it accepts connections.
    """
    from harness.emulation.processes import StopSignals

    scenario = load_emulated_target(target, overrides or ())
    options = emulator_options(scenario)
    system = import_module(f"harness.systems.{scenario.system.replace('-', '_')}.emulator")
    with StopSignals() as stop, system.start(options) as processes:
        emulated = describe(system, options, processes)
        typer.echo(_json_line(emulated) if as_json else _page(scenario, system, emulated))
        processes.wait(stop, until_stdin_ends=exit_with_parent)


def load_emulated_target(file: Path, overrides: Sequence[str]) -> "Target":
    """Read the target file of an emulated system and apply the command line.

    Raises:
        ScenarioError: With every problem of the file and the flags, or if it is not emulated.
    """
    from pydantic import ValidationError

    from harness.scenario.overrides import TARGET_PREFIX, apply_overrides
    from harness.scenario.problems import Source, problems_of
    from harness.scenario.reading import read_source
    from harness.scenario.target import Target
    from harness.scenario.workload import Workload

    problems: list[ScenarioProblem] = []
    source = read_source(file, Target, problems)
    source.key_prefix = TARGET_PREFIX
    foreign = [override for override in overrides if not override.startswith(TARGET_PREFIX)]
    rule, hint = f"must start with {TARGET_PREFIX}", "an emulator has no workload"
    problems += [ScenarioProblem(SET, "", override, rule, hint) for override in foreign]
    ours = [override for override in overrides if override not in foreign]
    problems += apply_overrides(ours, Source(file=SET, data={}, model=Workload), source)
    target = None
    if source.readable:
        try:
            target = Target.model_validate(source.data)
        except ValidationError as error:
            problems += problems_of(error, source)
    if target is not None and not target.emulated:
        rule, hint = "must be true", "the file describes a system that runs elsewhere"
        problems.append(source.problem("emulated", "false", rule, hint))
    if problems or target is None:
        raise ScenarioError(problems)
    return target


def emulator_options(target: "Target") -> "EmulatorOptions":
    """Return the options of an emulated target as its emulator takes them."""
    from harness.emulation.options import EmulatorOptions

    given = target.emulator.model_dump(exclude_none=True) if target.emulator else {}
    return EmulatorOptions(**given)


def describe(system: Any, options: "EmulatorOptions", processes: "EmulatorProcesses") -> Emulated:
    """Return what clients need to know of a running emulator."""
    place = f"{options.host}:{processes.port}"
    secure = "s" if options.tls else ""
    return Emulated(
        http=f"http{secure}://{place}{system.HTTP_PATH}",
        realtime=f"ws{secure}://{place}{system.REALTIME_PATH}",
        ca_file=str(processes.folder / "ca.pem") if options.tls else None,
        pids=processes.pids,
        api_key=options.api_keys[0],
    )


def _json_line(emulated: Emulated) -> str:
    import orjson

    return orjson.dumps(emulated._asdict()).decode()


def _page(target: "Target", system: Any, emulated: Emulated) -> str:
    ca_file = Path(emulated.ca_file) if emulated.ca_file else None
    count = len(emulated.pids)
    processes = "1 process" if count == 1 else f"{count} processes"
    lines = [
        f"{target.name} serves in {processes}; Ctrl-C stops it.",
        f"  publish    {emulated.http}",
        f"  realtime   {emulated.realtime}",
        f"  API key    {emulated.api_key}",
        *([f"  authority  {ca_file}"] if ca_file else []),
        f"  try it     {system.try_it(emulated.http, emulated.api_key, ca_file)}",
    ]
    return "\n".join(lines)
