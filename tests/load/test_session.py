import time
from typing import Any

import gevent
import pytest

from harness.load.order import Endpoints, Order
from harness.load.worker import SUBSCRIBER, Worker
from harness.net.client import JoinError, JoinTimes


class Table:
    """Locust's table, which nobody looks at here."""

    def request(self, *_):
        """Take it."""

    deliveries = request


class Api:
    """A system that lets a user in only after some failed attempts."""

    def __init__(self, failures):
        self.failures = failures
        self.joins = 0

    def client(self, channel, memo, listener):
        self.listener = listener
        return self

    open = True

    def join(self, deadline):
        self.joins += 1
        if self.joins <= self.failures:
            raise JoinError("connect", "ECONNREFUSED", "connection refused")
        now_ns = time.time_ns()
        self.listener.confirmed(now_ns)
        return JoinTimes(now_ns - 1000, {"tcp": 1000}, now_ns)


@pytest.fixture(name="live")
def _live(make_plan):
    """Be one subscriber of a system for a moment; return what the worker knows of it."""

    def run(*, failures, retries):
        plan = make_plan()
        joins = plan.workload.joins.model_copy(update={"retries": retries, "retry_base_s": 0.001})
        workload = plan.workload.model_copy(update={"joins": joins})
        plan = plan.model_copy(update={"workload": workload})
        order = Order("run", time.time_ns() - 60 * 10**9, plan, Endpoints("", ""), ("local",))
        api: Any = Api(failures)
        table: Any = Table()
        worker = Worker(order, 0, api, lambda *_: None, table)
        user = gevent.spawn(worker.live, SUBSCRIBER)
        gevent.sleep(0.1)
        user.kill()
        worker.health.close()
        last = [session.row() for session in worker._all_sessions() if session.attempted]
        return worker.earlier_rows + last, worker.tally.take()["counters"][SUBSCRIBER]

    return run


def test_failed_join_is_tried_again_and_each_attempt_is_a_row(live):
    """Two refusals and a success are three attempts, two failures and three rows."""
    rows, counters = live(failures=2, retries=5)
    assert [(0, False), (1, False), (2, True)] == [
        (row["connection"], row["joined"]) for row in rows
    ]
    assert ["ECONNREFUSED", "ECONNREFUSED", None] == [row["failure_code"] for row in rows]
    assert (3, 2, 1) == tuple(
        counters[name] for name in ("joins_attempted", "joins_failed", "joins_succeeded")
    )


def test_retries_end_where_the_workload_says(live):
    """After the last retry the user stays out."""
    rows, counters = live(failures=100, retries=2)
    assert [0, 1, 2] == [row["connection"] for row in rows]
    assert (3, 3) == (counters["joins_attempted"], counters["joins_failed"])


def test_without_retries_one_failure_is_the_end(live):
    """The default is what a load test wants: a failure is a failure."""
    rows, _ = live(failures=1, retries=0)
    assert [(0, "connect")] == [(row["connection"], row["failure_stage"]) for row in rows]
