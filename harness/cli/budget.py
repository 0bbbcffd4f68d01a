"""The cost of a run at list prices, printed before it starts, and a limit on it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.progress import TIMELINE, JournalTail
from harness.core.errors import MachineError

if TYPE_CHECKING:
    from harness.core.pricing import Economics, Usage
    from harness.scenario.plan import Plan

_DIME_USD = 0.1
"""Smaller amounts are printed to the millionth."""


class Budget:
    """The expected cost of a run, and its cost so far.

    Includes the messages of the schedule, each to all users of its channel, and every user
    connected throughout. Excludes handler invocations, reconnects and taxes.

    Args:
        max_usd: Maximum cost; None for no limit.

    Raises:
        MachineError: If a limit is given and the system has no price list.
    """

    def __init__(self, plan: "Plan", max_usd: float | None) -> None:
        from harness.core.pricing import economics_of

        self._plan = plan
        self._max_usd = max_usd
        self._economics: Economics | None = economics_of(plan.target.system)
        if self._economics is None and max_usd is not None:
            rule = "a cost limit requires one"
            raise MachineError("--max-usd", f"{plan.target.system} has no price list", rule)
        self._planned = planned_usage(plan)
        self._used: dict[str, float] = {}

    @property
    def planned_usd(self) -> float | None:
        """Dollars at list prices; None where there is no price list."""
        return self._usd(self._planned)

    def __str__(self) -> str:
        plan, use = self._plan, self._planned
        usd = self.planned_usd
        costs = "no price list"
        if self._economics is not None and usd is not None:
            hosts = {price.source.partition("/")[0] for price in self._economics.PRICES}
            costs = f"about {_dollars(usd)} at list prices of {', '.join(sorted(hosts))}"
        return (
            f"{plan.workload.name} on {plan.target.name}: {plan.users:,} users, "
            f"{plan.rate_per_s:g} messages/s outside bursts, {use.published:,.0f} messages "
            f"and {use.delivered:,.0f} deliveries in {plan.total_s:,.0f} s; {costs}"
        )

    def require_within(self) -> None:
        """Raise MachineError if the expected cost exceeds the limit."""
        if error := self._excess("the run will cost", self.planned_usd):
            raise error

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row of the timeline: one second × user class."""
        for name in ("deliveries", "publishes_sent", "joins_succeeded", "connected"):
            self._used[name] = self._used.get(name, 0.0) + row[name]

    @property
    def used_usd(self) -> float | None:
        """Cost so far in dollars, at the mean size of the plan's messages."""
        planned, used = self._planned, self._used
        if not used:
            return 0.0
        sent = used["publishes_sent"] / planned.published if planned.published else 0.0
        got = used["deliveries"] / planned.delivered if planned.delivered else 0.0
        events = tuple(
            replace(each, published=each.published * sent, delivered=each.delivered * got)
            for each in planned.events
        )
        return self._usd(
            replace(
                planned,
                events=events,
                connection_minutes=used["connected"] / 60,
                connects=used["joins_succeeded"],
                subscribes=used["joins_succeeded"],
            )
        )

    def complaint(self) -> MachineError | None:
        """Return the error of a run whose cost exceeds the limit; None below it."""
        return self._excess("the run has cost", self.used_usd)

    def _excess(self, what: str, usd: float | None) -> MachineError | None:
        if usd is None or self._max_usd is None or usd <= self._max_usd:
            return None
        required = f"at most {_dollars(self._max_usd)} allowed"
        hint = "make it smaller or shorter, or raise --max-usd"
        return MachineError("--max-usd", f"{what} about {_dollars(usd)}", required, hint)

    def _usd(self, usage: "Usage") -> float | None:
        from harness.core.pricing import total_usd

        return None if self._economics is None else total_usd(self._economics.bill(usage))


class BudgetWatch:
    """Follows the cost of a run in the journal of its folder, which need not exist yet."""

    def __init__(self, budget: Budget, folder: Path) -> None:
        self._budget = budget
        self._timeline = JournalTail(folder / TIMELINE)
        self._reported = False

    def complaint(self) -> MachineError | None:
        """Return the error of a run whose cost exceeds the limit, once."""
        for row in self._timeline.new_rows():
            self._budget.add(row)
        found = None if self._reported else self._budget.complaint()
        self._reported = self._reported or found is not None
        return found


def _dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= _DIME_USD else f"${usd:.6f}"


def planned_usage(plan: "Plan") -> "Usage":
    """Return the usage of a run according to its schedule."""
    import numpy as np

    from harness.analysis.decide.cost_study import day_of
    from harness.core.pricing import Events, Usage
    from harness.load.schedule import Schedule

    day = day_of(plan.workload)
    recipients = day.connected * day.reach
    sizes, counts = np.unique(Schedule(plan).bytes, return_counts=True)
    return Usage(
        hours=plan.total_s / 3600,
        events=tuple(
            Events(float(size), float(count), float(count) * recipients)
            for size, count in zip(sizes, counts, strict=True)
        ),
        connected_peak=plan.users,
        provisioned=plan.users,
        connection_minutes=plan.users * plan.total_s / 60,
        connects=plan.users,
        subscribes=day.connected,
    )
