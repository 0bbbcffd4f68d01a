"""``harness validate``: check scenario files and report all problems at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import completion, load_each
from harness.cli.output import JSON, QUIET, give, takes
from harness.scenario.shipped import KINDS, scenario_files, scenario_named_in

if TYPE_CHECKING:
    from harness.scenario.study import Study
    from harness.scenario.target import Target
    from harness.scenario.workload import Workload


@takes(JSON, QUIET)
def validate(
    scenarios: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|NAME...",
            help="Files or names of workloads, targets, studies and SLOs.",
            autocompletion=completion(*KINDS),
        ),
    ],
) -> None:
    """Check scenario files without running anything.

    Prints a line for each valid file and all problems of the others, including files that a study
    names. Environment variables of a target are listed, but need not be set.
    """
    valid: dict[Path, str] = {}
    try:
        load_each(scenarios, lambda given: _validate(given, valid))
    finally:
        give(
            lambda: {"valid": {str(file): text for file, text in valid.items()}},
            lambda: typer.echo(
                "".join(f"{file}: {text}\n" for file, text in valid.items()), nl=False
            ),
        )


def _validate(given: str, valid: dict[Path, str]) -> None:
    for file in scenario_files(given):
        valid[file] = _validated(file)


def _validated(file: Path) -> str:
    """Read a scenario file of any kind; return a short description."""
    from harness.scenario.loading import load_scenario
    from harness.scenario.slo_file import is_slo_file, load_slos
    from harness.scenario.study import is_study, load_study

    if is_slo_file(file):
        return f"{len(load_slos(file))} SLOs"
    if is_study(file):
        study = load_study(file)
        _validate_named(study, file.parent)
        return describe(study)
    return describe(load_scenario(file))


def _validate_named(study: "Study", folder: Path) -> None:
    """Raise ScenarioError with the problems of all files that a study names."""
    from harness.scenario.loading import load_scenario

    named = [("targets", one.target) for one in study.systems]
    named += [("workloads", one.workload) for one in study.workloads]
    load_each(dict.fromkeys(named), lambda one: load_scenario(scenario_named_in(folder, *one)))


def describe(scenario: "Workload | Target | Study") -> str:
    """Return a short description of a scenario."""
    from harness.scenario.study import Study
    from harness.scenario.target import Target, proxies_of, variables_of

    if isinstance(scenario, Study):
        return (
            f"study {scenario.name}, {len(scenario.systems)} systems and "
            f"{len(scenario.workloads)} workloads, {len(scenario.requirements)} requirements"
        )
    if isinstance(scenario, Target):
        how = "emulated" if scenario.emulated else "not emulated"
        names = ", ".join(variables_of(scenario))
        needs = f", needs {names}" if names else ""
        proxies = " and ".join(proxies_of(scenario))
        through = f", through the proxy {proxies}" if proxies else ""
        return f"target {scenario.name}, {scenario.system}, {how}{needs}{through}"
    population, rate_per_s = scenario.population, scenario.publishing.mean_rate_per_s
    others = "".join(f", {count:,} {name}" for name, count in population.ordinary.items())
    return (
        f"workload {scenario.name}, {population.subscribers:,} subscribers and "
        f"{population.chatters:,} chatters{others}, {rate_per_s:.3g} messages/s, "
        f"{len(scenario.slos)} SLOs"
    )
