"""A team's need checked against quotas and price lists, without any run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.analysis.decide.cost_study import POLLING
from harness.analysis.run.cost import day_like
from harness.analysis.run.finalize import Analysis
from harness.core.pricing import Day, Economics, Line, Quota, priced_systems, total_usd
from harness.core.system import system_named
from harness.scenario.study import StudyNeed, StudySystem

_BOUNDS: Final = {
    "connected": ("connections", "polls_per_s"),
    "messages": ("deliveries_per_s",),
    "chatters": ("publishes_per_s",),
    "scale_up": ("connects_per_s",),
}
"""Which quotas speak about which requirement."""

PRICE_LIST: Final = "price list"
"""The source of the cost of a day without connections."""


@dataclass(frozen=True)
class PaperFigure:
    """What follows from a quota or a price list, in words.

    ``is_enough`` is None where that is not the question.
    """

    text: str
    is_enough: bool | None
    source: str


@dataclass(frozen=True)
class SystemCost:
    """What a day of the need costs on one system of a study.

    Attributes:
        name: The system's price lists' names; empty where there is none.
        usd_day: A day of the need, by the price list alone; None without one.
        usd_idle: A day without connections.
        usd_measured: The same day with the reach and the handler calls of a run.
        usd_run: What that run itself used.
        bills: The lines of ``usd_day`` by price list.
    """

    system: StudySystem
    name: str
    usd_day: float | None
    usd_idle: float | None
    usd_measured: float | None
    usd_run: float | None
    bills: tuple[tuple[str, tuple[Line, ...]], ...]


def day_of_need(need: StudyNeed) -> Day:
    """Return the day that the need describes, with all users connected all day."""
    return Day(
        connected=need.connected,
        messages=need.messages_per_day,
        sizes=((float(need.event_bytes), 1.0),),
    )


def cost_of_system(
    need: StudyNeed, system: StudySystem, target_system: str, runs: Sequence[Analysis]
) -> SystemCost:
    """Return what a system costs a day; None wherever it has no price list.

    Its target's own name stands in for ``priced_as``. The runs are valid and at a steady load; the
    events of the first one count.
    """
    name = system.priced_as or target_system
    lists = priced_systems()
    if name not in lists:
        return SystemCost(system, "", None, None, None, None, ())
    day = day_of_need(need)
    parts = _parts(need, system, name, day)
    like = day_like(runs[0].record, day) if runs else None
    measured = _parts(need, system, name, like) if like else ()
    used = runs[0].summary.get("cost", {}).get("usd_run") if runs else None
    return SystemCost(
        system,
        " + ".join(system_named(each).title for each, _ in parts),
        _usd(lists, parts),
        _usd(lists, [(each, one.idle()) for each, one in parts]),
        _usd(lists, measured) if measured else None,
        used,
        tuple((system_named(each).title, lists[each].bill(one.usage())) for each, one in parts),
    )


def paper_of(
    about: str, need: StudyNeed, system: StudySystem, cost: SystemCost
) -> tuple[PaperFigure, ...]:
    """Return what follows from quotas and prices for a requirement."""
    if about == "scale_to_zero":
        if cost.usd_idle is None:
            return ()
        text = f"${cost.usd_idle:,.2f} a day without connections"
        return (PaperFigure(text, not cost.usd_idle, PRICE_LIST),)
    lists = priced_systems()
    names = [system.priced_as] if system.priced_as in lists else []
    names += [POLLING] if system.viewers_poll_every_s else []
    quotas = [quota for name in names if name for quota in lists[name].QUOTAS]
    return tuple(
        _in_words(quota, need, system) for quota in quotas if quota.bounds in _BOUNDS[about]
    )


def _parts(
    need: StudyNeed, system: StudySystem, name: str, day: Day
) -> tuple[tuple[str, Day], ...]:
    """Return which price list holds for which day: two of them for a hybrid."""
    interval_s = system.viewers_poll_every_s
    if interval_s is None:
        return ((name, day),)
    viewers = max(need.connected - need.chatters, 0)
    return (
        (name, replace(day, connected=min(need.chatters, need.connected))),
        (POLLING, replace(day, connected=viewers, poll_interval_s=interval_s)),
    )


def _usd(lists: Mapping[str, Economics], parts: Sequence[tuple[str, Day]]) -> float:
    return sum(total_usd(lists[name].bill(day.usage())) for name, day in parts)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _in_words(quota: Quota, need: StudyNeed, system: StudySystem) -> PaperFigure:
    pushed = need.chatters if system.viewers_poll_every_s else need.connected
    polling = need.connected - need.chatters if system.viewers_poll_every_s else need.connected
    source, limit = f"{quota.source}, {quota.as_of}", quota.limit
    if quota.bounds == "connections":
        servers = math.ceil(pushed / limit)
        return PaperFigure(f"{servers} servers of {limit:,.0f} connections", None, source)
    if quota.bounds == "connects_per_s":
        text = f"{pushed:,} accepted within {_amount(pushed / limit)} s at {limit:,.0f}/s"
        return PaperFigure(text, limit >= need.joins_per_s, source)
    if quota.bounds == "publishes_per_s":
        return PaperFigure(f"{limit:,.0f} publishes/s", limit >= need.messages_per_s, source)
    if quota.bounds == "polls_per_s":
        text = f"{polling:,} may ask every {_amount(polling / limit)} s at {limit:,.0f} requests/s"
        return PaperFigure(text, None, source)
    rate_per_s = limit / pushed
    text = f"{_amount(rate_per_s)} messages/s to {pushed:,} at {limit:,.0f} deliveries/s"
    return PaperFigure(text, rate_per_s >= need.messages_per_s, source)
