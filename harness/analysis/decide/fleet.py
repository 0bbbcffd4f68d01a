"""How many load workers, addresses, raised quotas and dollars a larger load needs.

Everything follows from what one worker of a finished run needed for a delivery, a join and a
connection. That cost is taken to stay as it was, which a run at a larger step must show; each
figure therefore comes with the arithmetic that made it.
"""

import math
from dataclasses import dataclass
from typing import Final

from harness.analysis.run.record import Record, measured
from harness.core.errors import MachineError
from harness.core.pricing import BYTES_PER_GB, Economics, Events, Price, Quota, Usage, total_usd
from harness.core.system import System

BUSY_CORE: Final = 0.8
"""Share of its core that a worker is planned to use; the rest is for bursts."""
SPARE_FILES: Final = 64
PORTS_PER_ADDRESS: Final = 28_000
"""Linux's ephemeral ports from one address to one destination. Source: ip-sysctl.rst."""
LEAST_WORKER_GB: Final = 2.0
"""Least memory of a task of one core. Source: docs.aws.amazon.com, ECS, task CPU and memory."""
POLL_INTERVAL_S: Final = 5.0
"""Of systems whose users poll, as in the reference day."""
US_PER_S: Final = 1e6

WORKER_CORE: Final = Price(
    "Fargate core", 0.04048, 1, "vCPU-hour", "aws.amazon.com/fargate/pricing"
)
WORKER_GB: Final = Price("Fargate memory", 0.004445, 1, "GB-hour", "aws.amazon.com/fargate/pricing")


@dataclass(frozen=True)
class WorkerCost:
    """What the workers of one run needed.

    Attributes:
        delivery_us: CPU time of a worker for a delivery while measuring, all else included.
        join_us: The same for a join while users joined.
        connection_bytes: Resident memory that a connection added.
        event_bytes: Mean size of the run's events.
        worker_bytes: Resident memory of a worker before the first join.
    """

    run: str
    delivery_us: float
    join_us: float
    connection_bytes: float
    event_bytes: float
    worker_bytes: float


@dataclass(frozen=True)
class FleetLoad:
    """The load to plan for.

    Attributes:
        users: Connected at a time, all of them subscribed to every message.
        messages_per_s: Published in bursts, when it is worst.
        hours: How long all of them are connected; joining takes more.
    """

    users: int
    messages_per_s: float
    joins_per_s: float
    hours: float

    @property
    def deliveries_per_s(self) -> float:
        """Messages a second times users."""
        return self.users * self.messages_per_s

    @property
    def joining_hours(self) -> float:
        """How long it takes until all are connected."""
        return self.users / self.joins_per_s / 3600


@dataclass(frozen=True)
class Step:
    """One figure and its arithmetic."""

    name: str
    value: float
    unit: str
    arithmetic: str


@dataclass(frozen=True)
class QuotaNeed:
    """A quota and what the load uses of it."""

    quota: Quota
    needed_per_s: float

    @property
    def holds(self) -> bool:
        """Whether the default is enough."""
        return self.needed_per_s <= self.quota.limit


@dataclass(frozen=True)
class FleetPlan:
    """What one load needs."""

    load: FleetLoad
    steps: tuple[Step, ...]
    quotas: tuple[QuotaNeed, ...]


def worker_cost(record: Record) -> WorkerCost:
    """Return what a run's workers needed for a delivery, a join and a connection.

    Raises:
        MachineError: If the record is damaged, or the run had no deliveries, no joins or no health
            of its workers.
    """
    if record.problems:
        found, hint = f"is damaged: {'; '.join(record.problems)}", "name another run"
        raise MachineError(str(record.folder), found, "the record of a whole run is needed", hint)
    deliveries = float(measured(record.timeline)["deliveries"].sum())
    joins = float(record.timeline["joins_succeeded"].sum())
    generator = record.generator
    if not deliveries or not joins or generator.empty:
        raise MachineError(
            str(record.folder),
            f"{deliveries:,.0f} deliveries and {joins:,.0f} joins",
            "a run with both, and with its workers' health, is needed",
            "name a run that measured something",
        )
    ends_s = {phase["name"]: phase["end_s"] for phase in record.phases}
    second, starts_s = generator["second"], record.measure_start_s or 0.0
    measuring = generator[(second >= starts_s) & (second < ends_s["measure"])]
    joining = generator[second < ends_s["join"]]
    by_worker = generator.groupby("worker")["rss_bytes"]
    grown = by_worker.agg(lambda rss: rss.max() - rss.iloc[0]).sum()
    held = generator.groupby("worker")["connections"].max().sum()
    sent = record.messages["bytes"]
    return WorkerCost(
        run=str(record.folder),
        delivery_us=float(measuring["cpu_ratio"].sum()) * US_PER_S / deliveries,
        join_us=float(joining["cpu_ratio"].sum()) * US_PER_S / joins,
        connection_bytes=float(grown) / float(held),
        event_bytes=float(sent.mean()),
        worker_bytes=float(by_worker.first().mean()),
    )


def plan_fleet(
    cost: WorkerCost, load: FleetLoad, system: System, open_files: int | None
) -> FleetPlan:
    """Return what a load on a system needs, figure by figure.

    ``open_files`` is how many one process may have open; None for any number.
    """
    workers_by = _workers_by(cost, load, open_files)
    workers = max(math.ceil(step.value) for step in workers_by)
    return FleetPlan(
        load,
        (
            Step(
                *("deliveries", load.deliveries_per_s, "a second"),
                f"{load.users:,} users × {load.messages_per_s:g} messages/s",
            ),
            *workers_by,
            Step("workers", workers, "cores", "the largest of these, rounded up"),
            *_rest(cost, load, system, workers),
        ),
        _quota_needs(load, system.load("economics")),
    )


def _workers_by(cost: WorkerCost, load: FleetLoad, open_files: int | None) -> tuple[Step, ...]:
    rate = load.deliveries_per_s
    core_us = US_PER_S * BUSY_CORE
    by_cores = (
        Step(
            *("workers for deliveries", rate * cost.delivery_us / core_us, "cores"),
            f"{rate:,.0f}/s × {cost.delivery_us:.1f} µs ÷ {BUSY_CORE:.0%} of a core",
        ),
        Step(
            *("workers for joins", load.joins_per_s * cost.join_us / core_us, "cores"),
            f"{load.joins_per_s:,.0f}/s × {cost.join_us:,.0f} µs ÷ {BUSY_CORE:.0%} of a core",
        ),
    )
    if open_files is None:
        return by_cores
    by_files = Step(
        *("workers for open files", load.users / max(open_files - SPARE_FILES, 1), "processes"),
        f"{load.users:,} ÷ ({open_files:,} − {SPARE_FILES}) files",
    )
    return (*by_cores, by_files)


def _rest(cost: WorkerCost, load: FleetLoad, system: System, workers: int) -> tuple[Step, ...]:
    users, hours = load.users, load.hours + load.joining_hours
    economics: Economics = system.load("economics")
    memory_gb = (workers * cost.worker_bytes + users * cost.connection_bytes) / BYTES_PER_GB
    paid_gb = max(memory_gb, workers * LEAST_WORKER_GB)
    hourly_usd = workers * WORKER_CORE.usd + paid_gb * WORKER_GB.usd
    duration = f"{load.hours:g} h and {load.joining_hours * 3600:,.0f} s of joining"
    return (
        Step(
            *("memory of the workers", memory_gb, "GB"),
            f"{workers:,} workers × {cost.worker_bytes / 1024**2:,.0f} MiB "
            f"+ {users:,} × {cost.connection_bytes / 1024:.1f} KiB a connection",
        ),
        Step(
            *("source addresses", math.ceil(users / PORTS_PER_ADDRESS), "addresses"),
            f"{users:,} ÷ {PORTS_PER_ADDRESS:,} ports to one destination, rounded up",
        ),
        Step(
            "time to join", users / load.joins_per_s, "s", f"{users:,} ÷ {load.joins_per_s:,.0f}/s"
        ),
        Step(
            *("cost of the workers", hourly_usd * hours, "$"),
            f"{duration}: an hour is {workers:,} cores × ${WORKER_CORE.usd} + {paid_gb:,.1f} GB "
            f"(at least {LEAST_WORKER_GB:g} a worker) × ${WORKER_GB.usd}, {WORKER_CORE.source}",
        ),
        Step(
            *(f"bill of {system.title}", total_usd(economics.bill(_usage(cost, load))), "$"),
            f"{duration}; messages of {cost.event_bytes:,.0f} bytes once all are connected; "
            "list prices",
        ),
    )


def _usage(cost: WorkerCost, load: FleetLoad) -> Usage:
    published = load.messages_per_s * load.hours * 3600
    # While they join, half of them are connected on average.
    user_hours = load.users * (load.hours + load.joining_hours / 2)
    return Usage(
        hours=load.hours + load.joining_hours,
        events=(Events(cost.event_bytes, published, published * load.users),),
        connected_peak=load.users,
        provisioned=load.users,
        connection_minutes=user_hours * 60,
        connects=load.users,
        subscribes=load.users,
        polls=user_hours * 3600 / POLL_INTERVAL_S,
    )


def _quota_needs(load: FleetLoad, economics: Economics) -> tuple[QuotaNeed, ...]:
    rates: dict[str | None, float] = {
        "connects_per_s": load.joins_per_s,
        "publishes_per_s": load.messages_per_s,
        "deliveries_per_s": load.deliveries_per_s,
        "polls_per_s": load.users / POLL_INTERVAL_S,
    }
    return tuple(
        QuotaNeed(quota, rates[quota.bounds]) for quota in economics.QUOTAS if quota.bounds in rates
    )
