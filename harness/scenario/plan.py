"""The plan: a workload and a target, resolved and frozen, with the timetable of the run."""

import math
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from harness.scenario.addresses import host_of, register_address, without_password
from harness.scenario.client_options import ClientOptions
from harness.scenario.model import HIDE_SECRETS, ScenarioModel
from harness.scenario.target import Target, client_options
from harness.scenario.workload import Phases, Workload

PHASE_NAMES = ("join", "settle", "warm_up", "measure", "drain")
"""The parts of a run, in their order."""


class Phase(BaseModel):
    """One part of a run: from ``start_s`` up to but not including ``end_s``, on the run clock."""

    model_config = ConfigDict(frozen=True)

    name: str
    start_s: float
    end_s: float


class Timetable:
    """When each part of a run begins and ends; made once by code that reads it often.

    Attributes:
        phases: The parts, in the order of ``PHASE_NAMES``.
        total_s: Seconds from the first join to the end of the drain.

    Args:
        users: How many join.
        join_rate_per_s: How many a second; joining takes whole seconds, one at least.
        lengths: Of the other parts.
    """

    def __init__(self, users: int, join_rate_per_s: float, lengths: Phases) -> None:
        # Rounded first: 3 users at 0.1/s must not take 30.000000000000004 s.
        join_s = math.ceil(round(users / join_rate_per_s, 6))
        durations = (
            float(max(1, join_s)),
            lengths.settle_s,
            lengths.warm_up_s,
            lengths.measure_s,
            lengths.drain_s,
        )
        edges = tuple(accumulate(durations, initial=0.0))
        self.phases = tuple(
            Phase(name=name, start_s=start_s, end_s=end_s)
            for name, (start_s, end_s) in zip(PHASE_NAMES, pairwise(edges), strict=True)
        )
        self.total_s = edges[-1]
        self._inner_edges = edges[1:-1]

    def phase_at(self, second: float) -> str:
        """Return the name of the phase at ``second``; "join" before the run, "drain" after it."""
        return PHASE_NAMES[bisect_right(self._inner_edges, second)]


class Plan(ScenarioModel):
    """Everything that decides a run. Its only secrets are those in addresses, see ``written``.

    Attributes:
        target: Which system; ``${NAME}`` in its endpoints has been resolved.
        workload_file: File the workload came from, as the user wrote it.
        target_file: File the target came from, as the user wrote it.
        fixed_counts: Ordinary users that the locustfile itself counts, by Locust's ``fixed_count``.
        tags: More about it, such as the commit of the system.
        written: Addresses of the target with ``${NAME}`` as the file has them, by key. Their values
            may be secrets, which every process that has the plan keeps out of texts.
    """

    workload: Workload
    target: SerializeAsAny[Target]
    workload_file: str
    target_file: str
    fixed_counts: dict[str, int] = Field(default_factory=dict)
    label: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    written: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keep_addresses_secret(self) -> Self:
        for table in (self.target.endpoints, self.target.client):
            for key, value in table or ():
                if isinstance(value, str):
                    place = "endpoints" if table is self.target.endpoints else "client"
                    register_address(self.written.get(f"{place}.{key}", ""), value)
        return self

    def recorded(self) -> dict[str, Any]:
        """Return the plan as ``run.json`` keeps it: no secrets, ``${NAME}`` as it was written.

        Label, tags and the users of each class stand beside it. The hosts behind ``${NAME}`` are
        in it, since runs against different ones are different runs.
        """
        beside = {"label", "tags", "fixed_counts", "written"}
        plan = self.model_dump(mode="json", context=HIDE_SECRETS, exclude=beside)
        hosts: set[str] = set()
        for table in ("endpoints", "client"):
            addresses = plan["target"][table] or {}
            for key, value in addresses.items():
                if isinstance(value, str):
                    written = self.written.get(f"{table}.{key}")
                    addresses[key] = without_password(written or value)
                    if written and (host := host_of(value)):
                        hosts.add(host)
        if hosts:
            plan["target"]["hosts"] = sorted(hosts)
        return plan

    @property
    def users(self) -> int:
        """Subscribers and chatters together."""
        return self.workload.population.users

    @property
    def ordinary(self) -> dict[str, int]:
        """How many ordinary Locust users there are of each class, by its name."""
        return self.workload.population.ordinary | self.fixed_counts

    @property
    def ordinary_users(self) -> int:
        """Ordinary Locust users of all classes together."""
        return sum(self.ordinary.values())

    @property
    def ramp_s(self) -> float:
        """Seconds over which the users of the join phase start, each class evenly."""
        # All but those of flash crowds, ordinary ones too.
        at_first = self.users * (1.0 - self.workload.held_back_ratio) + self.ordinary_users
        return at_first / self.workload.joins.rate_per_s

    @property
    def planned_users(self) -> dict[str, int]:
        """How many users of each class the run starts; ordinary ones by the name of their class."""
        return self.workload.population.fan_out | {
            name: count for name, count in self.ordinary.items() if count
        }

    @property
    def rate_per_s(self) -> float:
        """Messages a second from all chatters together, outside bursts."""
        return self.workload.publishing.mean_rate_per_s

    @property
    def client(self) -> ClientOptions:
        """Options of the simulated clients: the target's, or those of its system by default."""
        return client_options(self.target)

    @property
    def timetable(self) -> Timetable:
        """The timetable of the run, worked out anew at each call.

        The drain lasts longer than the workload says where the system's clients need that.
        """
        held_back = round(self.users * self.workload.held_back_ratio)
        at_first = self.users - held_back + self.ordinary_users
        phases = self.workload.phases
        drain_s = max(phases.drain_s, self.client.least_drain_s(self.target.emulator))
        lengths = phases.model_copy(update={"drain_s": drain_s})
        return Timetable(at_first, self.workload.joins.rate_per_s, lengths)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The parts of the run, in their order."""
        return self.timetable.phases

    @property
    def total_s(self) -> float:
        """Seconds from the first join to the end of the drain."""
        return self.timetable.total_s

    @property
    def measure_start_s(self) -> float:
        """Second of the run from which the times of disturbances count."""
        return next(phase.start_s for phase in self.phases if phase.name == "measure")

    def channel_path(self, index: int) -> str:
        """Return the path of channel ``index``, counted from 0: "/default/room-0"."""
        return f"/{self.target.channel_namespace}/room-{index}"

    @property
    def every_channel(self) -> str:
        """The path that stands for all channels: "/default/*"."""
        return f"/{self.target.channel_namespace}/*"
