"""The options and arguments that several subcommands share, and checks of their values."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from harness.core.errors import (
    MachineError,
    ScenarioError,
    ScenarioProblem,
    did_you_mean,
    os_reason,
)
from harness.scenario.shipped import known_names, scenario_file

T = TypeVar("T")
R = TypeVar("R")

REPORTS = Path("reports")
"""Where runs, sweeps, studies and comparisons are written without ``--out``."""

PACKAGED_LOCUSTFILE = Path(__file__).resolve().parents[1] / "load" / "locustfile.py"
"""The locustfile with the subscribers and chatters of every system."""

_LONGEST_NAME = 200


def completion(*kinds: str) -> Callable[[str], list[str]]:
    """Return the shell completion of scenario names."""

    def complete(incomplete: str) -> list[str]:
        names = [name for kind in kinds for name in known_names(kind)]
        return [name for name in names if name.startswith(incomplete)]

    return complete


def scenario_argument(kind: str, help_text: str, metavar: str) -> Any:
    """Return an argument that takes a scenario of one kind, by path or by name."""
    return typer.Argument(help=help_text, metavar=metavar, **_scenario(kind))


def scenario_option(kind: str, help_text: str, envvar: str | None = None) -> Any:
    """Return an option that takes a scenario of one kind, by path or by name."""
    return typer.Option(help=help_text, metavar="FILE|NAME", envvar=envvar, **_scenario(kind))


def _scenario(kind: str) -> dict[str, Any]:
    return {"parser": lambda given: scenario_file(kind, given), "autocompletion": completion(kind)}


WORKLOAD = scenario_argument("workloads", "Workload file or name: the load to make.", "WORKLOAD")
TARGET = scenario_option("targets", "Target file or name: the system to test.", "HARNESS_TARGET")
RUN = typer.Argument(metavar="RUN", help="Folder of a run.")

WorkloadFile = Annotated[Path, WORKLOAD]
TargetFile = Annotated[Path, TARGET]
RunFolder = Annotated[Path, RUN]
OutFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="Output folder.  [default: a folder in reports/]"),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a scenario field, such as publishing.rate_per_s=2 or "
        "target.emulator.port=8080. Repeatable.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Number of load processes.  [default: as many as the plan needs]",
        envvar="HARNESS_WORKERS",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="NAME",
        help="Name of the version under test, kept in the record.  [env: HARNESS_LABEL]",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="KEY=VALUE",
        help="A detail of the version under test, such as commit=1a2b3c4. Repeatable.  "
        "[env: HARNESS_TAGS, a=b,c=d]",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Run even if this machine is too small for the plan.")
]
Locustfile = Annotated[
    Path | None,
    typer.Option(
        "--locustfile",
        metavar="FILE",
        envvar="HARNESS_LOCUSTFILE",
        help="Run the user classes of this locustfile.  [default: subscribers and chatters only]",
    ),
]
LocustArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--locust-arg",
        metavar="ARG",
        help="Pass an argument to Locust, such as --locust-arg=--csv=run. Repeatable.",
    ),
]


def usage_error(where: str, found: str, rule: str, hint: str | None = None) -> ScenarioError:
    """Return the error of an option or argument with a wrong value."""
    return ScenarioError([ScenarioProblem(where, "", found, rule, hint)])


def load_each(given: Iterable[T], load: Callable[[T], R]) -> dict[T, R]:
    """Load each of several things; raise ScenarioError with the problems of all of them."""
    loaded: dict[T, R] = {}
    problems: list[ScenarioProblem] = []
    for one in given:
        try:
            loaded[one] = load(one)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return loaded


def require_known(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raise ScenarioError for each name that an option does not know."""
    rule = f"must be one of {', '.join(known)}"
    problems = [
        ScenarioProblem(option, "", name, rule, did_you_mean(name, known))
        for name in names
        if name not in known
    ]
    if problems:
        raise ScenarioError(problems)


def readable_locustfile(locustfile: Path | None) -> Path:
    """Return the locustfile to run: the given one, or that of the package.

    Raises:
        LocustfileError: If it cannot be read, or is no Python.
    """
    from harness.load.locustfile_loading import read_locustfile

    if locustfile is None:
        return PACKAGED_LOCUSTFILE
    read_locustfile(locustfile)
    return locustfile


def port_option(text: str) -> Any:
    """Return the option of a port, with its help text."""
    return typer.Option(metavar="N", min=1, max=65535, help=text)


def folder_exists(folder: Path) -> bool:
    """Return whether something exists at the path of an output folder.

    Raises:
        MachineError: If the path cannot be examined, for example because it is too long.
    """
    try:
        return folder.exists()
    except OSError as error:
        raise unusable_folder(folder, error) from None


def make_folder(folder: Path) -> None:
    """Create an output folder and its parents, unless it exists.

    Raises:
        MachineError: If it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_folder(folder, error) from None


def unusable_folder(folder: Path, error: OSError) -> MachineError:
    """Return the error of an output folder that cannot be made or examined."""
    found = f"cannot be written ({os_reason(error)})"
    name = str(folder)
    name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
    return MachineError(name, found, "a writable folder is required", "choose another --out")
