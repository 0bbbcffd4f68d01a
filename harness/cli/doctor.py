"""``harness doctor``: can this machine carry this plan, and if not, what to change."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.core.exit_codes import ExitCode
from harness.measure.machine import Check, Machine, Needs, Unit, check_machine, read_machine

if TYPE_CHECKING:
    from harness.scenario.plan import Plan
    from harness.scenario.target import Target

_MEGABYTE = 1e6


def doctor(
    workload: Annotated[Path | None, typer.Argument(help="Workload file: what load.")] = None,
    target: Annotated[
        Path | None, typer.Option(help="Target file: which system.", envvar="HARNESS_TARGET")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a field, as in run. Repeatable."),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, help="Processes that make the load.", envvar="HARNESS_WORKERS"),
    ] = 1,
) -> None:
    """Say whether this machine can carry a plan, and what to change where it cannot.

    Without a workload it says what the machine offers. What a plan needs in memory and cores is
    an estimate. Exits with 2 where something is too low.
    """
    from harness.scenario.loading import load_plan

    if workload is None:
        typer.echo(table_of_offers(read_machine()))
        return
    if target is None:
        raise typer.BadParameter("is needed with a workload", param_hint="--target")
    plan = load_plan(workload, target, overrides=overrides or ())
    checks = check_machine(read_machine(), needs_of(plan, workers))
    typer.echo(table_of_checks(checks))
    if not all(check.enough for check in checks):
        raise typer.Exit(ExitCode.BAD_USAGE)


def needs_of(plan: "Plan", workers: int) -> Needs:
    """Return what a plan asks of the machine when ``workers`` processes make its load."""
    workload, target = plan.workload, plan.target
    emulator = target.emulator
    over_http = workload.publishing.transport == "http"
    return Needs(
        users=plan.users,
        http_publishers=workload.population.chatters if over_http else 0,
        joins_per_s=min(workload.joins.rate_per_s, plan.users),
        deliveries_per_s=peak_deliveries_per_s(plan),
        workers=workers,
        emulator_processes=emulator.processes if emulator else 0,
        tls=emulator.tls if emulator else is_encrypted(target),
    )


def is_encrypted(target: "Target") -> bool:
    """Say whether a real system is reached over TLS."""
    return target.endpoints is not None and target.endpoints.realtime.startswith("wss:")


def peak_deliveries_per_s(plan: "Plan") -> float:
    """Return the deliveries owed each second on average inside a burst, or without one always.

    A channel that holds a share p of the listeners also gets a share p of the messages.
    """
    workload = plan.workload
    skew = workload.channels.zipf_skew
    weights = [math.pow(k + 1, -skew) for k in range(workload.channels.count)]
    total = sum(weights)
    meeting = sum((weight / total) ** 2 for weight in weights)
    burst = workload.publishing.burst
    rate_per_s = plan.rate_per_s * (burst.factor if burst else 1.0)
    return rate_per_s * workload.population.listeners * meeting


def table_of_checks(checks: Sequence[Check]) -> str:
    """Return a line for each check, with what to do below each that fails."""
    rows = [("", "found", "needed", "")]
    for check in checks:
        needed = figure(check.needed, check.unit)
        verdict = "too coarse" if check.at_most else "too low"
        rows.append(
            (
                check.name,
                figure(check.found, check.unit),
                f"at most {needed}" if check.at_most else needed,
                "ok" if check.enough else verdict,
            )
        )
    advice = [""] + ["" if check.enough else f"\n  -> {check.advice}" for check in checks]
    return "\n".join(row + below for row, below in zip(_aligned(rows), advice, strict=True))


def table_of_offers(machine: Machine) -> str:
    """Return a line for each thing the machine offers."""
    return "\n".join(
        _aligned(
            [
                ("open files a process", figure(machine.open_files, "")),
                ("ephemeral ports", figure(machine.ephemeral_ports, "")),
                ("connections waiting (somaxconn)", figure(machine.somaxconn, "")),
                ("memory", figure(machine.memory_bytes, "bytes")),
                ("cores", figure(machine.cores, "cores")),
                ("clock resolution", figure(machine.clock_resolution_ns, "ns")),
            ]
        )
    )


def figure(value: float | None, unit: Unit) -> str:
    """Return a figure as people read it: "20,000", "1,234 MB", "0.35 cores" or "not known"."""
    if value is None:
        return "not known"
    if unit == "bytes":
        return f"{value / _MEGABYTE:,.0f} MB"
    if unit == "cores":
        return f"{value:.2f} cores"
    return f"{value:,.0f} {unit}".rstrip()


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
