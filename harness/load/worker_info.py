"""How a worker introduces itself: who it is, what it runs, what its machine offers it."""

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import psutil

from harness.core.clock import machine_id
from harness.load.sizing import needs_of
from harness.measure.environment import harness_version
from harness.measure.machine import Check, Machine, check_machine, read_machine
from harness.scenario.plan import Plan


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker that has introduced itself.

    Attributes:
        host: Its machine's name.
        machine: What tells its machine from others.
        version: Its version of the harness.
        revision: Its git revision, where it runs from a checkout.
        systems: The systems that its users can join.
        users: What tells its locustfile from others.
        locustfile: Its locustfile's name; empty without one of its own.
        pid: The process, which tells workers of one machine apart; 0 where it did not say.
        offers: What its machine had to offer it; None where it did not say.
    """

    host: str
    machine: str
    version: str | None
    revision: str | None = None
    systems: tuple[str, ...] = ()
    users: str = ""
    locustfile: str = ""
    pid: int = 0
    offers: Machine | None = None

    def __str__(self) -> str:
        """Return what tells it from others to whoever looks for it."""
        return f"worker on {self.host}" + (f" (process {self.pid})" if self.pid else "")

    @classmethod
    def here(cls, systems: tuple[str, ...], users: str = "", locustfile: str = "") -> "WorkerInfo":
        """Return what a worker that is this process says of itself."""
        offered = read_machine()
        # What this process has taken already is part of what a worker needs.
        free_bytes = offered.memory_bytes + psutil.Process(os.getpid()).memory_info().rss
        offered = replace(offered, memory_bytes=free_bytes)
        version = harness_version()
        return cls(
            socket.gethostname(),
            machine_id(),
            version["version"],
            version["revision"],
            systems,
            users,
            locustfile,
            os.getpid(),
            offered,
        )

    def to_message(self) -> dict[str, Any]:
        """Return what travels to the master."""
        return asdict(self)

    @classmethod
    def from_message(cls, data: Mapping[str, Any]) -> "WorkerInfo":
        """Return who says this; another version may say less, or more."""
        offers = data.get("offers") or {}
        known = offers.keys() == {field.name for field in fields(Machine)}
        return cls(
            str(data.get("host", "a machine without a name")),
            str(data.get("machine", "")),
            data.get("version"),
            data.get("revision"),
            tuple(map(str, data.get("systems") or ())),
            str(data.get("users") or ""),
            str(data.get("locustfile") or ""),
            int(data.get("pid") or 0),
            Machine(**offers) if known else None,
        )


def shortages_of(
    workers_info: Iterable[WorkerInfo], plan: Plan, workers: int
) -> dict[str, list[Check]]:
    """Return what machines have too little of for their workers' shares, by worker and host.

    Containers on one machine are looked at one by one, since each has limits of its own.

    Args:
        workers_info: The workers that have come.
        plan: What is to be run.
        workers: How many share it.
    """
    groups: dict[tuple[str, str], list[WorkerInfo]] = {}
    for info in workers_info:
        groups.setdefault((info.machine, info.host), []).append(info)
    found: dict[str, list[Check]] = {}
    for (machine, host), group in groups.items():
        offers = _least([info.offers for info in group if info.offers])
        if offers is None:
            continue
        serves = (machine, host) == (machine_id(), socket.gethostname())
        needs = needs_of(plan, workers, here=min(len(group), workers), serves=serves)
        short = [check for check in check_machine(offers, needs) if not check.enough]
        if short:
            name = f"{len(group)} workers on {host}" if len(group) > 1 else f"worker on {host}"
            found.setdefault(name, []).extend(short)
    return found


def _least(offers: list[Machine]) -> Machine | None:
    """Return the least that any process of one machine was offered; None where none said."""
    if not offers:
        return None

    def least(name: str) -> Any:
        values = [value for each in offers if (value := getattr(each, name)) is not None]
        return min(values, default=None)

    made = {field.name: least(field.name) for field in fields(Machine)}
    coarsest_ns = max(each.clock_resolution_ns for each in offers)
    return Machine(**made | {"clock_resolution_ns": coarsest_ns})
