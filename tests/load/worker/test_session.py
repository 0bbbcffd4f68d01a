import time
from typing import Any

import gevent
import pytest

from harness.core.metric_types import SUBSCRIBER
from harness.core.peer_limits import LONGEST_WAIT_S
from harness.load.worker.clock_sync import ClockSync
from harness.load.worker.worker import Worker
from harness.load.worker_protocol import Endpoints, RunAssignment
from harness.net.client import JoinError, JoinTimes
from harness.scenario.disturbances import Reconnect
from tests.support.listeners import wait_for
from tests.support.plans import make_plan, revised


class Table:
    """Locust's table, not checked here."""

    def request(self, *_):
        """Take it."""

    deliveries = request


def started(system, **workload):
    """Return a worker of a system whose subscribers join, and the greenlet in which they do."""
    plan = revised(make_plan(), **workload)
    began_ns = time.time_ns() - 60 * 10**9
    assignment = RunAssignment("run", began_ns, plan, Endpoints("", ""), ("local",))
    table: Any = Table()
    worker = Worker(assignment, 0, system, lambda *_: None, table, ClockSync.local())
    sessions = worker.population.new_sessions(SUBSCRIBER)
    return worker, gevent.spawn(worker.population.join_all, sessions)


def live(*, failures, retries):
    """Be one subscriber of a system for a moment; return what the worker knows of it."""
    system = System(refused=range(1, failures + 1))
    worker, user = started(system, joins={"retries": retries, "retry_base_s": 0.001})
    wait_for(lambda: system.joins == min(failures, retries) + 1)
    gevent.sleep(0.05)  # For an attempt too many.
    user.kill()
    context = worker.context
    context.health.close()
    last = [session.row() for session in worker.population if session.attempted]
    return context.earlier_rows + last, context.stats.take()["counters"][SUBSCRIBER]


def test_failed_join_is_tried_again_and_each_attempt_is_a_row():
    """Two refusals and a success are three attempts, two failures and three rows."""
    rows, counters = live(failures=2, retries=5)
    assert [(0, False), (1, False), (2, True)] == [
        (row["connection"], row["joined"]) for row in rows
    ]
    assert ["ECONNREFUSED", "ECONNREFUSED", None] == [row["failure_code"] for row in rows]
    assert (3, 2, 1) == tuple(
        counters[name] for name in ("joins_attempted", "joins_failed", "joins_succeeded")
    )


def test_retries_end_where_the_workload_says():
    """After the last retry the user stays out."""
    rows, counters = live(failures=100, retries=2)
    assert [0, 1, 2] == [row["connection"] for row in rows]
    assert (3, 3) == (counters["joins_attempted"], counters["joins_failed"])


def test_without_retries_one_failure_is_the_end():
    """The default is what a load test wants: a failure is a failure."""
    rows, _ = live(failures=1, retries=0)
    assert [(0, "connect")] == [(row["connection"], row["failure_stage"]) for row in rows]


class Line:
    """One connection to a system that the test can break."""

    open = True
    heard_ns = 0
    silence_limit_s = None
    stall_limit_s = None

    def __init__(self, system, listener):
        self.system = system
        self.listener = listener
        self.paused = False

    def join(self, deadline):
        self.system.joins += 1
        if self.system.joins in self.system.refused:
            raise JoinError(
                "connect",
                "ECONNREFUSED",
                "connection refused",
                is_final=self.system.is_final,
                asked_wait_s=self.system.asked_wait_s,
            )
        now_ns = time.time_ns()
        self.heard_ns = now_ns
        self.listener.confirmed(now_ns)
        return JoinTimes(now_ns - 1000, {"tcp": 1000}, now_ns)

    def pause(self, *, paused):
        self.paused = paused

    def close(self):
        self.open = False

    drop = close


class System:
    """A system whose lines the test can break; refuses the joins numbered in ``refused``."""

    def __init__(self, refused=(), *, is_final=False, asked_wait_s=0.0):
        self.joins = 0
        self.asked_wait_s = asked_wait_s
        self.refused = refused
        self.is_final = is_final
        self.lines = []

    def client(self, channel, frame_cache, listener):
        self.lines.append(Line(self, listener))
        return self.lines[-1]


@pytest.fixture(name="subscriber")
def _subscriber():
    """Return a function that gives one connected subscriber of a system, with its worker."""
    ending = []

    def connect(system, **reconnect):
        policy = Reconnect(**{"policy": "fixed", "base_s": 0.01, **reconnect})
        worker, user = started(system, reconnect=policy)
        ending.extend((user.kill, worker.context.health.close))
        wait_for(lambda: worker.context.connected[SUBSCRIBER] == 1)
        return worker.context, worker.population.of_class(SUBSCRIBER)[0]

    yield connect
    for end in ending:
        end()


def test_lost_connection_is_replaced_and_each_one_is_a_row(subscriber):
    """Disconnected, refused once, connected: three rows, the first with the reason of its end."""
    system = System(refused={2})
    context, session = subscriber(system)
    system.lines[0].listener.ended(1001, "going away", time.time_ns())
    wait_for(lambda: session.connected)
    rows = [*context.earlier_rows, session.row()]
    assert [(0, True, 1001), (1, False, None), (2, True, None)] == [
        (row["connection"], row["joined"], row["close_code"]) for row in rows
    ]
    assert rows[0]["owed_until_ns"] < rows[2]["owed_from_ns"]
    assert {SUBSCRIBER: 1} == context.connected


def test_user_who_never_reconnects_stays_away(subscriber):
    """The policy "never" leaves one row and no connection."""
    system = System()
    context, session = subscriber(system, policy="never")
    system.lines[0].listener.ended(1001, "going away", time.time_ns())
    gevent.sleep(0.05)
    assert (1, False, []) == (system.joins, session.connected, context.earlier_rows)


def test_user_who_is_refused_again_and_again_gives_up(subscriber):
    """Three attempts after a loss are three refused joins and no more."""
    system = System(refused=range(2, 100))
    _, session = subscriber(system, attempts=3)
    system.lines[0].listener.ended(1006, "reset", time.time_ns())
    wait_for(lambda: system.joins == 4)
    gevent.sleep(0.05)
    assert (4, False) == (system.joins, session.connected)


def test_browser_comes_back_when_told_and_never_after_a_final_answer(subscriber):
    """The system's own time replaces base_s; an answer that is no stream ends it for good."""
    system = System(refused={3}, is_final=True)
    _, session = subscriber(system, policy="browser", base_s=100.0)
    session.told_to_wait(0.01)
    system.lines[0].listener.ended(1000, "stream_end", time.time_ns())
    wait_for(lambda: system.joins == 2 and session.connected)
    system.lines[1].listener.ended(1000, "stream_end", time.time_ns())
    wait_for(lambda: system.joins == 3)
    gevent.sleep(0.05)
    assert (3, False) == (system.joins, session.connected)


def test_no_system_keeps_a_user_away_for_longer_than_a_day(subscriber):
    """A server-sent event may ask for 10^15 seconds."""
    _, session = subscriber(System())
    session.told_to_wait(1e15)
    assert LONGEST_WAIT_S == session._requested_wait_s


def test_user_who_leaves_is_not_brought_back_until_told(subscriber, monkeypatch):
    """Leaving is no loss: it counts as no disconnect, and coming back is a new row."""
    system = System()
    context, session = subscriber(system)
    monkeypatch.setattr("harness.load.worker.session.LINGER_S", 0.02)
    session.leave()
    wait_for(lambda: context.connected[SUBSCRIBER] == 0)
    gevent.sleep(0.05)
    assert (1, 0) == (system.joins, context.connected[SUBSCRIBER])
    session.come_back()
    assert (2, 1) == (system.joins, context.connected[SUBSCRIBER])
    assert ["left"] == [row["close_reason"] for row in context.earlier_rows]


def test_connection_silent_for_longer_than_the_system_allows_is_given_up(subscriber):
    """No keep-alive for longer than the limit ends it as a loss, and the user comes back."""
    system = System()
    context, session = subscriber(system)
    system.lines[0].silence_limit_s = 300.0
    heard_ns = system.lines[0].heard_ns
    session.check_liveness(heard_ns + 299 * 10**9)
    assert session.connected
    session.check_liveness(heard_ns + 301 * 10**9)
    wait_for(lambda: session.connected)
    assert ["stalled: silent for 300 s"] == [row["close_reason"] for row in context.earlier_rows]
    (error,) = context.stats.take()["errors"]
    assert ["receive", "Disconnected", "stalled", "silent for 300 s", 1] == list(error)


def test_silence_that_clients_bear_is_counted_once_until_something_comes(subscriber):
    """The connection stays; the next silence is another error."""
    context, session = subscriber(System())
    line = session._client
    line.stall_limit_s = 30.0
    for after_s in (29, 31, 36):
        session.check_liveness(line.heard_ns + after_s * 10**9)
    assert session.connected
    (error,) = context.stats.take()["errors"]
    assert ["receive", "Stalled", "stalled", "no byte for more than 30 s", 1] == list(error)
    line.heard_ns += 40 * 10**9
    for after_s in (1, 31):
        session.check_liveness(line.heard_ns + after_s * 10**9)
    assert [1] == [error[-1] for error in context.stats.take()["errors"]]


def test_user_who_does_not_read_hears_no_silence(subscriber):
    """Arrivals stay in the kernel, so silence cannot be detected."""
    context, session = subscriber(System())
    line = session._client
    line.stall_limit_s, line.silence_limit_s = 30.0, 300.0
    session.pause(paused=True)
    session.check_liveness(time.time_ns() + 10**12)
    session.pause(paused=False)
    session.check_liveness(time.time_ns() + 29 * 10**9)
    assert (True, []) == (session.connected, context.stats.take()["errors"])
    session.check_liveness(time.time_ns() + 31 * 10**9)
    assert ["stalled"] == [error[2] for error in context.stats.take()["errors"]]


def test_outcome_of_a_systems_own_is_the_errors_code_and_in_the_reason(subscriber):
    """The close code stays beside it, for those who compare systems."""
    context, session = subscriber(System(), policy="never")
    session.ended(1006, "connection reset", time.time_ns(), "stream_reset")
    row = session.row()
    assert (1006, "stream_reset: connection reset") == (row["close_code"], row["close_reason"])
    (error,) = context.stats.take()["errors"]
    assert ["receive", "Disconnected", "stream_reset", "connection reset", 1] == list(error)


def test_without_an_outcome_the_close_code_is_the_errors_code(subscriber):
    """As a WebSocket has it."""
    context, session = subscriber(System(), policy="never")
    session.ended(1001, "going away", time.time_ns())
    assert "going away" == session.row()["close_reason"]
    assert ["1001"] == [error[2] for error in context.stats.take()["errors"]]


def test_user_whom_the_system_asks_to_wait_does_so_before_the_next_attempt(subscriber):
    """In a join's retries as after a loss; the policy's own wait comes on top."""
    system = System(refused={2}, asked_wait_s=0.3)
    _, session = subscriber(system)
    began_s = time.monotonic()
    system.lines[0].listener.ended(1001, "going away", time.time_ns())
    wait_for(lambda: system.joins == 3)
    assert 0.3 <= time.monotonic() - began_s
    assert session.connected


@pytest.mark.parametrize(
    ("policy", "attempt", "expected_s"),
    [
        ("fixed", 7, 3.0),
        ("full_jitter", 0, 1.5),
        ("full_jitter", 2, 6.0),
        ("full_jitter", 9, 10.0),
        ("browser", 7, 3.0),
    ],
)
def test_wait_before_reconnecting_follows_the_policy(policy, attempt, expected_s):
    """Fixed never changes; full jitter draws from a bound that doubles up to its cap."""
    assert expected_s == Reconnect(policy=policy, base_s=3.0, cap_s=20.0).wait_s(attempt, 0.5)
