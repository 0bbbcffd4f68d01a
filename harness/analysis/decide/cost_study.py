"""What a day of live chat costs on each system, and where one becomes cheaper than another.

Every figure is a bill of ``economics.py`` for a ``Day``; there are no prices here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist
from typing import Final

from harness.core.pricing import (
    Day,
    Economics,
    Line,
    is_made_of_others,
    priced_systems,
    switches_of,
    total_usd,
)
from harness.core.system import system_named
from harness.scenario.event_bytes import ChoiceBytes, FixedBytes, LognormalBytes
from harness.scenario.workload import Workload

POLLING: Final = "polling"
"""The system of those who poll beside a hybrid's chatters."""
CHATTERS_RATIO: Final = 1 / 6
"""Share of the users who write: 5,000 of 30,000."""

_USERS: Final = (1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000)
_MESSAGES: Final = (100, 500, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000)
_GRID_USERS: Final = (1_000, 5_000, 30_000, 100_000)
_GRID_MESSAGES: Final = (1_000, 25_000, 100_000)
_WINDOWS_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
_LIVE_HOURS: Final = (24.0, 4.0)
_SIZES_BYTES: Final = (512, 5 * 1024, 5 * 1024 + 1, 12 * 1024, 33 * 1024)
_HALVINGS: Final = 80


@dataclass(frozen=True)
class Alternative:
    """The amount of a bill with one switch turned the other way."""

    switch: str
    question: str
    usd: float


@dataclass(frozen=True)
class Bill:
    """What a system costs a day, line by line."""

    system: str
    name: str
    users: float
    usd: float
    lines: tuple[Line, ...]
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class Case:
    """One way to carry the load: its bills by system."""

    title: str
    bills: tuple[Bill, ...]


@dataclass(frozen=True)
class Curve:
    """Cost of a day over users or messages, by the names of systems, which ``systems`` orders."""

    over: str
    at: tuple[float, ...]
    usd: Mapping[str, tuple[float, ...]]
    systems: tuple[str, ...]


@dataclass(frozen=True)
class BreakEven:
    """Where two systems cost the same; None where one is cheaper in the whole range."""

    question: str
    unit: str
    at: float | None
    cheaper_above: str


@dataclass(frozen=True)
class Step:
    """Cost of a day for one choice, by the names of systems."""

    choice: str
    events: float
    event_bytes: float
    usd: Mapping[str, float]


@dataclass(frozen=True)
class CostStudy:
    """The assumptions about a day and the systems to compare."""

    day: Day
    flipped: tuple[str, ...]
    cases: tuple[Case, ...]
    hybrids: Mapping[str, float]
    curves: tuple[Curve, ...]
    break_evens: tuple[BreakEven, ...]
    coalescing: tuple[Step, ...]
    sizes: tuple[Step, ...]
    idle: Mapping[str, float]
    idle_bills: tuple[Bill, ...]
    grid: tuple[Step, ...]


def study_day(
    day: Day, flipped: Sequence[str] = (), chatters_ratio: float = CHATTERS_RATIO
) -> CostStudy:
    """Return what a day with everyone connected costs in every respect.

    ``flipped`` names switches to turn the other way. Users who do not write can poll.
    """
    systems = _Systems(priced_systems(), flipped)
    chatters = replace(day, connected=day.connected * chatters_ratio)
    viewers = replace(day, connected=day.connected - chatters.connected)
    polls_usd = systems.usd(POLLING, viewers)
    return CostStudy(
        day=day,
        flipped=tuple(flipped),
        cases=(
            Case("Everyone connected", tuple(systems.bill(name, day) for name in systems.all)),
            Case(
                "Only chatters connected",
                tuple(systems.bill(name, chatters) for name in systems.push),
            ),
            Case("Viewers polling", (systems.bill(POLLING, viewers),)),
        ),
        hybrids={
            title: usd + polls_usd
            for title, usd in systems.each_usd(systems.push, chatters).items()
        },
        curves=(
            systems.curve("users connected", _USERS, [replace(day, connected=n) for n in _USERS]),
            systems.curve(
                "messages a day", _MESSAGES, [replace(day, messages=n) for n in _MESSAGES]
            ),
        ),
        break_evens=_break_evens(systems, day, viewers),
        coalescing=tuple(
            _coalesced(systems, replace(day, hours=hours), window_s)
            for hours in _LIVE_HOURS
            for window_s in _WINDOWS_S
        ),
        sizes=tuple(_of_size(systems, day, size) for size in _SIZES_BYTES),
        idle=systems.each_usd(systems.all, day.idle()),
        idle_bills=tuple(systems.bill(name, day.idle()) for name in systems.all),
        grid=tuple(
            _at(systems, replace(day, connected=users, messages=messages))
            for users in _GRID_USERS
            for messages in _GRID_MESSAGES
        ),
    )


def coalesced_events(messages: float, live_s: float, window_s: float) -> float:
    """Return how many events are left when those of a window travel as one.

    Messages are due at random (Poisson) over ``live_s``; a window opens at fixed times and is sent
    unless it is empty: windows × (1 − e^(−rate × window)).
    """
    if not window_s:
        return messages
    return live_s / window_s * -math.expm1(-messages / live_s * window_s)


def crossing(difference: Callable[[float], float], low: float, high: float) -> float | None:
    """Return where a function changes its sign between two positive bounds, or None.

    By bisection of the logarithm, so that it is as precise in every decade.
    """
    below = difference(low) < 0
    if below == (difference(high) < 0):
        return None
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        if (difference(middle) < 0) == below:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


class _Systems:
    """The price lists, with the switches as chosen."""

    def __init__(self, economics: Mapping[str, Economics], flipped: Sequence[str]) -> None:
        self._economics = economics
        self._flipped = tuple(flipped)
        # Those made of others are the sums in ``hybrids``.
        self.all = tuple(name for name, one in economics.items() if not is_made_of_others(one))
        self.push = tuple(name for name in self.all if not system_named(name).polling_classes)

    def title(self, system: str) -> str:
        return system_named(system).title

    def usd(self, system: str, day: Day) -> float:
        return total_usd(self._economics[system].bill(day.usage()), self._flipped)

    def bill(self, system: str, day: Day) -> Bill:
        lines = self._economics[system].bill(day.usage())
        alternatives = (
            Alternative(
                each.name, each.question, total_usd(lines, set(self._flipped) ^ {each.name})
            )
            for each in switches_of(lines)
        )
        usd = total_usd(lines, self._flipped)
        return Bill(system, self.title(system), day.connected, usd, lines, tuple(alternatives))

    def each_usd(self, names: Sequence[str], day: Day) -> Mapping[str, float]:
        return {self.title(name): self.usd(name, day) for name in names}

    def curve(self, over: str, at: tuple[float, ...], days: Sequence[Day]) -> Curve:
        usd = {self.title(name): tuple(self.usd(name, day) for day in days) for name in self.all}
        return Curve(over, at, usd, self.all)


def _break_evens(systems: _Systems, day: Day, viewers: Day) -> tuple[BreakEven, ...]:
    services = [name for name in systems.push if systems.usd(name, day.idle()) == 0]
    servers = [name for name in systems.push if name not in services]
    pairs = [*product(services, servers)]
    pairs += [(one, other) for one, other in product(services, repeat=2) if one > other]
    return (
        *(_push_or_poll(systems, name, viewers) for name in services),
        *(_by_messages(systems, one, other, day) for one, other in pairs),
    )


def _push_or_poll(systems: _Systems, name: str, viewers: Day) -> BreakEven:
    pushed_usd = systems.usd(name, viewers)
    at = crossing(
        lambda interval_s: (
            systems.usd(POLLING, replace(viewers, poll_interval_s=interval_s)) - pushed_usd
        ),
        0.1,
        3600,
    )
    question = f"Poll interval at which viewers cost as much as on {systems.title(name)}"
    return BreakEven(question, "s", at, systems.title(POLLING))


def _by_messages(systems: _Systems, one: str, other: str, day: Day) -> BreakEven:
    def difference(messages: float) -> float:
        at = replace(day, messages=messages)
        return systems.usd(one, at) - systems.usd(other, at)

    at = crossing(difference, 1, 10_000_000)
    cheaper = other if difference(10_000_000) > 0 else one
    question = f"Messages a day at which {systems.title(one)} and {systems.title(other)} cost alike"
    return BreakEven(question, "messages a day", at, systems.title(cheaper))


def _coalesced(systems: _Systems, day: Day, window_s: float) -> Step:
    events = coalesced_events(day.messages, day.hours * 3600, window_s)
    factor = day.messages / events if events else 1.0
    sizes = tuple((size * factor, share) for size, share in day.sizes)
    choice = f"{window_s:g} s windows" if window_s else "each message by itself"
    return _step(
        systems, replace(day, messages=events, sizes=sizes), f"{choice}, live {day.hours:g} h"
    )


def _of_size(systems: _Systems, day: Day, size_bytes: int) -> Step:
    return _step(systems, replace(day, sizes=((size_bytes, 1.0),)), f"{size_bytes:,} bytes")


def _at(systems: _Systems, day: Day) -> Step:
    choice = f"{day.connected:,.0f} users, {day.messages:,.0f} messages"
    usd = systems.each_usd(systems.all, day)
    return Step(choice, day.messages, day.sizes[0][0], usd)


def _step(systems: _Systems, day: Day, choice: str) -> Step:
    mean_bytes = sum(size * share for size, share in day.sizes)
    return Step(choice, day.messages, mean_bytes, systems.each_usd(systems.push, day))


_SLICES: Final = 100
"""A lognormal size is taken as this many sizes, each as likely as the others."""


def day_of(workload: Workload) -> Day:
    """Return a day of this workload: its users all day, its messages, sizes and rooms.

    Messages that the file gives by rate go on at that rate all day.
    """
    publishing = workload.publishing
    per_day = publishing.messages_per_day
    return Day(
        connected=workload.population.listeners,
        messages=publishing.mean_rate_per_s * 86_400 if per_day is None else per_day,
        sizes=_sizes(publishing.event_bytes),
        reach=workload.channels.reach,
        subscriptions_per_session=workload.channels.subscriptions_mean,
    )


def chatters_ratio(workload: Workload) -> float:
    """Return the share of a workload's users who write."""
    return workload.population.chatters / workload.population.users


def _sizes(drawn: LognormalBytes | FixedBytes | ChoiceBytes) -> tuple[tuple[float, float], ...]:
    if isinstance(drawn, FixedBytes):
        return ((drawn.value, 1.0),)
    if isinstance(drawn, ChoiceBytes):
        weights = drawn.weights or (1.0,) * len(drawn.values)
        return tuple(
            (size, weight / sum(weights))
            for size, weight in zip(drawn.values, weights, strict=True)
        )
    sigma = math.log(drawn.p99 / drawn.median) / NormalDist().inv_cdf(0.99)
    spread = NormalDist(math.log(drawn.median), sigma)
    middles = ((slice_ + 0.5) / _SLICES for slice_ in range(_SLICES))
    return tuple(
        (min(max(math.exp(spread.inv_cdf(middle)), drawn.minimum), drawn.maximum), 1 / _SLICES)
        for middle in middles
    )
