"""What a worker sends to register: its host, its versions, its users and its machine's limits."""

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
    """A worker, as it registers with the master.

    Attributes:
        revision: Its git revision, where it runs from a checkout.
        users: Fingerprint of its locustfile.
        locustfile: Its locustfile's name; empty for the packaged one.
        pid: Its process; 0 if it sent none.
        offers: The limits of its machine; None if it sent none.
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
        """Return its host and process, for error messages."""
        return f"worker on {self.host}" + (f" (process {self.pid})" if self.pid else "")

    @classmethod
    def here(cls, systems: tuple[str, ...], users: str = "", locustfile: str = "") -> "WorkerInfo":
        """Return the info of this process."""
        offered = read_machine()
        # A worker's need of memory includes what this process already uses.
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
        """Return plain values for the registration message."""
        return asdict(self)

    @classmethod
    def from_message(cls, data: Mapping[str, Any]) -> "WorkerInfo":
        """Decode a registration; one of another version may have fewer or more fields."""
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

    Containers on one machine are checked separately, since each has its own limits.
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
    """Return the lowest limits of the processes of one machine; None if none sent any."""
    if not offers:
        return None

    def least(name: str) -> Any:
        values = [value for each in offers if (value := getattr(each, name)) is not None]
        return min(values, default=None)

    made = {field.name: least(field.name) for field in fields(Machine)}
    coarsest_ns = max(each.clock_resolution_ns for each in offers)
    return Machine(**made | {"clock_resolution_ns": coarsest_ns})
