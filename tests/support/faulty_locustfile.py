"""The packaged locustfile with a fault of the load generator: the variable FAULT says which."""

import os
import time

import gevent
import locust  # noqa: F401  patches the standard library for gevent
from gevent.monkey import get_original
from locust import events

FAULT = os.environ["FAULT"]
BLOCKED_S = 1.5
LATE_S = 0.3
STEP_NS = 60_000_000

true_time_ns = time.time_ns
steps_ns: list[int] = []
if FAULT == "clock step":
    # Before anything of ours is imported, since a module may keep the function by name.
    time.time_ns = lambda: true_time_ns() + sum(steps_ns)


from harness.load.locustfile import Chatter, Subscriber  # noqa: E402, F401
from harness.load.master.coordinator import Coordinator  # noqa: E402
from harness.load.options import START_DELAY_S  # noqa: E402
from harness.load.worker.publisher import Publisher  # noqa: E402
from harness.load.worker.worker import Worker  # noqa: E402
from harness.measure.ledger import SubscriberLedger  # noqa: E402

AFTER_S = START_DELAY_S + 4.0
"""From the start of the test to the fault: while the run measures."""


def step_clock():
    steps_ns.append(STEP_NS)


def block_loop():
    get_original("time", "sleep")(BLOCKED_S)


def fail(*_, **__):
    raise ZeroDivisionError("planted")


def break_method(owner, *names):
    for name in names:
        setattr(owner, name, lambda *args, **kwargs: fail(args, kwargs))


def break_ledger():
    break_method(SubscriberLedger, "delivered", "delivered_together")


def break_report():
    break_method(Worker, "_take_deliveries")


def break_watch():
    break_method(Coordinator, "_reason_to_abort")


def break_conclusion():
    break_method(Coordinator, "_report")


def publish_late(publisher):
    """Follow the schedule in a greenlet that always oversleeps, and that nothing else wakes."""
    publisher._set_due = lambda intended_s: None
    while publisher._next is not None:
        wait_s = publisher._next.intended_s - publisher._context.clock.elapsed_s()
        gevent.sleep(max(wait_s, 0.0) + LATE_S)
        publisher.send_due()


if FAULT == "late schedule":
    setattr(Publisher, "run", publish_late)  # noqa: B010  mypy allows no other way
else:
    fault = {
        "clock step": step_clock,
        "blocked loop": block_loop,
        "broken ledger": break_ledger,
        "broken report": break_report,
        "broken watch": break_watch,
        "broken conclusion": break_conclusion,
    }[FAULT]
    events.test_start.add_listener(lambda **_: gevent.spawn_later(AFTER_S, fault))
