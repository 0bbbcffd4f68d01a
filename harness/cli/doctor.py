"""``harness doctor``: whether this machine can carry a plan, and what to change if not."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import TARGET, WORKLOAD, Overrides, Workers
from harness.cli.output import JSON, QUIET, give, takes
from harness.cli.terminal import aligned
from harness.core.exit_codes import ExitCode
from harness.measure.machine import Check, Machine, check_machine, figure, read_machine


@takes(JSON, QUIET)
def doctor(
    workload: Annotated[Path | None, WORKLOAD] = None,
    target: Annotated[Path | None, TARGET] = None,
    overrides: Overrides = None,
    workers: Workers = None,
) -> None:
    """Check whether this machine can carry a plan, and what to change if not.

    Reads this machine and the files, and connects to nothing. To try a target, run it with one user
    of a kind: --set population.subscribers=1 --set population.chatters=1.

    Without a workload, lists the machine's limits. Memory and cores that a plan needs are
    estimates. Exit code: 0, or 2 if a limit is too low.
    """
    from harness.load.sizing import needs_of, size_plan
    from harness.scenario.loading import load_plan

    if workload is None:
        found = read_machine()
        give(lambda: {"machine": asdict(found)}, lambda: typer.echo(table_of_offers(found)))
        return
    if target is None:
        raise typer.BadParameter("is needed with a workload", param_hint="--target")
    plan = load_plan(workload, target, overrides=overrides or ())
    machine = read_machine()
    plan, count = size_plan(plan, machine, workers)
    needs = needs_of(plan, count)
    checks = check_machine(machine, needs)
    size = f"workers: {needs.workers}, emulator processes: {needs.emulator_processes}"
    sizes = {"workers": needs.workers, "emulator_processes": needs.emulator_processes}
    rows = [asdict(check) | {"enough": check.enough} for check in checks]
    give(
        lambda: {**sizes, "checks": rows},
        lambda: typer.echo(f"{size}\n\n{table_of_checks(checks)}"),
        lambda: "\n".join(f"{one.sentence}" for one in checks if not one.enough) or size,
    )
    if not all(check.enough for check in checks):
        raise typer.Exit(ExitCode.BAD_USAGE)


def table_of_checks(checks: Sequence[Check]) -> str:
    """Return a line for each check, with advice below each that fails."""
    rows = [("", "found", "needed", "")]
    for check in checks:
        verdict = "ok" if check.enough else "too coarse" if check.at_most else "too low"
        rows.append((check.name, check.found_text, check.needed_text, verdict))
    advice = [""] + ["" if check.enough else f"\n  -> {check.advice}" for check in checks]
    return "\n".join(row + below for row, below in zip(aligned(rows), advice, strict=True))


def table_of_offers(machine: Machine) -> str:
    """Return a line for each limit of the machine."""
    rows = [
        ("open files a process", figure(machine.open_files, "")),
        ("ephemeral ports", figure(machine.ephemeral_ports, "")),
        ("connections waiting (somaxconn)", figure(machine.somaxconn, "")),
        ("memory", figure(machine.memory_bytes, "bytes")),
        ("cores", figure(machine.cores, "cores")),
        ("clock resolution", figure(machine.clock_resolution_ns, "ns")),
    ]
    return "\n".join(aligned(rows))
