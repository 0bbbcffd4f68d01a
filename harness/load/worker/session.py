"""One simulated user: its join, its account of deliveries, its row in the record."""

import random
import time
from collections.abc import Sequence

import gevent

from harness.core.channels import own_name
from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.metric_types import CHATTER
from harness.core.outside_text import outside_text
from harness.core.peer_limits import LONGEST_WAIT_S
from harness.load.internal_errors import sentence_of
from harness.load.worker.run_context import RunContext
from harness.measure.ledger import SubscriberLedger
from harness.measure.record import CHANNELS_APART
from harness.measure.record_schema import ConnectionRow
from harness.net.client import ABNORMAL_CODE as ABNORMAL
from harness.net.client import STALLED, Client, JoinError, JoinTimes, PublishAnswer
from harness.net.joining import error_text, join_code

LEFT_CODE = 1000
LEFT_CHECK_S = 0.1
LINGER_S = 1.0
"""Grace period after leaving, and then again for the system's own close frame."""


class UserSession(SubscriberLedger):
    """A user's ledger, which is also the listener of its client.

    Args:
        context: The run in its worker.
        user_class: subscriber or chatter.
        number: Its global number within its class.
        channels: Paths of the channels it subscribes to; none when it only publishes.
    """

    __slots__ = (
        "_client",
        "_is_paused",
        "_is_stalled",
        "_join_is_final",
        "_joining",
        "_requested_wait_s",
        "_retry_after_s",
        "attempted",
        "closed_ns",
        "connection",
        "context",
        "end",
        "failure",
        "joined",
        "leaving",
        "number",
        "times",
        "user_class",
    )

    def __init__(
        self,
        context: RunContext,
        user_class: str,
        number: int,
        channels: Sequence[str],
    ) -> None:
        super().__init__(context.trackers[user_class], channels)
        self.context = context
        self.user_class = user_class
        self.number = number
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
        self._join_is_final = False
        self._requested_wait_s: float | None = None
        self._retry_after_s = 0.0
        self._is_paused = False
        self._is_stalled = False
        if user_class == CHATTER and channels and not context.plan.target.chatters_owed_own:
            self.owe_no_own()

    def join(self) -> None:
        """Connect and subscribe, with as many attempts as the workload allows.

        Each attempt is counted, and is a row of the record.
        """
        context = self.context
        joins = context.plan.workload.joins
        while not context.over and not self._attempt() and self.connection < joins.retries:
            if self._join_is_final:
                return
            self._next_connection()
            most_s = min(joins.retry_cap_s, joins.retry_base_s * 2.0 ** (self.connection - 1))
            # Full jitter, after the requested wait, keeps users from returning at the same time.
            gevent.sleep(self._retry_after_s + random.uniform(0.0, most_s))

    def _next_connection(self) -> None:
        """Record this connection and start the ledger of the next."""
        self.context.earlier_rows.append(self.row())
        self.begin_again()
        self.attempted = self.joined = False
        self.connection += 1
        self.failure = self.times = self.closed_ns = None
        self.end = (None, "")
        self._is_paused = self._is_stalled = False

    def _reconnect(self) -> None:
        """Reconnect after a lost connection, as the workload's clients do."""
        context = self.context
        reconnect = context.plan.workload.reconnect
        for attempt in range(reconnect.attempts):
            self._next_connection()
            wait_s = reconnect.wait_s(attempt, random.random(), self._requested_wait_s)
            gevent.sleep(self._retry_after_s + wait_s)
            if context.over or self._attempt() or self._join_is_final:
                return

    def leave(self) -> None:
        """Close the connection voluntarily, after a grace period for messages in flight.

        The body of a greenlet. Messages sent after its start are not owed.
        """
        if not self.connected:
            return
        self.leaving = True
        self.stop_owing(self.context.clock.now_ns())
        # A client of another package may not have it.
        gevent.sleep(LINGER_S + getattr(self._client, "fetch_within_s", 0.0))
        client = self._client
        if client is not None:
            client.close()
            self._detach(self.context.clock.now_ns(), LEFT_CODE, "left")
            gevent.sleep(LINGER_S)
            client.drop()

    def come_back(self) -> None:
        """Connect again after ``leave``; the body of a greenlet."""
        while self._client is not None and self.leaving and not self.context.over:
            gevent.sleep(LEFT_CHECK_S)
        if self._client is None and self.leaving and not self.context.over:
            self.leaving = False
            self._next_connection()
            if not self._attempt():
                self._reconnect()

    def pause(self, *, paused: bool) -> None:
        """Stop reading, or resume."""
        if self._client is not None:
            self._is_paused = paused
            self._client.heard_ns = max(self._client.heard_ns, time.time_ns())
            self._client.pause(paused=paused)

    def check_liveness(self, now_ns: int) -> None:
        """Drop the connection after a silence that is longer than the system allows.

        If the system's clients tolerate it, it is an error instead, once for each silence. A
        paused connection is not checked.

        Args:
            now_ns: This host's realtime clock.
        """
        client = self._client
        if client is None or not self.joined or self._is_paused:
            return
        limit_s, stall_s = client.silence_limit_s, client.stall_limit_s
        if limit_s is None and stall_s is None:
            return
        delivered_ns = self.last_arrival_ns - self.context.clock.offset_ns
        silent_s = (now_ns - max(client.heard_ns, delivered_ns)) / NS_PER_S
        if limit_s is not None and silent_s > limit_s:
            client.drop()
            self.ended(ABNORMAL, f"silent for {limit_s:g} s", now_ns, STALLED)
            return
        is_stalled = stall_s is not None and silent_s > stall_s
        if is_stalled and not self._is_stalled:
            message = f"no byte for more than {stall_s:g} s"
            self.context.failed(self.user_class, "receive", "Stalled", STALLED, message)
        self._is_stalled = is_stalled

    def _attempt(self) -> bool:
        """Try to join once; return whether it succeeded."""
        context = self.context
        if self.connection == 0:
            context.tried[self.user_class] += 1
        self.attempted = True
        self.failure = None
        self._retry_after_s = 0.0
        context.stats.count(self.user_class, "joins_attempted")
        client = context.api.client(self.channels, self.tracker.frame_cache, self)
        self._client = client
        started_ns = context.clock.now_ns()
        self._joining = gevent.getcurrent()
        context.joining += 1
        try:
            times = _join(client, time.monotonic() + context.plan.workload.joins.timeout_s)
        except JoinError as error:
            self.times = JoinTimes(started_ns - context.clock.offset_ns)
            self.failure = (error.stage, error.code)
            policy = context.plan.workload.reconnect.policy
            self._join_is_final = error.is_final and policy == "browser"
            self._retry_after_s = error.asked_wait_s
            self.owed_from_ns = None
            self._client = None
            self._count_failed_join(error)
            return False
        finally:
            self._joining = None
            context.joining -= 1
        self.times = times
        self.joined = True
        context.connected[self.user_class] += 1
        self._count_join(times)
        return True

    def _count_join(self, times: JoinTimes) -> None:
        context, user_class = self.context, self.user_class
        phase = context.phase_now()
        latency_ns = times.confirmed_ns - times.start_ns
        context.stats.count(user_class, "joins_succeeded")
        context.stats.latency("join_latency", user_class, phase, latency_ns)
        for stage, duration_ns in times.stages_ns.items():
            context.stats.latency(f"join_{stage}", user_class, phase, duration_ns)
        context.table.request("JOIN", user_class, latency_ns / NS_PER_MS, 0, None)
        if self.owed_from_ns is not None:
            for name in self._owed_names:
                context.intervals.opened(name, self.owed_from_ns)

    def _count_failed_join(self, error: JoinError) -> None:
        context, user_class = self.context, self.user_class
        context.stats.count(user_class, "joins_failed")
        context.failed(user_class, error.stage, "JoinError", error.code, error.message)
        context.table.request("JOIN", user_class, None, 0, error)

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """Send one publish on this user's connection; raises OSError when it has none."""
        if self._client is None or not self.joined:
            raise ConnectionError("this chatter is not connected")
        self._client.publish(publish_id, channel, events)

    def confirmed(self, kernel_ns: int) -> None:
        """From the end of the settle time on, this user is owed messages."""
        settle_ns = round(self.context.plan.workload.phases.settle_s * NS_PER_S)
        self.owed_from_ns = kernel_ns + self.context.clock.offset_ns + settle_ns

    def answered(self, answer: PublishAnswer) -> None:
        """Pass the answer to a publish on to the worker's publisher."""
        self.context.on_answer(answer)

    def ended(self, code: int, reason: str, kernel_ns: int, outcome: str = "") -> None:
        """The system or the network ended the connection."""
        reason = outside_text(reason)
        close_reason = f"{outcome}: {reason}" if outcome else reason
        self._detach(kernel_ns + self.context.clock.offset_ns, code, close_reason)
        self.context.stats.count(self.user_class, "disconnects")
        known_as = outcome or str(code)
        self.context.failed(self.user_class, "receive", "Disconnected", known_as, reason)
        policy = self.context.plan.workload.reconnect.policy
        if policy != "never" and not self.leaving and not self.context.over:
            gevent.spawn(self._reconnect)

    def told_to_wait(self, wait_s: float) -> None:
        """Use the system's own wait before the next connection, if the workload's clients do."""
        self._requested_wait_s = min(wait_s, LONGEST_WAIT_S)

    def refused(self, stage: str, code: str, message: str) -> None:
        """The system reported an error that concerns no publish."""
        self.context.failed(self.user_class, stage, "RemoteError", code, message)

    def cancel_join(self) -> None:
        """Fail a join that is still in progress; it is counted at the next greenlet switch."""
        if self._joining is not None:
            self._joining.kill(TimeoutError("the run ended before the answer came"), block=False)

    def close(self) -> None:
        """Start to close the connection, at the end of the run."""
        if self._client is not None:
            self._client.close()

    def drop(self, now_ns: int) -> None:
        """Close the socket immediately and end the ledger."""
        if self._client is not None:
            self._client.drop()
            self._detach(now_ns, 1000, "run ended")

    @property
    def connected(self) -> bool:
        """Whether the user holds an open connection."""
        return self._client is not None and self.joined and self._client.open

    @property
    def _owed_names(self) -> list[str]:
        """Its channels, and what its own messages in them are called if they are not owed to it."""
        own = [] if self.own is None else [own_name(each, self.number) for each in self.channels]
        return [*self.channels, *own]

    def _detach(self, now_ns: int, code: int, reason: str) -> None:
        self._client = None
        if self.joined:
            self.context.connected[self.user_class] -= 1
        self.closed_ns = now_ns
        if self.owed_until_ns is None:
            self.owed_until_ns = now_ns
        if self.joined and self.owed_from_ns is not None:
            for name in self._owed_names:
                self.context.intervals.closed(name, self.owed_from_ns, self.owed_until_ns)
        self.end = (code, reason)

    def row(self) -> ConnectionRow:
        """Return this connection's row of the record."""
        times = self.times or JoinTimes(self.context.clock.now_ns())

        def took_ms(stage: str) -> float | None:
            took_ns = times.stages_ns.get(stage)
            return None if took_ns is None else took_ns / NS_PER_MS

        return {
            "worker": self.context.number,
            "user_class": self.user_class,
            "user": self.number,
            "connection": self.connection,
            "channel": CHANNELS_APART.join(self.channels) or None,
            "joined": self.joined,
            "failure_stage": self.failure[0] if self.failure else None,
            "failure_code": self.failure[1] if self.failure else None,
            "join_start_ns": times.start_ns + self.context.clock.offset_ns,
            "tcp_ms": took_ms("tcp"),
            "tls_ms": took_ms("tls"),
            "upgrade_ms": took_ms("upgrade"),
            "init_ms": took_ms("init"),
            "subscribe_ms": took_ms("subscribe"),
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
            "foreign": self.foreign,
            "malformed": self.malformed,
            "altered": self.altered,
            "misrouted": self.misrouted,
            "longest_stall_s": self.longest_stall_ns / NS_PER_S,
            "first_arrival_ns": self.first_arrival_ns or None,
            "last_arrival_ns": self.last_arrival_ns or None,
        }


def _join(client: Client, deadline: float) -> JoinTimes:
    """Join; whatever the peer's answer makes a client raise is a failed join with a cause."""
    try:
        return client.join(deadline)
    except JoinError:
        raise
    except Exception as error:
        client.drop()
        text = error_text(error) if isinstance(error, OSError) else sentence_of(error)
        raise JoinError("subscribe", join_code(error), text) from error
