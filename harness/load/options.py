"""Locust's command line, with the harness's own options, turned into a plan."""

import math
import os
from argparse import SUPPRESS, Namespace
from pathlib import Path
from typing import Any

from locust.argument_parser import LocustArgumentParser

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.live.outputs import add_live_arguments
from harness.load.ownership import FLAG
from harness.scenario.labels import read_labels
from harness.scenario.loading import load_plan
from harness.scenario.plan import Plan
from harness.scenario.resolved import decode_plan
from harness.scenario.shipped import scenario_file

START_DELAY_S = 1.5
"""From Locust's start to second 0 of the timetable: users exist before their turn to join."""

SAFETY_MARGIN_S = 10.0
_CHANGES = {
    "num_users": "--users",
    "spawn_rate": "--spawn-rate",
    "run_time": "--run-time",
    "workload": "--workload",
    "target": "--target",
    "overrides": "--set",
    "label": "--label",
    "run_tags": "--tag",
}
"""Options that change a plan, with their flags."""

EACH_CPU = -1
"""Locust's value for as many processes as there are CPUs."""


def add_arguments(parser: LocustArgumentParser) -> None:
    """Add the harness's options to Locust's parser."""
    group = parser.add_argument_group(
        "Fan-out harness", "What load, on which system, and where the record goes."
    )
    group.add_argument(
        "--workload", metavar="FILE|NAME", help="workload: what load", env_var="LOCUST_WORKLOAD"
    )
    group.add_argument(
        "--target", metavar="FILE|NAME", help="target: which system", env_var="LOCUST_TARGET"
    )
    group.add_argument(
        "--out",
        metavar="DIR",
        help="the run's own folder; default: a new one in reports/",
        env_var="LOCUST_OUT",
    )
    # Locust prints the help of ``--help`` before it has read any locustfile.
    group.add_argument("--help-all", action="help", help="show these options as well, and exit")
    # ``harness run`` passes this in place of the two files and their overrides.
    group.add_argument("--plan", metavar="FILE", help=SUPPRESS)
    group.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        help="override a field of the workload, or of the target (target.…); repeatable",
    )
    group.add_argument("--label", metavar="NAME", help="name of what is tested, for the record")
    group.add_argument(
        "--tag",
        dest="run_tags",
        metavar="KEY=VALUE",
        action="append",
        help="more about what is tested, such as commit=1a2b3c4; repeatable",
    )
    group.add_argument(
        "--force", action="store_true", help="run even where this machine is too small for it"
    )
    group.add_argument(
        FLAG,
        dest="owned",
        action="store_true",
        help="declare that you may put load on this target; it is remembered",
    )
    group.add_argument(
        "--allow-lost-workers",
        action="store_true",
        help="go on, and judge the run by the others, when a worker is lost",
    )
    group.add_argument(
        "--measure-clocks",
        action="store_true",
        help="measure the clocks of workers on the master's own machine too",
    )
    add_live_arguments(parser)


def plan_from_options(options: Namespace) -> Plan:
    """Return the plan that was handed over, or resolve it; -u, -r and -t beat the workload file.

    Raises:
        ScenarioError: If a file is missing, or anything in it or in the flags does not validate.
    """
    if options.plan:
        _refuse_changes(options)
        return decode_plan(Path(options.plan).read_bytes())
    missing = [name for name in ("workload", "target") if not getattr(options, name)]
    if missing:
        raise ScenarioError(
            [
                ScenarioProblem(
                    *(f"--{name}", "", "", f"must name a file or a known {name}"),
                    "harness examples lists them",
                )
                for name in missing
            ]
        )
    labels = read_labels(options.label, options.run_tags)
    plan = load_plan(
        scenario_file("workloads", options.workload),
        scenario_file("targets", options.target),
        overrides=options.overrides or (),
        users=options.num_users,
        join_rate_per_s=options.spawn_rate,
        run_time_s=options.run_time,
    )
    return labels.on(plan)


def _refuse_changes(options: Namespace) -> None:
    """Raise ScenarioError where a plan stands fixed that other options would change."""
    given = {flag: getattr(options, name) for name, flag in _CHANGES.items()}
    rule, hint = "cannot change the plan of harness run", "write --set KEY=VALUE in place of it"
    problems = [
        ScenarioProblem("--locust-arg", flag, str(value), rule, hint)
        for flag, value in given.items()
        if value is not None
    ]
    if problems:
        raise ScenarioError(problems)


def worker_count(options: Namespace) -> int:
    """Return how many processes generate the load: Locust's workers, or one in a local run."""
    processes = os.cpu_count() if options.processes == EACH_CPU else options.processes
    return int(processes or (options.expect_workers if options.master else 1))


def locust_users(plan: Plan, user_class: str, workers: int) -> int:
    """Return how many Locust users of a class are needed; one may hold a cohort of connections.

    Each worker gets enough of them for its own share of the connections.
    """
    population = plan.workload.population
    connections = plan.planned_users.get(user_class, 0)
    cohort = population.connections_per_user
    if cohort == 1 or user_class in plan.ordinary:
        return connections
    return workers * math.ceil(math.ceil(connections / workers) / cohort)


def apply_plan(options: Any, plan: Plan) -> None:
    """Set Locust's number of users, spawn rate and run time."""
    workers = worker_count(options)
    options.num_users = sum(locust_users(plan, name, workers) for name in plan.planned_users)
    options.spawn_rate = plan.workload.joins.rate_per_s
    # The coordinator ends the run by the run clock; Locust's own limit is only a safety net.
    options.run_time = plan.total_s + START_DELAY_S + SAFETY_MARGIN_S
    # Users stop by being killed where they park; there is no task to wait for.
    options.stop_timeout = 0.0
