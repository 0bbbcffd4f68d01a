"""Disturbances that users cause during a run: they leave, come back, or stop reading.

Each worker applies them to its own users, at times that depend on the plan alone.
"""

from collections.abc import Callable, Iterator
from functools import partial

import gevent

from harness.load.schedule import disturbance_order, spread_s
from harness.load.worker.population import Population
from harness.load.worker.run_context import RunContext
from harness.load.worker.session import UserSession
from harness.scenario.disturbances import Exit, SlowReaders

Chosen = list[tuple[float, UserSession]]
"""The users that a disturbance affects, in order of their time in it, as a fraction from 0 to 1."""


def client_disturbances(population: Population) -> Iterator[Callable[[], None]]:
    """Yield the body of a greenlet for each disturbance that users cause."""
    plan = population.context.plan
    for place, one in enumerate(plan.workload.disturbances):
        at_s = plan.measure_start_s + one.at_s
        if isinstance(one, Exit):
            yield partial(_exit, population, one, place, at_s)
        elif isinstance(one, SlowReaders):
            yield partial(_slow_readers, population, one, place, at_s)


def _exit(population: Population, one: Exit, place: int, at_s: float) -> None:
    context = population.context
    _sleep_until(context, at_s)
    chosen = _chosen(population, place, one.share)
    for fraction, session in chosen:
        _sleep_until(context, at_s + fraction * one.length_s)
        gevent.spawn(session.leave)
    if one.back_after_s is None:
        return
    back_s = context.plan.users * one.share / one.back_rate_per_s
    for fraction, session in chosen:
        _sleep_until(context, at_s + one.back_after_s + fraction * back_s)
        gevent.spawn(session.come_back)


def _slow_readers(population: Population, one: SlowReaders, place: int, at_s: float) -> None:
    _sleep_until(population.context, at_s)
    chosen = _chosen(population, place, one.share)
    for _, session in chosen:
        session.pause(paused=True)
    _sleep_until(population.context, at_s + one.length_s)
    for _, session in chosen:
        session.pause(paused=False)


def _sleep_until(context: RunContext, second: float) -> None:
    wait_s = second - context.clock.elapsed_s()
    if wait_s > 0:
        gevent.sleep(wait_s)


def _chosen(population: Population, place: int, share: float) -> Chosen:
    """Return the users of this worker that a disturbance affects."""
    context = population.context
    chosen: Chosen = []
    for user_class, count in context.users.items():
        taken = disturbance_order(context.plan, user_class, count, place)[: round(count * share)]
        fractions = spread_s(len(taken), 1.0)
        held = population.of_class(user_class)
        chosen += [
            (float(fraction), held[user // context.workers])
            for user, fraction in zip(taken.tolist(), fractions, strict=True)
            if user % context.workers == context.number and user // context.workers < len(held)
        ]
    return sorted(chosen, key=lambda one: one[0])
