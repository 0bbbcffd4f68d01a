"""What was done to the system during a run, and how long it took to recover from it.

Recovery time runs from the end of a disturbance until the fan-out p99 is back inside its objective
for five seconds. A second in which nothing arrived is no evidence either way: it is passed over,
so that silence never counts as recovery and a quiet chat is not taken for a broken one.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import pandas as pd

from harness.analysis.run.record import Json, Record
from harness.analysis.run.slo import holds
from harness.core.clock import NS_PER_S
from harness.core.metric_types import MEASURE

HOLD_S: Final = 5
"""Seconds with deliveries that must all be inside the objective."""

OBJECTIVE: Final = "fan_out_latency_ms.p99"
"""The figure whose objective defines recovery."""


class Disturbance(NamedTuple):
    """One disturbance, in seconds of the run; one that never was over ends with the run."""

    name: str
    kind: str
    start_s: float
    end_s: float


def disturbances(record: Record) -> list[Disturbance]:
    """Return the disturbances that began during the run, in order of time."""
    found = [
        Disturbance(
            name=str(one["name"]),
            kind=str(one["kind"]),
            start_s=float(one["start_s"]),
            end_s=record.ended_s if one["end_s"] is None else float(one["end_s"]),
        )
        for one in record.run.get("disturbances") or []
        if one["start_s"] is not None and one["start_s"] < record.ended_s
    ]
    return sorted(found, key=lambda one: (one.start_s, one.end_s))


def fan_out_p99_ms(timeline: pd.DataFrame) -> "pd.Series[float]":
    """Return the fan-out p99 by second, ms: of the class of users that had it worst.

    Seconds without deliveries are missing.
    """
    return timeline.groupby("second")["fan_out_latency_ms_p99"].max().dropna().sort_index()


def objectives_on_p99(slos: Sequence[Json]) -> list[Json]:
    """Return the SLOs that define recovery: on the fan-out p99 while measuring."""
    return [
        slo for slo in slos if slo["metric"] == OBJECTIVE and slo.get("phase") in {None, MEASURE}
    ]


def seconds_inside(timeline: pd.DataFrame, objectives: Sequence[Json]) -> "pd.Series[bool]":
    """Return by second whether the fan-out p99 kept every objective, each for its kind of user.

    Seconds without deliveries are missing; without objectives all of them are.
    """
    kept = [
        fan_out_p99_ms(_of(slo.get("user_class"), timeline)).map(partial(holds, slo))
        for slo in objectives
    ]
    found: pd.Series[bool] = pd.concat([pd.Series(dtype=bool), *kept])
    return found.groupby(level=0).all().sort_index()


def recovery_s(inside: "pd.Series[bool]", end_s: float) -> float | None:
    """Return how long after ``end_s`` the fan-out p99 was inside its objectives for good.

    ``inside`` is the result of ``seconds_inside``.

    Returns:
        Seconds until the first of five seconds with deliveries in a row that are all inside, 0
        where the very second of the end is that one; None where there is no such second.
    """
    after = inside[inside.index >= math.floor(end_s)]
    for place, second in enumerate(after.index):
        held = after.iloc[place : place + HOLD_S]
        if len(held) == HOLD_S and held.all():
            return max(float(second) - end_s, 0.0)
    return None


def outcomes(record: Record) -> list[Json]:
    """Return each disturbance with what it did: worst p99, hang-ups, losses and recovery time.

    Its effects are counted from its start until another one begins, or until the run ends.
    """
    found = disturbances(record)
    objectives = objectives_on_p99(record.workload.get("slos", []))
    inside = seconds_inside(record.timeline, objectives)
    p99_ms = fan_out_p99_ms(record.timeline)
    results = []
    for one in found:
        later_s = [other.start_s for other in found if other.start_s > one.start_s]
        effects = _effects(record, p99_ms, one.start_s, min(later_s, default=record.ended_s))
        recovery = recovery_s(inside, one.end_s)
        results.append({**one._asdict(), **effects, "recovery_s": recovery})
    return results


def longest_recovery_s(results: Sequence[Json]) -> float | None:
    """Return the longest recovery time; None where there is none, or one never ended."""
    times = [one["recovery_s"] for one in results]
    return None if None in times else max(times, default=None)


def _of(user_class: str | None, timeline: pd.DataFrame) -> pd.DataFrame:
    return timeline if user_class is None else timeline[timeline["user_class"] == user_class]


def _effects(
    record: Record, p99_ms: "pd.Series[float]", start_s: float, until_s: float
) -> dict[str, Any]:
    """Return what was seen between two seconds of the run; unknown is None.

    A message counts where it was last seen: one that was under way when a disturbance began, and
    was still arriving, is that one's loss.
    """
    timeline, messages = record.timeline, record.messages
    seconds = timeline["second"].between(math.floor(start_s), until_s, inclusive="left")
    peak_ms = p99_ms[(p99_ms.index >= math.floor(start_s)) & (p99_ms.index < until_s)].max()
    seen_ns = messages["last_arrival_ns"].fillna(messages["intended_ns"])
    seen_s = (seen_ns - record.epoch_ns) / NS_PER_S
    lost = messages["lost"][seen_s.between(start_s, until_s, inclusive="left")].sum()
    return {
        "fan_out_p99_ms_peak": None if pd.isna(peak_ms) else float(peak_ms),
        "disconnects": int(timeline["disconnects"][seconds].sum()),
        "lost": int(lost) if record.is_complete else None,
    }
