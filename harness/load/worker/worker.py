"""A worker's part of a run: its users, its share of the schedule, its second-by-second report.

Lives in a Locust worker, or in the one process of a local run. Talks to the master through
Locust's own messages only, named in ``harness.load.worker_protocol``.
"""

import gc
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gevent
import numpy as np
from gevent.lock import Semaphore

from harness.core.clock import NS_PER_MS, NS_PER_S, RunClock
from harness.load import worker_protocol as messages
from harness.load.join_schedule import join_offsets_s
from harness.load.run_assignment import RunAssignment
from harness.load.subscriptions import Subscriptions
from harness.load.worker.arrival_rows import arrival_row
from harness.load.worker.client_disturbances import disturbing
from harness.load.worker.clock_keeper import ClockKeeper
from harness.load.worker.interval_stats import IntervalStats
from harness.load.worker.locust_table import LocustTable
from harness.load.worker.publisher import CHATTER, Publisher
from harness.load.worker.requests import RequestCounter
from harness.load.worker.session import UserSession
from harness.load.worker.subscription_intervals import SubscriptionIntervals
from harness.measure.arrivals import NEVER_NS, MessageTracker
from harness.measure.health import GeneratorHealth
from harness.measure.histogram import Int64Array
from harness.net.client import Api, Client, JoinError, JoinTimes, PublishAnswer
from harness.net.read_coalescing import COALESCING_DELAY_NS, ReadCoalescing
from harness.net.reading import take_unstamped_receives

SUBSCRIBER = "subscriber"
LAG_PROBE_S = 0.02
LIVENESS_CHECK_S = 5.0
"""How often silence is looked for, as the Amplify client does."""

LIVENESS_CHECKS_PER_TICK = 500
SHORT_DRAIN_S = 1.0
"""A run that is stopped early still waits this long for messages that are under way."""

CLOSE_WITHIN_S = 15.0
CLOSES_PER_TICK = 200
ROWS_PER_MESSAGE = 1000
_JOINING_PHASES = ("join", "settle", "warm_up")


class Worker:
    """One worker of one run.

    Args:
        order: What the master wants done.
        number: This worker's place among ``order.workers``.
        api: The system under test.
        send: Sends a message of a kind with data to the master.
        table: Locust's own statistics.
        keeper: Knows how far this host's clock is from the run clock.
        stop_own_code: Stops the users that run code of the locustfile's own, with ``on_stop``.
    """

    def __init__(
        self,
        order: RunAssignment,
        number: int,
        api: Api,
        send: Callable[[str, dict[str, Any]], None],
        table: LocustTable,
        keeper: ClockKeeper,
        stop_own_code: Callable[[], None] = lambda: None,
    ) -> None:
        self.order = order
        self.plan = order.plan
        self.number = number
        self.api = api
        self._keeper = keeper
        self._stop_own_code = stop_own_code
        self.clock = RunClock(order.epoch_ns, keeper.offset_ns)
        self.phase_at = self.plan.timetable.phase_at
        """Name of the phase at a second of the run."""
        self.stats = IntervalStats()
        self.windows = SubscriptionIntervals()
        people = self.plan.workload.population
        self.population = {SUBSCRIBER: people.subscribers, CHATTER: people.chatters}
        self.connected: Counter[str] = Counter()
        self._send = send
        self._table = table
        self.health = GeneratorHealth(self.plan.workload.generator.send_delay_p99_ms)
        self._books = {
            name: MessageTracker(order.run_id, keeper.offset_ns) for name in self.population
        }
        self._sessions: dict[str, list[UserSession]] = {name: [] for name in self.population}
        self._subscriptions = {
            name: Subscriptions(self.plan, name, count) for name, count in self.population.items()
        }
        self.join_offsets_s = {
            name: join_offsets_s(self.plan, name, count) for name, count in self.population.items()
        }
        """When each user of a class starts to join, seconds after the epoch."""
        self._ordinary: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()
        """Users of each class that have started: tried to join, or done their own ``on_start``."""
        self.requests = RequestCounter(self.stats, lambda: self.phase_at(self.clock.elapsed_s()))
        self.earlier_rows: list[dict[str, Any]] = []
        """Rows of attempts to join that failed and were followed by another."""
        self.over = False
        """Whether the run has ended for this worker; nobody joins from then on."""
        self._ending = Semaphore()
        self._reported_second = -1
        self._greenlets: list[gevent.Greenlet] = []
        self.publisher = Publisher(self)
        self._read_coalescing = ReadCoalescing(self._may_rest)
        self._deliveries_seen = 0
        self.joining = 0
        """Users of this worker whose join is under way."""

    def start(self) -> None:
        """Begin reporting, probing and publishing; users come by themselves."""
        for book in self._books.values():
            book.wake = self.publisher.send_due
        self._read_coalescing.start()
        self._keeper.adopt = self._adopt_offset
        self._adopt_offset(self._keeper.offset_ns)
        bodies = (
            self._report_every_second,
            self._probe_loop_lag,
            self._check_liveness,
            self.publisher.run,
            *disturbing(self),
        )
        self._greenlets = [gevent.spawn(body) for body in bodies]

    def _adopt_offset(self, offset_ns: int) -> None:
        """Go by a better estimate of the run clock from now on."""
        self.clock = RunClock(self.order.epoch_ns, offset_ns)
        for book in self._books.values():
            book.clock_offset_ns = offset_ns

    def _may_rest(self) -> bool:
        """Say whether the last round brought deliveries, and nobody waits for an answer.

        A join's stages are timed by its greenlet, and a publish must not be late.
        """
        seen = sum(len(book.receive_delays_ns) for book in self._books.values())
        came, self._deliveries_seen = seen != self._deliveries_seen, seen
        idle = came and not self.joining
        return idle and time.time_ns() + COALESCING_DELAY_NS < self._books[CHATTER].wake_at_ns

    def join_all(self, sessions: Sequence[UserSession]) -> None:
        """Have each connection of one Locust user join in its turn.

        Args:
            sessions: From ``new_sessions``.
        """
        for session in sessions:
            session.await_turn()
            if len(sessions) == 1:
                session.join()
            else:  # From its turn on only: a greenlet that waits weighs more than a connection.
                gevent.spawn(session.join)

    def new_sessions(self, user_class: str) -> list[UserSession]:
        """Return the sessions of the next Locust user of a class: one, or a cohort of them."""
        cohort = self.plan.workload.population.connections_per_user
        return [session for _ in range(cohort) if (session := self._new_session(user_class))]

    def _new_session(self, user_class: str) -> UserSession | None:
        """Return the session of the next user of a class that is this worker's to hold.

        None when there is none left: Locust replaces the users of a lost worker, a plan does not.
        """
        sessions = self._sessions[user_class]
        number = len(sessions) * len(self.order.workers) + self.number
        if number >= self.population[user_class]:
            return None
        channels: Sequence[str] = ()
        if user_class == SUBSCRIBER or self.plan.workload.population.chatters_subscribe:
            channels = self._subscriptions[user_class].of(number)
        session = UserSession(self, user_class, number, channels, self._books[user_class])
        sessions.append(session)
        return session

    def await_ordinary_turn(self, name: str) -> bool:
        """Sleep until the next ordinary user of a class is to start; say whether it is to at all.

        Args:
            name: The class, by its name.
        """
        count = self.plan.ordinary.get(name, 0)
        number = self._ordinary[name] * len(self.order.workers) + self.number
        self._ordinary[name] += 1
        if number >= count:
            return False
        turn_s = (number + 0.5) / count * self.plan.ramp_s
        gevent.sleep(max(turn_s - self.clock.elapsed_s(), 0.0))
        return not self.over

    def publish_due_at(self, intended_s: float | None) -> None:
        """Have the next publish sent on time even from within a burst of deliveries."""
        due_ns = NEVER_NS
        if intended_s is not None:
            due_ns = self.order.epoch_ns + round(intended_s * NS_PER_S) - self.clock.offset_ns
        for book in self._books.values():
            book.wake_at_ns = due_ns

    def chatter(self, number: int) -> UserSession | None:
        """Return the session of the chatter with this global number, None before it lives."""
        place = number // len(self.order.workers)
        sessions = self._sessions[CHATTER]
        return sessions[place] if place < len(sessions) else None

    def new_client(self, session: UserSession) -> Client:
        """Return a client for a user of this worker, not yet connected."""
        return self.api.client(session.channels, session.book.frame_cache, session)

    def join_succeeded(self, session: UserSession, times: JoinTimes) -> None:
        """Count a join and its stages."""
        user_class, phase = session.user_class, self.phase_at(self.clock.elapsed_s())
        latency_ns = times.confirmed_ns - times.start_ns
        self.stats.count(user_class, "joins_succeeded")
        self.stats.latency("join_latency", user_class, phase, latency_ns)
        for stage, duration_ns in times.stages_ns.items():
            self.stats.latency(f"join_{stage}", user_class, phase, duration_ns)
        self._table.request("JOIN", user_class, latency_ns / NS_PER_MS, 0, None)
        if session.owed_from_ns is not None:
            for channel in session.channels:
                self.windows.opened(channel, session.owed_from_ns)

    def join_failed(self, session: UserSession, error: JoinError) -> None:
        """Count a join that came to nothing."""
        self.stats.count(session.user_class, "joins_failed")
        self.failed(session.user_class, error.stage, "JoinError", error.code, error.message)
        self._table.request("JOIN", session.user_class, None, 0, error)

    def publish_done(self, latency_ns: int, size_bytes: int, answer: PublishAnswer) -> None:
        """Show a publish in Locust's table."""
        problem = None if answer.accepted else Exception(f"{answer.code}: {answer.message}")
        self._table.request("PUBLISH", CHATTER, latency_ns / NS_PER_MS, size_bytes, problem)

    def failed(
        self, user_class: str, stage: str, error_class: str, code: str, message: str
    ) -> None:
        """Count one error of a user of this class."""
        self.stats.count(user_class, "errors")
        self.stats.error(stage, error_class, code, message)

    def sessions_of(self, user_class: str) -> Sequence[UserSession]:
        """Return this worker's users of a class, in order of their numbers."""
        return self._sessions[user_class]

    def _check_liveness(self) -> None:
        """Give up connections that went silent, a few at a time: it is nobody's hurry."""
        while True:
            gevent.sleep(LIVENESS_CHECK_S)
            for place, session in enumerate(list(self._all_sessions())):
                session.check_liveness(time.time_ns())
                if place % LIVENESS_CHECKS_PER_TICK == 0:
                    gevent.sleep(0)

    def _probe_loop_lag(self) -> None:
        while True:
            before_ns = time.monotonic_ns()
            gevent.sleep(LAG_PROBE_S)
            self.health.lagged(time.monotonic_ns() - before_ns - round(LAG_PROBE_S * NS_PER_S))

    def _report_every_second(self) -> None:
        while True:
            wait_s = self._reported_second + 2 - self.clock.elapsed_s()
            gevent.sleep(max(wait_s, 0.0))
            self.report()

    def report(self, *, everything: bool = False) -> None:
        """Send the master what happened since the last report, as that of the last full second.

        Args:
            everything: Also send the messages that are not quiet yet: the run is over.
        """
        second = max(self._reported_second + 1, int(self.clock.elapsed_s()) - 1)
        self._reported_second = second
        phase = self.phase_at(second)
        self.publisher.expire(everything=everything)
        arrivals: list[dict[str, Any]] = []
        for user_class, book in self._books.items():
            self._take_deliveries(user_class, book, phase)
            retired = book.retire(everything=everything)
            arrivals.extend(arrival_row(self.number, user_class, message) for message in retired)
        connections = sum(self.connected.values())
        unstamped = take_unstamped_receives()
        health = self.health.take(second, connections, unstamped, self.clock.now_ns())
        taken = self.stats.take()
        health["negative_ms_max"] = -self.stats.take_lowest_ns() / NS_PER_MS
        if self.health.loop_lag.count:
            lag = self.health.loop_lag.encode()
            taken["histograms"][f"loop_lag.generator.{phase}"] = lag
        if phase in _JOINING_PHASES:
            # Who has joined stays to the end: the collector need not walk 17,500 users again and
            # again, which took it up to 0.8 s at a time.
            gc.freeze()
        self._send(
            messages.SECOND,
            {
                "worker": self.number,
                "pid": os.getpid(),
                "second": second,
                "connected": dict(self.connected),
                "generator": {"worker": self.number, **health, **self._keeper.take_row()},
                "publishes": self.publisher.take_rows(),
                "arrivals": arrivals,
                "windows": self.windows.take(),
                "requests": self.requests.take(),
                "tried": dict(self.tried),
                **taken,
            },
        )

    def _take_deliveries(self, user_class: str, book: MessageTracker, phase: str) -> None:
        delays_ns = book.take_receive_delays()
        if delays_ns.size:
            self.stats.latencies("receive_delay", user_class, phase, delays_ns)
            self.health.received(delays_ns)
        # By phase, so that a second's messages are counted at once: each count costs 0.1 ms.
        fan_outs: defaultdict[str, list[Int64Array]] = defaultdict(list)
        services: defaultdict[str, list[Int64Array]] = defaultdict(list)
        for message in book.live():
            arrived_ns = message.take()
            if arrived_ns.size == 0:
                continue
            self.health.arrived(arrived_ns)
            envelope = message.envelope
            of = self.phase_at((envelope.intended_ns - self.order.epoch_ns) / NS_PER_S)
            fan_outs[of].append(arrived_ns - envelope.intended_ns)
            services[of].append(arrived_ns - envelope.sent_ns)
            size = int(arrived_ns.size)
            self.stats.count(user_class, "deliveries", size)
            self.stats.count(user_class, "bytes_received", size * message.payload_bytes)
        for of, parts in fan_outs.items():
            fan_out_ns: Int64Array = np.concatenate(parts)
            self.stats.latencies("fan_out_latency", user_class, of, fan_out_ns)
            service_ns: Int64Array = np.concatenate(services[of])
            self.stats.latencies("service_latency", user_class, of, service_ns)
            self._table.deliveries(user_class, fan_out_ns)

    def finish(self) -> None:
        """End the run once: what comes is late; hang up, send the accounts, say goodbye."""
        with self._ending:  # Asked again, by a signal, it waits until the accounts are sent.
            if not self.over:
                self.over = True
                self._finish()

    def _finish(self) -> None:
        gevent.killall(self._greenlets)
        self._read_coalescing.stop()
        for session in self._all_sessions():
            session.give_up_joining()
        self._stop_own_code()
        in_time = self.clock.elapsed_s() > self.plan.total_s - SHORT_DRAIN_S
        gevent.sleep(0 if in_time or not self.connected.total() else SHORT_DRAIN_S)
        end_ns = min(self.clock.now_ns(), self.clock.epoch_ns + round(self.plan.total_s * NS_PER_S))
        for book in self._books.values():
            book.drained = True
        self._hang_up(end_ns)
        self.report(everything=True)
        self.health.close()
        rows = self.earlier_rows
        for session in self._all_sessions():
            if not session.attempted:
                continue
            rows.append(session.row())
            if len(rows) >= ROWS_PER_MESSAGE:
                self._send(messages.CONNECTIONS, {"connections": rows})
                rows = []
                gevent.sleep(0)
        self._send(messages.CONNECTIONS, {"connections": rows})
        self._send(messages.DONE, {"worker": self.number})

    def _hang_up(self, end_ns: int) -> None:
        """Close every connection politely, in small groups; let go of those that do not answer."""
        open_sessions = [session for session in self._all_sessions() if session.connected]
        for place, session in enumerate(open_sessions):
            session.hang_up()
            if place % CLOSES_PER_TICK == 0:
                gevent.sleep(0)
        deadline_s = time.monotonic() + CLOSE_WITHIN_S
        while time.monotonic() < deadline_s and any(s.connected for s in open_sessions):
            gevent.sleep(0.05)
        for session in self._all_sessions():
            session.drop(end_ns)
        self.api.close()

    def _all_sessions(self) -> Iterator[UserSession]:
        for sessions in self._sessions.values():
            yield from sessions
