"""A worker's part of a run: its users, its share of the schedule, its second-by-second report.

Runs in a Locust worker, or in the one process of a local run. Communicates with the master only
through Locust's own messages, named in ``harness.load.worker_protocol``.
"""

import gc
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
import numpy as np
from gevent.lock import Semaphore

from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.exit_codes import ExitCode
from harness.core.metric_types import CHATTER
from harness.core.secrets import secret_variable
from harness.load import worker_protocol
from harness.load.internal_errors import BUG_HINT, InternalErrors, on_death, sentence_of
from harness.load.ownership import may_load
from harness.load.worker.client_disturbances import client_disturbances
from harness.load.worker.clock_sync import ClockSync
from harness.load.worker.locust_table import LocustTable
from harness.load.worker.population import Population
from harness.load.worker.publisher import Publisher
from harness.load.worker.requests import RequestCounter
from harness.load.worker.run_context import RunContext
from harness.load.worker_protocol import RunAssignment
from harness.measure.histogram import Int64Array
from harness.measure.message_tracker import Arrivals, MessageTracker
from harness.measure.record_schema import ArrivalRow, GeneratorRow
from harness.net.addresses import source_addresses, tls_context
from harness.net.client import Access, Api
from harness.net.reading import take_unstamped_receives
from harness.net.ring_reading import COALESCING_DELAY_NS, ReadCoalescing
from harness.scenario.target import api_key

LAG_PROBE_S = 0.02
SHORT_DRAIN_S = 1.0
"""A run that is stopped early still waits this long for messages in flight."""

ROWS_PER_MESSAGE = 1000
_JOINING_PHASES = ("join", "settle", "warm_up")


class Worker:
    """One worker of one run.

    Args:
        assignment: What the master wants done.
        number: This worker's place among ``assignment.workers``.
        api: The system under test.
        send: Sends a message of a kind with data to the master.
        table: Locust's own statistics.
        clock_sync: Measures this host's offset to the run clock.
        stop_own_code: Stops the users with code of the locustfile's own, ``on_stop`` included.
    """

    def __init__(
        self,
        assignment: RunAssignment,
        number: int,
        api: Api,
        send: Callable[[str, dict[str, Any]], None],
        table: LocustTable,
        clock_sync: ClockSync,
        stop_own_code: Callable[[], None] = lambda: None,
    ) -> None:
        self.context = RunContext(assignment, number, api, table, clock_sync.offset_ns)
        self.population = Population(self.context)
        self.publisher = Publisher(self.context, self.population.chatter)
        self.context.on_answer = self.publisher.answered
        self.requests = RequestCounter(self.context.stats, self.context.phase_now)
        self._send = send
        self._clock_sync = clock_sync
        self._stop_own_code = stop_own_code
        self._read_coalescing = ReadCoalescing(self._may_coalesce)
        self._internal_errors = InternalErrors(self.context.internal_error)
        self._deliveries_seen = 0
        self._reported_second = -1
        self._ending = Semaphore()
        self._greenlets: list[gevent.Greenlet] = []

    def start(self) -> None:
        """Begin reporting, probing and publishing; Locust starts the users."""
        for tracker in self.context.trackers.values():
            tracker.publish_due = self.publisher.send_due
        self._read_coalescing.start()
        self._clock_sync.on_offset = self.context.adopt_offset
        self.context.adopt_offset(self._clock_sync.offset_ns)
        bodies = (
            self._report_every_second,
            self._probe_loop_lag,
            self.population.check_liveness,
            self.publisher.run,
            *client_disturbances(self.population),
        )
        self._internal_errors.start()
        self._greenlets = [gevent.spawn(body) for body in bodies]
        for greenlet in self._greenlets:
            on_death(greenlet, self._fail)

    def _fail(self, sentence: str) -> None:
        """End the run: what accounts for it, or reports, is gone."""
        message = f"{sentence}\nhint: {BUG_HINT}"
        failure = {"worker": self.context.number, "message": message, "started": True}
        self._send(worker_protocol.FAILED, failure | {"exit_code": int(ExitCode.RUN_INVALID)})

    def _may_coalesce(self) -> bool:
        """Return whether the last round brought deliveries, and no answer is waited for.

        The greenlet of a join times its stages, and a publish must not be late.
        """
        context = self.context
        seen = sum(len(tracker.receive_delays_ns) for tracker in context.trackers.values())
        came, self._deliveries_seen = seen != self._deliveries_seen, seen
        if not came or context.joining:
            return False
        return time.time_ns() + COALESCING_DELAY_NS < context.trackers[CHATTER].publish_due_at_ns

    def _probe_loop_lag(self) -> None:
        while True:
            before_ns = time.monotonic_ns()
            gevent.sleep(LAG_PROBE_S)
            self.context.health.lagged(
                time.monotonic_ns() - before_ns - round(LAG_PROBE_S * NS_PER_S)
            )

    def _report_every_second(self) -> None:
        while True:
            wait_s = self._reported_second + 2 - self.context.clock.elapsed_s()
            gevent.sleep(max(wait_s, 0.0))
            self.report()

    def report(self, *, everything: bool = False) -> None:
        """Send the master what happened since the last report, as the last full second.

        Args:
            everything: Also send the messages that may still arrive: the run is over.
        """
        context = self.context
        second = max(self._reported_second + 1, int(context.clock.elapsed_s()) - 1)
        self._reported_second = second
        phase = context.phase_at(second)
        self.publisher.expire(everything=everything)
        arrivals: list[ArrivalRow] = []
        for user_class, tracker in context.trackers.items():
            self._take_deliveries(user_class, tracker, phase)
            self._take_irregular(user_class, tracker)
            retired = tracker.retire(everything=everything)
            arrivals.extend(
                _arrival_row(context.number, user_class, message) for message in retired
            )
        connections = sum(context.connected.values())
        unstamped = take_unstamped_receives()
        health = context.health.take(second, connections, unstamped, context.clock.now_ns())
        taken = context.stats.take()
        generator: GeneratorRow = {
            "worker": context.number,
            **health,
            **self._clock_sync.take_row(),
            "negative_ms_max": -context.stats.take_lowest_ns() / NS_PER_MS,
        }
        if context.health.loop_lag.count:
            lag = context.health.loop_lag.encode()
            taken["histograms"][f"loop_lag.generator.{phase}"] = lag
        if phase in _JOINING_PHASES:
            # Users stay until the end. Walking 17,500 of them in every collection took up to 0.8 s.
            gc.freeze()
        self._send(
            worker_protocol.SECOND,
            {
                "worker": context.number,
                "pid": os.getpid(),
                "second": second,
                "connected": dict(context.connected),
                "generator": generator,
                "publishes": self.publisher.take_rows(),
                "arrivals": arrivals,
                "subscription_intervals": context.intervals.take(),
                "requests": self.requests.take(),
                "tried": dict(context.tried),
                **taken,
            },
        )

    def _take_deliveries(self, user_class: str, tracker: MessageTracker, phase: str) -> None:
        context = self.context
        delays_ns = tracker.take_receive_delays()
        if delays_ns.size:
            context.stats.latencies("receive_delay", user_class, phase, delays_ns)
            context.health.received(delays_ns)
        # By phase, so that a second's messages are counted at once: each count costs 0.1 ms.
        fan_outs: defaultdict[str, list[Int64Array]] = defaultdict(list)
        services: defaultdict[str, list[Int64Array]] = defaultdict(list)
        for message in tracker.live():
            arrived_ns = message.take()
            if arrived_ns.size == 0:
                continue
            context.health.arrived(arrived_ns)
            token = message.token
            of = context.phase_at((token.intended_ns - context.clock.epoch_ns) / NS_PER_S)
            fan_outs[of].append(arrived_ns - token.intended_ns)
            services[of].append(arrived_ns - token.sent_ns)
            size = int(arrived_ns.size)
            context.stats.count(user_class, "deliveries", size)
            context.stats.count(user_class, "bytes_received", size * token.length_bytes)
        for of, parts in fan_outs.items():
            fan_out_ns: Int64Array = np.concatenate(parts)
            context.stats.latencies("fan_out_latency", user_class, of, fan_out_ns)
            service_ns: Int64Array = np.concatenate(services[of])
            context.stats.latencies("service_latency", user_class, of, service_ns)
            context.table.deliveries(user_class, fan_out_ns)

    def _take_irregular(self, user_class: str, tracker: MessageTracker) -> None:
        """Hand on what arrived and was no intact delivery: to the errors and to Locust's table."""
        for (kind, example), count in tracker.take_irregular().items():
            self.context.stats.count(user_class, "errors", count)
            self.context.stats.error("receive", kind.capitalize(), kind, example, count)
            self.context.table.irregular(user_class, kind, count)

    def finish(self) -> None:
        """End the run once: close all connections and send the remaining records."""
        with self._ending:  # A second call, by a signal, waits until the records are sent.
            if not self.context.over:
                self.context.over = True
                self._finish()

    def _finish(self) -> None:
        """Take the steps of the end, each whether or not the one before it succeeded."""
        steps = (self._end_users, self._send_last_report, self._send_connections)
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the next step must still be taken
                self._fail(sentence_of(error))
        self._internal_errors.stop()
        self._send(worker_protocol.DONE, {"worker": self.context.number})

    def _end_users(self) -> None:
        context, total_s = self.context, self.context.plan.total_s
        gevent.killall(self._greenlets)
        self._read_coalescing.stop()
        self.population.cancel_joins()
        self._stop_own_code()
        in_time = context.clock.elapsed_s() > total_s - SHORT_DRAIN_S
        gevent.sleep(0 if in_time or not context.connected.total() else SHORT_DRAIN_S)
        clock = context.clock
        end_ns = min(clock.now_ns(), clock.epoch_ns + round(total_s * NS_PER_S))
        for tracker in context.trackers.values():
            tracker.drained = True
        self.population.close(end_ns)
        context.api.close()

    def _send_last_report(self) -> None:
        self.report(everything=True)
        self.context.health.close()

    def _send_connections(self) -> None:
        rows = self.context.earlier_rows
        for session in self.population:
            if not session.attempted:
                continue
            rows.append(session.row())
            if len(rows) >= ROWS_PER_MESSAGE:
                self._send(worker_protocol.CONNECTIONS, {"connections": rows})
                rows = []
                gevent.sleep(0)
        self._send(worker_protocol.CONNECTIONS, {"connections": rows})


def _arrival_row(worker: int, user_class: str, message: Arrivals) -> ArrivalRow:
    """Return a message's row of the arrivals journal.

    Args:
        worker: Number of the worker.
        user_class: The class that received it: subscriber or chatter.
        message: A message that is complete, or final.
    """
    return {
        "stream": message.stream,
        "sequence": message.sequence,
        "worker": worker,
        "user_class": user_class,
        "delivered": message.delivered,
        "duplicated": message.duplicated,
        "reordered": message.reordered,
        "late": message.late,
        "unexpected": message.unexpected,
        "first_arrival_ns": message.first_ns,
        "last_arrival_ns": message.last_ns,
        "arrival_bins": message.bins.pairs(),
    }


def access_of(assignment: RunAssignment, number: int) -> Access:
    """Return how a worker reaches the system under test.

    Args:
        assignment: The run.
        number: This worker's place among ``assignment.workers``.

    Raises:
        HarnessError: If a secret is missing, or a file of certificates or keys.
    """
    target, endpoints = assignment.plan.target, assignment.endpoints
    further = assignment.plan.client.further_addresses()
    return Access(
        realtime=endpoints.realtime,
        http=endpoints.http,
        api_key=api_key(target),
        tls=tls_context(
            verify=target.tls.verify,
            ca_file=endpoints.ca_file,
            client_certificate=target.tls.client_certificate,
            client_key=target.tls.client_key,
            client_key_password=secret_variable(target.tls.client_key_password_env or ""),
        ),
        source_addresses=source_addresses(
            endpoints.realtime,
            target.source_addresses,
            number,
            math.ceil(assignment.plan.users / len(assignment.workers)),
        ),
        options=assignment.plan.client,
        auth=target.auth,
        may_connect=partial(may_load, (endpoints.realtime, endpoints.http, *further)),
        worker=number,
        through_proxy=not target.emulated,
    )
