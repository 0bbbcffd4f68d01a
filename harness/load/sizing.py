"""How many processes a plan needs on a machine, and whether the machine is large enough."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from harness.core.errors import MachineError
from harness.core.hosts import is_ipv4_loopback
from harness.measure.machine import Check, Machine, Needs, check_machine
from harness.scenario.plan import Plan

MAX_PROCESSES = 64
MAX_LISTED = 8
"""Shortages listed in an error; equal machines repeat the same ones."""

BUSY_CORE = 0.8
"""Planned share of a core per process; the rest is for bursts."""


def size_plan(plan: Plan, machine: Machine, workers: int | None) -> tuple[Plan, int]:
    """Return the plan with its emulator's processes counted, and the number of workers.

    Without a number of workers it is the fewest that are enough.
    """

    def worker_fits(workers: int) -> bool:
        needs = needs_of(plan, workers)
        return _fits(machine, needs.files_per_worker, needs.worker_cores / workers)

    def emulator_fits(processes: int) -> bool:
        needs = needs_of(_with_processes(plan, processes), count)
        return _fits(machine, needs.files_per_emulator_process, needs.emulator_cores / processes)

    count = workers or _fewest(worker_fits)
    emulator = plan.target.emulator
    if emulator is None or emulator.processes is not None:
        return plan, count
    return _with_processes(plan, _fewest(emulator_fits)), count


def _fewest(fits: Callable[[int], bool]) -> int:
    return next((n for n in range(1, MAX_PROCESSES) if fits(n)), MAX_PROCESSES)


def _fits(machine: Machine, files: int, core_share: float) -> bool:
    enough_files = machine.open_files is None or files <= machine.open_files
    return enough_files and core_share <= BUSY_CORE


def _with_processes(plan: Plan, processes: int) -> Plan:
    target = plan.target
    assert target.emulator is not None  # noqa: S101  only called for emulated targets
    emulator = target.emulator.model_copy(update={"processes": processes})
    return plan.model_copy(update={"target": target.model_copy(update={"emulator": emulator})})


def needs_of(plan: Plan, workers: int, *, here: int | None = None, serves: bool = True) -> Needs:
    """Return what a plan needs of a machine when ``workers`` processes generate its load.

    Args:
        plan: The plan to run.
        workers: Processes that generate the load, on all machines.
        here: Those on this machine; None for all of them.
        serves: Whether the target's emulator, if any, runs on this machine.
    """
    workload, target = plan.workload, plan.target
    emulator = target.emulator if serves else None
    over_http = workload.publishing.transport == "http"
    address = target.endpoints.realtime if target.endpoints else ""
    host = target.emulator.host if target.emulator else urlsplit(address).hostname or ""
    # On IPv4 loopback each worker uses addresses of its own.
    own_address = bool(target.source_addresses) or is_ipv4_loopback(host)
    return Needs(
        users=plan.users,
        http_publishers=workload.population.chatters if over_http else 0,
        joins_per_s=min(workload.joins.rate_per_s, plan.users),
        deliveries_per_s=peak_deliveries_per_s(plan),
        workers=workers,
        emulator_processes=(emulator.processes or 1) if emulator else 0,
        source_addresses=(workers if here is None else here) if own_address else 1,
        tls=target.emulator.tls if target.emulator else address.startswith("wss:"),
        ordinary_users=plan.ordinary_users,
        workers_here=here,
    )


def peak_deliveries_per_s(plan: Plan) -> float:
    """Return the deliveries owed each second on average inside a burst, or without one always."""
    workload = plan.workload
    burst = workload.publishing.burst
    rate_per_s = plan.rate_per_s * (burst.factor if burst else 1.0)
    return rate_per_s * workload.population.listeners * workload.channels.reach


def shortages(
    plan: Plan, machine: Machine, workers: int, *, here: int | None = None
) -> dict[str, list[Check]]:
    """Return the shortages of this machine for a plan, under its name; empty if there are none."""
    checks = check_machine(machine, needs_of(plan, workers, here=here))
    short = [check for check in checks if not check.enough]
    return {"this machine": short} if short else {}


def size_or_refuse(
    plan: Plan, machine: Machine, workers: int | None, *, here: int | None = None, force: bool
) -> tuple[Plan, int, list[dict[str, Any]]]:
    """Return a plan sized for a machine, the number of workers, and a warning for each shortage.

    ``workers`` is as for ``size_plan``, and ``here`` as for ``needs_of``.

    Raises:
        MachineError: If the machine is too small and ``force`` is not set.
    """
    sized, count = size_plan(plan, machine, workers)
    return sized, count, warn_or_refuse(shortages(sized, machine, count, here=here), force=force)


def refuse(short: Mapping[str, Sequence[Check]]) -> MachineError:
    """Return the error that lists the shortages of machines, at most the first few."""
    (where, first), *others = [(name, check) for name, all_ in short.items() for check in all_]
    listed = others[: MAX_LISTED - 1]
    more = f"\nand {len(others) - len(listed)} more" if len(others) > len(listed) else ""
    rest = "".join(
        f"\nalso {'' if name == where else f'{name}: '}{check.sentence}\n  -> {check.advice}"
        for name, check in listed
    )
    return MachineError(
        f"{where}: {first.name}",
        f"{first.found_text} found",
        f"{first.needed_text} needed",
        f"{first.advice}; or run it anyway with --force{rest}{more}",
    )


def warn_or_refuse(short: Mapping[str, Sequence[Check]], *, force: bool) -> list[dict[str, Any]]:
    """Return a warning for each shortage if ``force`` is set; refuse to start otherwise."""
    if short and not force:
        raise refuse(short)
    return [
        {
            "code": "machine_too_small",
            "observed": check.found,
            "limit": check.needed,
            "hint": f"{where}: {check.sentence}; {check.advice}",
        }
        for where, checks in short.items()
        for check in checks
    ]
