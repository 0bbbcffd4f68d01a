"""Arguments and options that take a scenario file, by its path or by its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.scenario.shipped import known_names, scenario_file

WHAT_LOAD = "Workload, a file or a name: what load."
WHICH_SYSTEM = "Target, a file or a name: which system."


def completion(*kinds: str) -> Callable[[str], list[str]]:
    """Return what completes a scenario's name in the shell."""

    def complete(incomplete: str) -> list[str]:
        names = [name for kind in kinds for name in known_names(kind)]
        return [name for name in names if name.startswith(incomplete)]

    return complete


def scenario_argument(kind: str, help_text: str, metavar: str | None = None) -> Any:
    """Return an argument that takes a scenario of a kind."""
    return typer.Argument(
        help=help_text,
        metavar=metavar or kind.removesuffix("s").upper(),
        parser=_parser(kind),
        autocompletion=completion(kind),
    )


def scenario_option(kind: str, help_text: str, envvar: str | None = None) -> Any:
    """Return an option that takes a scenario of a kind."""
    return typer.Option(
        help=help_text,
        metavar="FILE|NAME",
        envvar=envvar,
        parser=_parser(kind),
        autocompletion=completion(kind),
    )


def _parser(kind: str) -> Callable[[str], Path]:
    def parse(given: str) -> Path:
        return scenario_file(kind, given)

    return parse


WORKLOAD = scenario_argument("workloads", WHAT_LOAD)
TARGET = scenario_option("targets", WHICH_SYSTEM, envvar="HARNESS_TARGET")

WorkloadFile = Annotated[Path, WORKLOAD]
TargetFile = Annotated[Path, TARGET]
