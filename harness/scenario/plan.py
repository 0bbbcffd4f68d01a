"""The plan: a workload and a target, resolved and frozen, with the timetable of the run."""

import math
from functools import lru_cache
from itertools import accumulate, pairwise

from pydantic import BaseModel, ConfigDict

from harness.scenario.model import ScenarioModel
from harness.scenario.target import Target
from harness.scenario.workload import Phases, Workload

PHASE_NAMES = ("join", "settle", "warm_up", "measure", "drain")
"""The parts of a run, in their order."""


class Phase(BaseModel):
    """One part of a run: from ``start_s`` up to but not including ``end_s``, on the run clock."""

    model_config = ConfigDict(frozen=True)

    name: str
    start_s: float
    end_s: float


class Plan(ScenarioModel):
    """Everything that decides a run. Holds no secrets: only the names of their variables.

    Attributes:
        workload: What load.
        target: Which system; ``${NAME}`` in its endpoints has been resolved.
        workload_file: File the workload came from, as the user wrote it.
        target_file: File the target came from, as the user wrote it.
    """

    workload: Workload
    target: Target
    workload_file: str
    target_file: str

    @property
    def users(self) -> int:
        """Subscribers and chatters together."""
        return self.workload.population.users

    @property
    def rate_per_s(self) -> float:
        """Messages a second from all chatters together, outside bursts."""
        return self.workload.publishing.mean_rate_per_s

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The timetable; joining takes whole seconds, one at least."""
        return _timetable(self.users, self.workload.joins.rate_per_s, self.workload.phases)

    @property
    def total_s(self) -> float:
        """Seconds from the first join to the end of the drain."""
        return self.phases[-1].end_s

    def phase_at(self, second: float) -> str:
        """Return the name of the phase at ``second``; "join" before the run, "drain" after it."""
        for phase in self.phases:
            if second < phase.end_s:
                return phase.name
        return PHASE_NAMES[-1]

    def channel_path(self, index: int) -> str:
        """Return the path of channel ``index``, counted from 0: "/default/room-0"."""
        return f"/{self.target.channel_namespace}/room-{index}"


@lru_cache(maxsize=8)
def _timetable(users: int, join_rate_per_s: float, lengths: Phases) -> tuple[Phase, ...]:
    # Rounded first: 3 users at 0.1/s must not take 30.000000000000004 s.
    join_s = math.ceil(round(users / join_rate_per_s, 6))
    durations = (
        float(max(1, join_s)),
        lengths.settle_s,
        lengths.warm_up_s,
        lengths.measure_s,
        lengths.drain_s,
    )
    edges = pairwise(accumulate(durations, initial=0.0))
    return tuple(
        Phase(name=name, start_s=start_s, end_s=end_s)
        for name, (start_s, end_s) in zip(PHASE_NAMES, edges, strict=True)
    )
