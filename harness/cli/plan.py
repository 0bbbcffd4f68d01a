"""``harness plan``: the resources that a larger load needs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.system import System, installed_systems
from harness.scenario.spelling import did_you_mean

if TYPE_CHECKING:
    from harness.analysis.decide.fleet import FleetPlan

_CROWDS = [100_000, 1_000_000, 10_000_000]
_FILE_WIDTH = 160
"""Columns where stdout is no terminal: each figure with its arithmetic on one line."""


def plan(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Folder of a run; what its workers cost is scaled."),
    ],
    users: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", min=1, help="Connected users. Repeatable.  [default: 100K, 1M and 10M]"
        ),
    ] = None,
    rate_per_s: Annotated[
        float,
        typer.Option(
            "--rate", metavar="N", min=0.001, help="Messages a second, at the worst moment."
        ),
    ] = 1.74,
    joins_per_s: Annotated[
        float, typer.Option("--joins", metavar="N", min=0.001, help="Users who join in a second.")
    ] = 2000.0,
    hours: Annotated[
        float, typer.Option(metavar="N", min=0.01, help="How long all are connected.")
    ] = 1.0,
    system: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose quotas and prices.  [default: the run's own]"),
    ] = None,
    as_json: Annotated[  # noqa: FBT002 - typer's way to say that a flag is off
        bool, typer.Option("--json", help="Print everything as JSON instead of tables.")
    ] = False,
) -> None:
    """Say how many workers, addresses, raised quotas and dollars a larger load needs.

    What a worker needs for a delivery, a join and a connection comes from the run, and is taken to
    stay as it is; the arithmetic stands beside each figure. It is an extrapolation.
    """
    from harness.analysis.decide.fleet import FleetLoad, plan_fleet, worker_cost
    from harness.analysis.run.record import read_record
    from harness.measure.machine import read_machine

    record = read_record(run)
    priced = _priced(system or str(record.target.get("system")))
    cost = worker_cost(record)
    open_files = read_machine().open_files
    plans = [
        plan_fleet(cost, FleetLoad(count, rate_per_s, joins_per_s, hours), priced, open_files)
        for count in users or _CROWDS
    ]
    if as_json:
        told = {"measured": cost, "plans": plans}
        typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
    console.print(
        f"Measured in {cost.run}: {cost.delivery_us:.1f} µs a delivery, {cost.join_us:,.0f} µs a "
        f"join, {cost.connection_bytes / 1024:.1f} KiB a connection. The rest is extrapolated.\n"
    )
    for each in plans:
        _print(each, console)


def _priced(name: str) -> System:
    systems = {known: system for known, system in installed_systems().items() if system.economics}
    if name not in systems:
        known = sorted(systems)
        rule = f"must be one of {', '.join(known)}"
        raise ScenarioError(
            [ScenarioProblem("--system", "", name, rule, did_you_mean(name, known))]
        )
    return systems[name]


def _print(fleet: "FleetPlan", console: Console) -> None:
    grid = Table(title=f"{fleet.load.users:,} users", title_justify="left", box=None)
    for name in ("", "takes", "because"):
        grid.add_column(name, justify="right" if name == "takes" else "left", overflow="fold")
    for step in fleet.steps:
        takes = f"${step.value:,.2f}" if step.unit == "$" else f"{_amount(step.value)} {step.unit}"
        grid.add_row(step.name, takes, step.arithmetic)
    for need in fleet.quotas:
        quota = need.quota
        limit = f"{quota.limit:,.0f} {quota.unit} by default"
        times = f"{need.needed_per_s / quota.limit:,.1f} times" if not need.holds else "inside"
        raised = {True: "raised on request", False: "not raised", None: "not known to be raised"}
        more = "" if need.holds else f"; {raised[quota.is_raised_on_request]}"
        needed = f"{_amount(need.needed_per_s)} a second"
        grid.add_row(f"quota: {quota.name}", needed, f"{times} the {limit}{more}")
    console.print(grid)
    console.print()


def _amount(value: float) -> str:
    if value >= 100 or value == round(value):  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    # Six workers are no rounding up of "5.0".
    text = f"{value:,.1f}"
    return f"{value:,.2f}" if text.endswith(".0") else text
