"""What a sweep can raise step by step, and the fields of the workload that this changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harness.scenario.workload import Workload


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction in which load can grow.

    Attributes:
        name: What it is called on the command line.
        title: What is counted, for people.
        unit: "/s", or nothing for a number of people.
        key: The workload's field that carries it.
        value_of: The field's value for a load, in a workload otherwise as it is.
        is_of_joins: Whether joining is what gets harder, rather than delivering.
    """

    name: str
    title: str
    unit: str
    key: str
    load_of: Callable[[Workload], float]
    value_of: Callable[[Workload, float], float] = lambda _, load: load
    is_whole: bool = False
    is_of_joins: bool = False

    def override(self, workload: Workload, load: float) -> str:
        """Return the ``key=value`` that gives a workload this load."""
        value = self.value_of(workload, load)
        return f"{self.key}={int(value)}" if self.is_whole else f"{self.key}={value:.10g}"


def deliveries_per_s(workload: Workload) -> float:
    """Return the deliveries owed each second outside bursts: messages × listeners they reach."""
    return workload.publishing.mean_rate_per_s * _listeners(workload)


def _listeners(workload: Workload) -> float:
    return workload.population.listeners * workload.channels.reach


SUBSCRIBERS: Final = Axis(
    "subscribers",
    "subscribers",
    "",
    "population.subscribers",
    lambda workload: float(workload.population.subscribers),
    is_whole=True,
)
PUBLISH_RATE: Final = Axis(
    "publish-rate",
    "messages",
    "/s",
    "publishing.rate_per_s",
    lambda workload: workload.publishing.mean_rate_per_s,
)
DELIVERIES: Final = Axis(
    "deliveries",
    "deliveries",
    "/s",
    "publishing.rate_per_s",
    deliveries_per_s,
    lambda workload, load: load / _listeners(workload),
)
JOINS: Final = Axis(
    "joins",
    "joins",
    "/s",
    "joins.rate_per_s",
    lambda workload: workload.joins.rate_per_s,
    is_of_joins=True,
)

AXES: Final = {axis.name: axis for axis in (SUBSCRIBERS, PUBLISH_RATE, DELIVERIES, JOINS)}
