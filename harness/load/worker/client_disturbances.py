"""What users do on purpose during a run: leave, come back, stop reading.

Each worker does it to the users it holds, at times that follow from the plan alone.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import gevent

from harness.load.join_schedule import crowd, spread_s
from harness.load.worker.session import UserSession
from harness.scenario.disturbances import Exit, SlowReaders

if TYPE_CHECKING:
    from harness.load.worker.worker import Worker

Chosen = list[tuple[float, UserSession]]
"""Users of a disturbance, each with its place in it from 0 up to 1, in that order."""


def disturbing(worker: "Worker") -> Iterator[Callable[[], None]]:
    """Yield the body of a greenlet for each disturbance that users make."""
    for place, one in enumerate(worker.plan.workload.disturbances):
        at_s = worker.plan.measure_start_s + one.at_s
        if isinstance(one, Exit):
            yield partial(_exit, worker, one, place, at_s)
        elif isinstance(one, SlowReaders):
            yield partial(_slow_readers, worker, one, place, at_s)


def _exit(worker: "Worker", one: Exit, place: int, at_s: float) -> None:
    _sleep_until(worker, at_s)
    chosen = _chosen(worker, place, one.share)
    for share, session in chosen:
        _sleep_until(worker, at_s + share * one.length_s)
        gevent.spawn(session.leave)
    if one.back_after_s is None:
        return
    back_s = worker.plan.users * one.share / one.back_rate_per_s
    for share, session in chosen:
        _sleep_until(worker, at_s + one.back_after_s + share * back_s)
        gevent.spawn(session.come_back)


def _slow_readers(worker: "Worker", one: SlowReaders, place: int, at_s: float) -> None:
    _sleep_until(worker, at_s)
    chosen = _chosen(worker, place, one.share)
    for _, session in chosen:
        session.pause(paused=True)
    _sleep_until(worker, at_s + one.length_s)
    for _, session in chosen:
        session.pause(paused=False)


def _sleep_until(worker: "Worker", second: float) -> None:
    wait_s = second - worker.clock.elapsed_s()
    if wait_s > 0:
        gevent.sleep(wait_s)


def _chosen(worker: "Worker", place: int, share: float) -> Chosen:
    """Return which users of this worker a disturbance takes."""
    workers = len(worker.order.workers)
    chosen: Chosen = []
    for user_class, count in worker.population.items():
        taken = crowd(worker.plan, user_class, count, place)[: round(count * share)]
        spread = spread_s(len(taken), 1.0)
        held = worker.sessions_of(user_class)
        chosen += [
            (float(share_of_time), held[user // workers])
            for user, share_of_time in zip(taken.tolist(), spread, strict=True)
            if user % workers == worker.number and user // workers < len(held)
        ]
    return sorted(chosen, key=lambda one: one[0])
