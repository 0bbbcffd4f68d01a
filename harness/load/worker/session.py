"""One simulated user: its join, its account of deliveries, its row in the record."""

import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gevent

from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.measure.arrivals import MessageTracker
from harness.measure.ledger import SubscriberLedger
from harness.measure.record import CHANNELS_APART, JOIN_STAGES
from harness.net.client import ABNORMAL_CODE as ABNORMAL
from harness.net.client import STALLED, Client, JoinError, JoinTimes, PublishAnswer

if TYPE_CHECKING:
    from harness.load.worker.worker import Worker

LEFT_CODE = 1000
LINGER_S = 1.0
"""How long one who leaves still listens, and then waits for the system's own goodbye."""


class UserSession(SubscriberLedger):
    """A user's ledger that also hears everything else its client tells.

    Args:
        worker: The worker it lives in.
        user_class: subscriber or chatter.
        number: Its global number within its class.
        channels: Paths of the channels it subscribes to; none when it only publishes.
        book: The messages its class is receiving in this worker.
    """

    __slots__ = (
        "_asked_wait_s",
        "_client",
        "_gives_up",
        "_is_paused",
        "_is_stalled",
        "_joining",
        "_told_s",
        "attempted",
        "channels",
        "closed_ns",
        "connection",
        "end",
        "failure",
        "joined",
        "leaving",
        "number",
        "times",
        "user_class",
        "worker",
    )

    def __init__(
        self,
        worker: "Worker",
        user_class: str,
        number: int,
        channels: Sequence[str],
        book: MessageTracker,
    ) -> None:
        super().__init__(book)
        self.worker = worker
        self.user_class = user_class
        self.number = number
        self.channels = channels
        self.attempted = False
        self.connection = 0
        self.joined = False
        self.failure: tuple[str, str] | None = None
        self.times: JoinTimes | None = None
        self.leaving = False
        self.closed_ns: int | None = None
        self.end: tuple[int | None, str] = (None, "")
        self._client: Client | None = None
        self._joining: gevent.Greenlet | None = None
        self._gives_up = False
        self._told_s: float | None = None
        self._asked_wait_s = 0.0
        self._is_paused = False
        self._is_stalled = False

    def await_turn(self) -> None:
        """Sleep until this user is to join."""
        worker = self.worker
        offset_s = float(worker.join_offsets_s[self.user_class][self.number])
        gevent.sleep(max(offset_s - worker.clock.elapsed_s(), 0.0))

    def join(self) -> None:
        """Connect and subscribe, trying as often as the workload allows.

        Each attempt is counted, and is a row of the record.
        """
        worker = self.worker
        joins = worker.plan.workload.joins
        while not worker.over and not self._attempt() and self.connection < joins.retries:
            if self._gives_up:
                return
            self._next_connection()
            most_s = min(joins.retry_cap_s, joins.retry_base_s * 2.0 ** (self.connection - 1))
            # Full jitter, after what the system asked for: nobody comes back in step.
            gevent.sleep(self._asked_wait_s + random.uniform(0.0, most_s))

    def _next_connection(self) -> None:
        """Put this connection on record and begin the account of the next."""
        self.worker.earlier_rows.append(self.row())
        self.begin_again()
        self.attempted = self.joined = False
        self.connection += 1
        self.failure = self.times = self.closed_ns = None
        self.end = (None, "")
        self._is_paused = self._is_stalled = False

    def _reconnect(self) -> None:
        """Come back after a loss, as the workload's clients do."""
        worker = self.worker
        reconnect = worker.plan.workload.reconnect
        for attempt in range(reconnect.attempts):
            self._next_connection()
            wait_s = reconnect.wait_s(attempt, random.random(), self._told_s)
            gevent.sleep(self._asked_wait_s + wait_s)
            if worker.over or self._attempt() or self._gives_up:
                return

    def leave(self) -> None:
        """Hang up of one's own accord, once what was sent before has had time to arrive.

        The body of a greenlet: nothing sent from its start on is owed.
        """
        if not self.connected:
            return
        self.leaving = True
        self.stop_owing(self.worker.clock.now_ns())
        gevent.sleep(LINGER_S)
        client = self._client
        if client is not None:
            client.close()
            self._let_go(self.worker.clock.now_ns(), LEFT_CODE, "left")
            gevent.sleep(LINGER_S)
            client.drop()

    def come_back(self) -> None:
        """Connect again after ``leave``; the body of a greenlet."""
        if self._client is None and self.leaving and not self.worker.over:
            self.leaving = False
            self._next_connection()
            if not self._attempt():
                self._reconnect()

    def pause(self, *, paused: bool) -> None:
        """Stop reading what arrives, or go on."""
        if self._client is not None:
            self._is_paused = paused
            self._client.heard_ns = max(self._client.heard_ns, time.time_ns())
            self._client.pause(paused=paused)

    def check_liveness(self, now_ns: int) -> None:
        """Give the connection up if nothing came for as long as the system says is too long.

        Where its clients bear that, it is counted once for each silence. Who does not read cannot
        know, and is passed over.

        Args:
            now_ns: This host's realtime clock.
        """
        client = self._client
        if client is None or not self.joined or self._is_paused:
            return
        limit_s, stall_s = client.silence_limit_s, client.stall_limit_s
        if limit_s is None and stall_s is None:
            return
        delivered_ns = self.last_arrival_ns - self.worker.clock.offset_ns
        silent_s = (now_ns - max(client.heard_ns, delivered_ns)) / NS_PER_S
        if limit_s is not None and silent_s > limit_s:
            client.drop()
            self.ended(ABNORMAL, f"silent for {limit_s:g} s", now_ns, STALLED)
            return
        is_stalled = stall_s is not None and silent_s > stall_s
        if is_stalled and not self._is_stalled:
            message = f"no byte for more than {stall_s:g} s"
            self.worker.failed(self.user_class, "receive", "Stalled", STALLED, message)
        self._is_stalled = is_stalled

    def _attempt(self) -> bool:
        """Try to join once; return whether it worked."""
        worker = self.worker
        if self.connection == 0:
            worker.tried[self.user_class] += 1
        self.attempted = True
        self.failure = None
        self._asked_wait_s = 0.0
        worker.stats.count(self.user_class, "joins_attempted")
        client = worker.new_client(self)
        self._client = client
        started_ns = worker.clock.now_ns()
        self._joining = gevent.getcurrent()
        worker.joining += 1
        try:
            times = client.join(time.monotonic() + worker.plan.workload.joins.timeout_s)
        except JoinError as error:
            self.times = JoinTimes(started_ns - worker.clock.offset_ns)
            self.failure = (error.stage, error.code)
            policy = worker.plan.workload.reconnect.policy
            self._gives_up = error.is_final and policy == "browser"
            self._asked_wait_s = error.asked_wait_s
            self.owed_from_ns = None
            self._client = None
            worker.join_failed(self, error)
            return False
        finally:
            self._joining = None
            worker.joining -= 1
        self.times = times
        self.joined = True
        worker.connected[self.user_class] += 1
        worker.join_succeeded(self, times)
        return True

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """Send one publish on this user's connection; raises OSError when it has none."""
        if self._client is None or not self.joined:
            raise ConnectionError("this chatter is not connected")
        self._client.publish(publish_id, channel, events)

    def confirmed(self, kernel_ns: int) -> None:
        """Once it has settled, this user is owed what is sent."""
        settle_ns = round(self.worker.plan.workload.phases.settle_s * NS_PER_S)
        self.owed_from_ns = kernel_ns + self.worker.clock.offset_ns + settle_ns

    def answered(self, answer: PublishAnswer) -> None:
        """Pass a publish's answer on to the worker's publisher."""
        self.worker.publisher.answered(answer)

    def ended(self, code: int, reason: str, kernel_ns: int, outcome: str = "") -> None:
        """The system, or the network, ended the connection before we did."""
        told = f"{outcome}: {reason}" if outcome else reason
        self._let_go(kernel_ns + self.worker.clock.offset_ns, code, told)
        self.worker.stats.count(self.user_class, "disconnects")
        known_as = outcome or str(code)
        self.worker.failed(self.user_class, "receive", "Disconnected", known_as, reason)
        policy = self.worker.plan.workload.reconnect.policy
        if policy != "never" and not self.leaving and not self.worker.over:
            gevent.spawn(self._reconnect)

    def told_to_wait(self, wait_s: float) -> None:
        """Wait so long before coming back, where the workload's clients do as they are told."""
        self._told_s = wait_s

    def refused(self, stage: str, code: str, message: str) -> None:
        """The system reported an error that belongs to no publish."""
        self.worker.failed(self.user_class, stage, "RemoteError", code, message)

    def give_up_joining(self) -> None:
        """Fail a join that is still under way when the run ends; counted at the next switch."""
        if self._joining is not None:
            self._joining.kill(TimeoutError("the run ended before the answer came"), block=False)

    def hang_up(self) -> None:
        """Start to close the connection, at the end of the run."""
        if self._client is not None:
            self._client.close()

    def drop(self, now_ns: int) -> None:
        """Let go of the connection for good and close the account."""
        if self._client is not None:
            self._client.drop()
            self._let_go(now_ns, 1000, "run ended")

    @property
    def connected(self) -> bool:
        """Whether the user holds an open connection."""
        return self._client is not None and self.joined and self._client.open

    def _let_go(self, now_ns: int, code: int, reason: str) -> None:
        self._client = None
        if self.joined:
            self.worker.connected[self.user_class] -= 1
        self.closed_ns = now_ns
        if self.owed_until_ns is None:
            self.owed_until_ns = now_ns
        if self.joined and self.owed_from_ns is not None:
            for channel in self.channels:
                self.worker.windows.closed(channel, self.owed_from_ns, self.owed_until_ns)
        self.end = (code, reason)

    def row(self) -> dict[str, Any]:
        """Return this connection's row of the record."""
        times = self.times or JoinTimes(self.worker.clock.now_ns())
        stages = {
            f"{stage}_ms": times.stages_ns[stage] / NS_PER_MS if stage in times.stages_ns else None
            for stage in JOIN_STAGES
        }
        return {
            "worker": self.worker.number,
            "user_class": self.user_class,
            "user": self.number,
            "connection": self.connection,
            "channel": CHANNELS_APART.join(self.channels) or None,
            "joined": self.joined,
            "failure_stage": self.failure[0] if self.failure else None,
            "failure_code": self.failure[1] if self.failure else None,
            "join_start_ns": times.start_ns + self.worker.clock.offset_ns,
            **stages,
            "owed_from_ns": self.owed_from_ns,
            "owed_until_ns": self.owed_until_ns if self.owed_from_ns is not None else None,
            "closed_ns": self.closed_ns,
            "close_code": self.end[0],
            "close_reason": self.end[1],
            "received": self.received_count,
            "delivered": self.delivered_count,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "late": self.late,
            "unexpected": self.unexpected,
            "longest_stall_s": self.longest_stall_ns / NS_PER_S,
            "first_arrival_ns": self.first_arrival_ns or None,
            "last_arrival_ns": self.last_arrival_ns or None,
        }
