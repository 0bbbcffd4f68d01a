"""Load a plan from files and flags, or report all their problems."""

import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.secrets import PLACEHOLDER, control_character_in, missing_variable
from harness.scenario.addresses import register_address
from harness.scenario.auth import VARIABLE_PATTERN, variables_in
from harness.scenario.certificates import unusable_certificates
from harness.scenario.client_options import ClientOptions, WildcardOptions
from harness.scenario.disturbances import OF_THE_EMULATOR
from harness.scenario.overrides import (
    SET,
    TARGET_PREFIX,
    apply_overrides,
    scale_population,
    set_join_rate,
)
from harness.scenario.paths import resolve_paths
from harness.scenario.plan import Plan
from harness.scenario.problems import Source, problems_of, shown
from harness.scenario.reading import read_source
from harness.scenario.target import (
    Target,
    has_wildcards,
    most_subscriptions,
    proxies_of,
    target_model,
)
from harness.scenario.workload import Workload

RUN_TIME = "--run-time"
_SHORTEST_MEASURE_S = 1.0

ModelT = TypeVar("ModelT", bound=BaseModel)


def load_plan(
    workload_file: Path,
    target_file: Path,
    *,
    overrides: Sequence[str] = (),
    users: int | None = None,
    join_rate_per_s: float | None = None,
    run_time_s: float | None = None,
) -> Plan:
    """Read a workload and a target, apply the command line and return the plan.

    Args:
        workload_file: The workload.
        target_file: The target. ``${NAME}`` in its endpoints is taken from the environment.
        overrides: ``key=value`` each; keys of the target start with "target.".
        users: Size of the population in place of the file's, in the same proportions.
        join_rate_per_s: Users who join each second, in place of the file's.
        run_time_s: Length of the whole run in seconds; the time to measure is what is left of it.

    Raises:
        ScenarioError: With every problem of both files, the flags and the environment.
    """
    files = ScenarioFiles(workload_file, target_file)
    return files.plan(
        overrides, users=users, join_rate_per_s=join_rate_per_s, run_time_s=run_time_s
    )


class ScenarioFiles:
    """A workload and a target, read once for any number of plans."""

    def __init__(self, workload: Path, target: Path) -> None:
        self._problems: list[ScenarioProblem] = []
        self._workload = read_source(workload, Workload, self._problems)
        self._target = read_source(target, Target, self._problems)
        self._target.key_prefix = TARGET_PREFIX

    def plan(
        self,
        overrides: Sequence[str] = (),
        *,
        users: int | None = None,
        join_rate_per_s: float | None = None,
        run_time_s: float | None = None,
    ) -> Plan:
        """Apply the command line and return the plan; see ``load_plan``.

        Raises:
            ScenarioError: With every problem of both files, the flags and the environment.
        """
        problems, workload, target = deepcopy((self._problems, self._workload, self._target))
        problems += apply_overrides(overrides, workload, target)
        _know_the_system(target)
        if users is not None:
            problems += scale_population(workload, users)
        if join_rate_per_s is not None:
            set_join_rate(workload, join_rate_per_s)
        written = {f"{table}.{key}": text for table, key, text in _addresses(target.data)}
        problems += _resolve_endpoints(target, os.environ)
        problems += _unusable_credentials(target, os.environ)
        plan = _plan(workload, target, problems, written)
        problems += _unusable_proxies(plan)
        if plan is not None and run_time_s is not None:
            plan = _fitted(plan, run_time_s, problems)
        return _sound(plan, problems)


def _plan(
    workload: Source, target: Source, problems: list[ScenarioProblem], written: Mapping[str, str]
) -> Plan | None:
    """Return the plan of two files; None where one of them does not validate."""
    # Both, to report the problems of both.
    valid = _validated(workload, Workload, problems), _validated_target(target, problems)
    if valid[0] is None or valid[1] is None:
        return None
    plan = Plan(
        workload=valid[0],
        target=valid[1],
        workload_file=workload.file,
        target_file=target.file,
        written={key: text for key, text in written.items() if PLACEHOLDER.search(text)},
    )
    problems += _unplayable(plan, workload) + _unsubscribable(plan, workload)
    endpoints = plan.target.endpoints.model_dump() if plan.target.endpoints else {}
    channels, transport = plan.workload.channels.count, plan.workload.publishing.transport
    problems += [
        (target if misfit.key.startswith(("endpoints.", "client.")) else workload).problem(*misfit)
        for misfit in plan.client.misfits(channels, transport, endpoints)
    ]
    return plan


def load_scenario(file: Path) -> Workload | Target:
    """Read one workload or target; variables that it names need not be set.

    Raises:
        ScenarioError: With every problem of the file.
    """
    problems: list[ScenarioProblem] = []
    source = read_source(file, None, problems)
    if source.model is not Target:
        return _sound(_validated(source, Workload, problems), problems)
    _know_the_system(source)
    return _sound(_validated_target(source, problems), problems)


def load_workload(file: Path) -> Workload:
    """Read one workload file, independent of the environment.

    Raises:
        ScenarioError: With every problem of the file, also if it is none of a workload.
    """
    problems: list[ScenarioProblem] = []
    workload = _validated(read_source(file, Workload, problems), Workload, problems)
    return _sound(workload, problems)


def load_emulated_target(file: Path, overrides: Sequence[str] = ()) -> Target:
    """Read the target file of an emulated system and apply the command line.

    Raises:
        ScenarioError: With every problem of the file and the flags, or if it is not emulated.
    """
    problems: list[ScenarioProblem] = []
    source = read_source(file, Target, problems)
    source.key_prefix = TARGET_PREFIX
    foreign = [override for override in overrides if not override.startswith(TARGET_PREFIX)]
    rule, hint = f"must start with {TARGET_PREFIX}", "an emulator has no workload"
    problems += [ScenarioProblem(SET, "", override, rule, hint) for override in foreign]
    ours = [override for override in overrides if override not in foreign]
    problems += apply_overrides(ours, Source(file=SET, data={}, model=Workload), source)
    _know_the_system(source)
    target = _validated_target(source, problems)
    if target is not None and not target.emulated:
        rule, hint = "must be true", "the file describes a remote system"
        problems.append(source.problem("emulated", "false", rule, hint))
    return _sound(target, problems)


def _sound(loaded: ModelT | None, problems: list[ScenarioProblem]) -> ModelT:
    """Return what was loaded, or raise ScenarioError with all its problems."""
    if problems or loaded is None:
        raise ScenarioError(problems)
    return loaded


def _know_the_system(target: Source) -> None:
    """Set the keys of the system's emulator for hints, once the system is known."""
    target.model = target_model(target.data.get("system"))


def _validated_target(source: Source, problems: list[ScenarioProblem]) -> Target | None:
    """Return a target whose paths are absolute."""
    data, unusable = resolve_paths(source)
    problems += unusable + unusable_certificates(source, data)
    return _validated(source, Target, problems, data)


def _validated(
    source: Source,
    model: type[ModelT],
    problems: list[ScenarioProblem],
    data: Mapping[str, Any] | None = None,
) -> ModelT | None:
    if source.readable:
        try:
            return model.model_validate(source.data if data is None else data)
        except ValidationError as error:
            problems += problems_of(error, source)  # With values as they are written.
    return None


def _resolve_endpoints(target: Source, environment: Mapping[str, str]) -> list[ScenarioProblem]:
    """Replace ``${NAME}`` in addresses by variables; return problems of those not set."""
    problems: list[ScenarioProblem] = []
    for table, key, address in _addresses(target.data):
        names = PLACEHOLDER.findall(address)
        unset = [name for name in names if not environment.get(name)]
        problems += [_not_set(target, f"{table}.{key}", name) for name in unset]
        resolved = PLACEHOLDER.sub(lambda name: environment.get(name[1]) or name[0], address)
        register_address(address, resolved)
        target.data[table][key] = resolved
    return problems


def _addresses(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return table, key and text of all values that may name environment variables."""
    return [
        (table, key, text)
        for table in ("endpoints", "client")
        if isinstance(values := data.get(table), dict)
        for key, text in values.items()
        if isinstance(text, str)
    ]


def _unusable_proxies(plan: Plan | None) -> list[ScenarioProblem]:
    """Return the problem of a proxy that the environment names for the target, if it has one."""
    try:
        if plan is not None:
            proxies_of(plan.target)
    except ScenarioError as error:
        return list(error.problems)
    return []


def _unusable_credentials(target: Source, environment: Mapping[str, str]) -> list[ScenarioProblem]:
    named = [
        (f"{table}.{key}", name)
        for table in ("auth", "client", "tls")
        if isinstance(values := target.data.get(table), dict)
        for key, name in variables_in(values)
        if re.match(VARIABLE_PATTERN, name)
    ]
    missing = [_not_set(target, key, name) for key, name in named if not environment.get(name)]
    broken = [control_character_in(name, environment.get(name, "")) for _, name in named]
    return missing + [problem for problem in broken if problem is not None]


def _unplayable(plan: Plan, workload: Source) -> list[ScenarioProblem]:
    """Return the disturbances that need an emulator, where the target is not emulated."""
    if plan.target.emulated:
        return []
    return [
        workload.problem(
            f"disturbances[{place}].kind",
            shown("kind", one.kind),
            "requires an emulated target",
            "burst, flash_crowd, exit and slow_readers work on any target",
        )
        for place, one in enumerate(plan.workload.disturbances)
        if isinstance(one, OF_THE_EMULATOR)
    ]


def _unsubscribable(plan: Plan, workload: Source) -> list[ScenarioProblem]:
    """Return the problems of subscriptions that the target's system does not support."""
    system, channels = plan.target.system, plan.workload.channels
    most = most_subscriptions(plan.target)
    problems = []
    if (found := channels.subscriptions_per_client) > most:
        key, rule = "channels.subscriptions_per_client", f"must be at most {most} on {system}"
        problems.append(workload.problem(key, str(found), rule, _why_no_more(plan.client, most)))
    if (share := channels.wildcard_share) > 0 and not has_wildcards(plan.target):
        key, rule = "channels.wildcard_share", f"must be 0 on {system}"
        problems.append(workload.problem(key, f"{share:g}", rule, _why_no_wildcard(plan.client)))
    return problems


def _why_no_more(client: ClientOptions, most: int) -> str:
    if client.most_subscriptions(most + 1) == most:
        return "the [client] table of the target limits the subscriptions of one user"
    return "one connection of this system has no more subscriptions"


def _why_no_wildcard(client: ClientOptions) -> str:
    if isinstance(client, WildcardOptions):
        return "if your service supports wildcards, set target.client.wildcards = true"
    return "this system has no wildcard subscriptions"


def _not_set(target: Source, key: str, name: str) -> ScenarioProblem:
    problem = missing_variable(target.file, key, name)
    return target.problem(key, problem.found, problem.rule, problem.hint)


def _fitted(plan: Plan, run_time_s: float, problems: list[ScenarioProblem]) -> Plan:
    """Return the plan with the measured time set so that the run takes ``run_time_s``."""
    phases = plan.workload.phases
    others_s = plan.total_s - phases.measure_s
    measure_s = round(run_time_s - others_s, 6)
    if measure_s < _SHORTEST_MEASURE_S:
        rule = f"must be at least {others_s + _SHORTEST_MEASURE_S:g} s"
        hint = (
            f"joining and the other phases take {others_s:g} s; let users join faster "
            "or shorten the phases, for example --set phases.drain_s=1"
        )
        problems.append(ScenarioProblem(RUN_TIME, "", f"{run_time_s:g} s", rule, hint))
        return plan
    workload = plan.workload.model_copy(
        update={"phases": phases.model_copy(update={"measure_s": measure_s})}
    )
    return plan.model_copy(update={"workload": workload})
