"""What this machine offers a run, and whether that is enough for what the run needs.

The costs used here were measured on loopback with 300-byte events; they tell a machine that is
far too small from one that will do, and no more.
"""

import contextlib
import math
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from harness.core.clock import NS_PER_S

Unit = Literal["", "bytes", "ns", "cores"]

SPARE_FILES = 64
"""Files a process holds open besides its connections: logs, pipes, libraries."""
UNEVEN_SHARE = 1.1
"""The kernel spreads connections over processes by hash; the fullest gets about this much more."""
CLOCK_RESOLUTION_NS = 100_000
"""A coarser clock would show in the latencies reported, which start at tenths of milliseconds."""

_WORKER_BYTES = 150_000_000
_EMULATOR_PROCESS_BYTES = 60_000_000
_ORDINARY_USER_BYTES = 100_000
"""An HttpUser of Locust 2.47 took 37 kB over plain HTTP; TLS and what it keeps take more."""

ONE_CORE = 1.0
"""A worker, and a process of the emulator, runs on one core only."""

_US_PER_S = 1e6


@dataclass(frozen=True, slots=True)
class Cost:
    """What one connection costs a worker and the emulator, on one kind of transport.

    Bytes of memory for the connection, CPU time in µs for its join and for each delivery.
    """

    worker_bytes: int
    worker_join_us: float
    worker_delivery_us: float
    emulator_bytes: int
    emulator_join_us: float
    emulator_delivery_us: float


PLAIN = Cost(12_000, 460, 6.5, 17_700, 350, 7.0)
TLS = Cost(47_000, 1_300, 10.5, 41_000, 900, 11.2)


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine offers; None where it does not tell.

    Attributes:
        open_files: Most files one process may hold open: the hard limit.
        ephemeral_ports: Connections one source address can make to one destination.
        somaxconn: Most connections that may wait to be accepted on one socket.
        memory_bytes: Memory that can be used without swapping.
        cores: Cores this process may use; fractional where a container limits them.
        clock_resolution_ns: Smallest step of the realtime clock.
    """

    open_files: int | None
    ephemeral_ports: int | None
    somaxconn: int | None
    memory_bytes: int
    cores: float
    clock_resolution_ns: int


@dataclass(frozen=True, slots=True)
class Needs:
    """What a run needs of the machine.

    Attributes:
        users: Users connected at the peak, each with one WebSocket.
        http_publishers: Users who also hold an HTTP connection to publish on.
        deliveries_per_s: Deliveries each second at the peak, bursts included.
        workers: Processes that make the load.
        emulator_processes: Processes of the emulator; 0 where the target is not emulated.
        source_addresses: Local addresses that the workers of this machine connect from.
        ordinary_users: Ordinary Locust users, each with an HTTP client of its own.
        workers_here: Those of the workers that this machine runs; None for all of them.
    """

    users: int
    http_publishers: int
    joins_per_s: float
    deliveries_per_s: float
    workers: int
    emulator_processes: int
    source_addresses: int
    tls: bool
    ordinary_users: int = 0
    workers_here: int | None = None

    @property
    def share(self) -> float:
        """Part of the load that is made on this machine; an emulator on it still serves all."""
        return 1.0 if self.workers_here is None else self.workers_here / self.workers

    @property
    def cost(self) -> Cost:
        """What one connection and one delivery cost."""
        return TLS if self.tls else PLAIN

    @property
    def connections(self) -> int:
        """Connections open at the peak."""
        return self.users + self.http_publishers

    @property
    def files_per_worker(self) -> int:
        """Files the fullest worker holds open."""
        connections = self.connections + self.ordinary_users
        return math.ceil(connections / self.workers) + SPARE_FILES

    @property
    def files_per_emulator_process(self) -> int:
        """Files the fullest process of the emulator holds open."""
        uneven = UNEVEN_SHARE if self.emulator_processes > 1 else 1
        return math.ceil(self.connections * uneven / self.emulator_processes) + SPARE_FILES

    @property
    def memory_bytes(self) -> int:
        """Memory that workers and emulator take together on this machine."""
        users = self.users * self.cost.worker_bytes + self.ordinary_users * _ORDINARY_USER_BYTES
        all_workers = self.workers * _WORKER_BYTES + users
        workers = math.ceil(all_workers * self.share)
        if not self.emulator_processes:
            return workers
        emulator = self.emulator_processes * _EMULATOR_PROCESS_BYTES
        return workers + emulator + self.users * self.cost.emulator_bytes

    @property
    def worker_cores(self) -> float:
        """Cores all workers keep busy wherever they are, joining or receiving: the greater."""
        joining_us = self.joins_per_s * self.cost.worker_join_us
        return max(joining_us, self.deliveries_per_s * self.cost.worker_delivery_us) / _US_PER_S

    @property
    def emulator_cores(self) -> float:
        """Cores the whole emulator keeps busy, accepting or sending, whichever is more."""
        if not self.emulator_processes:
            return 0.0
        accepting_us = self.joins_per_s * self.cost.emulator_join_us
        return max(accepting_us, self.deliveries_per_s * self.cost.emulator_delivery_us) / _US_PER_S


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a run needs, compared with what there is.

    Attributes:
        found: What the machine offers; None where it does not tell.
        advice: What to do where there is too little.
        at_most: Whether ``needed`` is an upper bound, as for the step of a clock.
    """

    name: str
    found: float | None
    needed: float
    unit: Unit
    advice: str
    at_most: bool = False

    @property
    def enough(self) -> bool:
        """Whether the run gets what it needs; what the machine does not tell is not held back."""
        if self.found is None:
            return True
        return self.found <= self.needed if self.at_most else self.found >= self.needed

    @property
    def found_text(self) -> str:
        """What the machine offers, formatted."""
        return figure(self.found, self.unit)

    @property
    def needed_text(self) -> str:
        """What the run needs, formatted."""
        needed = figure(self.needed, self.unit)
        return f"at most {needed}" if self.at_most else needed

    @property
    def sentence(self) -> str:
        """What was found and what is needed, on one line."""
        return f"{self.name}: {self.found_text} found, {self.needed_text} needed"


def figure(value: float | None, unit: Unit) -> str:
    """Return a formatted figure: "20,000", "1,234 MB", "0.35 cores" or "not known"."""
    if value is None:
        return "not known"
    if unit == "bytes":
        return f"{value / 1e6:,.0f} MB"
    if unit == "cores":
        return f"{value:.2f} cores"
    return f"{value:,.0f} {unit}".rstrip()


def read_machine(
    proc: Path = Path("/proc"), control_group: Path = Path("/sys/fs/cgroup")
) -> Machine:
    """Return what this machine offers, within the limits of its container (control groups, v2)."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ports = _numbers(proc / "sys/net/ipv4/ip_local_port_range")
    backlog = _numbers(proc / "sys/net/core/somaxconn")
    return Machine(
        open_files=None if files == resource.RLIM_INFINITY else files,
        ephemeral_ports=ports[1] - ports[0] + 1 if len(ports) > 1 else None,
        somaxconn=backlog[0] if backlog else None,
        memory_bytes=_memory_bytes(control_group),
        cores=_cores(control_group),
        clock_resolution_ns=round(time.clock_getres(time.CLOCK_REALTIME) * NS_PER_S),
    )


def check_machine(machine: Machine, needs: Needs) -> tuple[Check, ...]:
    """Compare what a machine offers with what a run needs, emulator included."""
    workers = _worker_checks(machine, needs) if needs.share else ()
    emulator = _emulator_checks(machine, needs) if needs.emulator_processes else ()
    return (*workers, *_checks(machine, needs), *emulator)


def _checks(machine: Machine, needs: Needs) -> Iterator[Check]:
    cores = needs.worker_cores * needs.share + needs.emulator_cores
    advice = "use fewer users, or a machine with more memory"
    yield Check("memory", machine.memory_bytes, needs.memory_bytes, "bytes", advice)
    yield Check(
        "cores",
        machine.cores,
        cores,
        "cores",
        "lower the message rate, the joins each second or the users, or share the load: it takes "
        f"{math.ceil(cores / machine.cores)} such machines",
    )
    yield Check(
        "clock resolution",
        machine.clock_resolution_ns,
        CLOCK_RESOLUTION_NS,
        "ns",
        "use a machine whose clock source is tsc or kvm-clock",
        at_most=True,
    )


def _worker_checks(machine: Machine, needs: Needs) -> Iterator[Check]:
    spread = "spread the users over more workers (--workers, or --expect-workers with --master)"
    yield Check(
        "open files of a worker",
        machine.open_files,
        needs.files_per_worker,
        "",
        f"{spread}, or raise the hard limit (ulimit -Hn)",
    )
    yield Check(
        "ports of a source address",
        machine.ephemeral_ports,
        math.ceil(needs.connections * needs.share / needs.source_addresses),
        "",
        'widen the range: sysctl -w net.ipv4.ip_local_port_range="1024 65535"',
    )
    cores = needs.worker_cores / needs.workers
    yield Check("core of a worker", ONE_CORE, cores, "cores", spread)


def _emulator_checks(machine: Machine, needs: Needs) -> Iterator[Check]:
    more = "give the emulator more: --set target.emulator.processes=…"
    files = needs.files_per_emulator_process
    yield Check("open files of an emulator process", machine.open_files, files, "", more)
    yield Check(
        "connections waiting (somaxconn)",
        machine.somaxconn,
        math.ceil(needs.joins_per_s / needs.emulator_processes),
        "",
        "raise it (sysctl -w net.core.somaxconn=…), or let fewer users join each second",
    )
    cores = needs.emulator_cores / needs.emulator_processes
    yield Check("core of an emulator process", ONE_CORE, cores, "cores", more)


def _numbers(file: Path) -> list[int]:
    with contextlib.suppress(OSError, ValueError):
        return [int(word) for word in file.read_text(encoding="ascii").split()]
    return []


def _memory_bytes(control_group: Path) -> int:
    available: int = psutil.virtual_memory().available
    limit, used = _numbers(control_group / "memory.max"), _numbers(control_group / "memory.current")
    return min(available, max(0, limit[0] - used[0])) if limit and used else available


def _cores(control_group: Path) -> float:
    allowed = float(len(os.sched_getaffinity(0)))
    quota = _numbers(control_group / "cpu.max")
    return min(allowed, quota[0] / quota[1]) if len(quota) > 1 else allowed
