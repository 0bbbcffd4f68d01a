"""``harness plan``: resources for more users than the machines at hand can simulate."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column
from rich.text import Text

from harness.cli.options import RunFolder, require_known
from harness.cli.output import JSON, give, takes
from harness.cli.terminal import TABLE_WIDTH, grid, stdout_console
from harness.core.system import System, installed_systems

if TYPE_CHECKING:
    from harness.analysis.decide.fleet import FleetPlan, WorkerCost

_USERS = [100_000, 1_000_000, 10_000_000]


@takes(JSON)
def plan(
    run: RunFolder,
    *,
    users: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", min=1, help="Connected users. Repeatable.  [default: 100K, 1M and 10M]"
        ),
    ] = None,
    rate_per_s: Annotated[
        float,
        typer.Option("--rate", metavar="N", min=0.001, help="Messages per second at the peak."),
    ] = 1.74,
    joins_per_s: Annotated[
        float, typer.Option("--joins", metavar="N", min=0.001, help="Users who join per second.")
    ] = 2000.0,
    hours: Annotated[
        float, typer.Option(metavar="N", min=0.01, help="How long all users stay connected.")
    ] = 1.0,
    system: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="System to plan for.  [default: that of the run]"),
    ] = None,
) -> None:
    """Estimate the workers, IP addresses, quotas and cost that a larger load requires.

    Extrapolates linearly: CPU time per delivery and per join and memory per connection are those
    measured in the run. Each figure is shown with its arithmetic.
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
        for count in users or _USERS
    ]
    found = [{"crowd": p.load, "steps": p.steps, "quotas": p.quotas} for p in plans]
    give(lambda: {"measured": cost, "plans": found}, lambda: _show(cost, plans))


def _show(cost: "WorkerCost", plans: Sequence["FleetPlan"]) -> None:
    console = stdout_console(TABLE_WIDTH)
    console.print(
        f"Measured in {cost.run}: {cost.delivery_us:.1f} µs per delivery, {cost.join_us:,.0f} µs "
        f"per join, {cost.connection_bytes / 1024:.1f} KiB per connection. The rest is "
        "extrapolated.\n"
    )
    for each in plans:
        _print(each, console)


def _priced(name: str) -> System:
    systems = {known: system for known, system in installed_systems().items() if system.economics}
    require_known("--system", [name], sorted(systems))
    return systems[name]


def _print(fleet: "FleetPlan", console: Console) -> None:
    rows: list[tuple[str, str, str]] = []
    for step in fleet.steps:
        takes = f"${step.value:,.2f}" if step.unit == "$" else f"{_amount(step.value)} {step.unit}"
        rows.append((step.name, takes, step.arithmetic))
    for need in fleet.quotas:
        quota = need.quota
        limit = f"{quota.limit:,.0f} {quota.unit} by default"
        times = f"{need.needed_per_s / quota.limit:,.1f} times" if not need.holds else "within"
        raised = {True: "raised on request", False: "not raised", None: "not known to be raised"}
        more = "" if need.holds else f"; {raised[quota.is_raised_on_request]}"
        needed = f"{_amount(need.needed_per_s)} per second"
        rows.append((f"quota: {quota.name}", needed, f"{times} the {limit}{more}"))
    console.print(Text(f"{fleet.load.users:,} users", style="bold"))
    console.print(grid([Column(), Column("needed", justify="right"), Column("reason")], rows))
    console.print()


def _amount(value: float) -> str:
    if value >= 100 or value == round(value):  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    # Six workers are no rounding up of "5.0".
    text = f"{value:,.1f}"
    return f"{value:,.2f}" if text.endswith(".0") else text
