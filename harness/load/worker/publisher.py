"""Sends a worker's part of the schedule, each publish at its time regardless of the system."""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import gevent

from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.message_token import MessageToken, MessageWriter
from harness.core.metric_types import CHATTER
from harness.load.schedule import Publish, Schedule
from harness.load.worker.run_context import RunContext
from harness.load.worker.session import UserSession
from harness.measure.message_tracker import NEVER_NS
from harness.measure.record_schema import PublishRow
from harness.net.client import PublishAnswer
from harness.net.joining import join_code

MAX_BACK_OFF_S = 30.0


class BackOff:
    """Chatters that pause after a throttled publish, as well-behaved clients do.

    Args:
        base_s: Longest pause after the first throttled publish; 0 disables pauses.
    """

    def __init__(self, base_s: float) -> None:
        self._base_s = base_s
        self._pauses: dict[int, tuple[float, int]] = {}

    def is_paused(self, chatter: int, now_s: float) -> bool:
        """Return whether a chatter pauses at a time of any steady clock."""
        until_s, _ = self._pauses.get(chatter, (0.0, 0))
        return now_s < until_s

    def answered(
        self, chatter: int, now_s: float, *, throttled: bool, asked_wait_s: float = 0.0
    ) -> None:
        """Take the answer to a publish of a chatter; one that is not throttled resets the pause.

        Args:
            chatter: Its number.
            now_s: On the clock of ``is_paused``.
            throttled: Whether the publish was refused by a rate limit.
            asked_wait_s: How long the system asks to wait; the pause comes after that.
        """
        if not (throttled or asked_wait_s):
            self._pauses.pop(chatter, None)
        elif self._base_s:
            _, times = self._pauses.get(chatter, (0.0, 0))
            longest_s = min(MAX_BACK_OFF_S, self._base_s * 2.0 ** min(times, 20))
            # Full jitter keeps chatters from resuming at the same time.
            wait_s = asked_wait_s + random.uniform(0.0, longest_s)
            self._pauses[chatter] = now_s + wait_s, times + 1


@dataclass(slots=True)
class _Pending:
    """A publish that was sent and not answered yet."""

    rows: list[PublishRow]
    sent_ns: int
    phase: str


class Publisher:
    """Sends the worker's part of the schedule and records the answers.

    A message is sent as soon as it is due, from its own chatter. Over WebSocket sending never
    waits; over HTTP each publish waits for its answer in a separate greenlet. Neither delays the
    next one.

    Args:
        context: The run in this worker.
        chatter: Returns the session of the chatter with a global number, None before it starts.
    """

    def __init__(self, context: RunContext, chatter: Callable[[int], UserSession | None]) -> None:
        self._context = context
        self._chatter = chatter
        self._publishing = context.plan.workload.publishing
        self._writer = MessageWriter(context.run_id, context.plan.target.message)
        self._sequences: dict[int, int] = {}
        self._pending: dict[str, _Pending] = {}
        self._back_off = BackOff(context.plan.workload.safety.back_off_s)
        self.rows: list[PublishRow] = []
        self._part = Schedule(context.plan).part(context.number, context.workers)
        self._next = next(self._part, None)

    def run(self) -> None:
        """Send every publish of this worker's part at its intended time; a greenlet's body."""
        while self._next is not None:
            wait_s = self._next.intended_s - self._context.clock.elapsed_s()
            if wait_s > 0:
                gevent.sleep(wait_s)
            self.send_due()

    def send_due(self) -> None:
        """Send every publish that is due; the message trackers call this too."""
        context = self._context
        while self._next is not None and self._next.intended_s <= context.clock.elapsed_s():
            publish, self._next = self._next, next(self._part, None)
            self._send(publish)
        self._set_due(self._next.intended_s if self._next is not None else None)

    def _set_due(self, intended_s: float | None) -> None:
        """Have the next publish sent on time even from within a burst of deliveries."""
        context, due_ns = self._context, NEVER_NS
        if intended_s is not None:
            clock = context.clock
            due_ns = clock.epoch_ns + round(intended_s * NS_PER_S) - clock.offset_ns
        for tracker in context.trackers.values():
            tracker.publish_due_at_ns = due_ns

    def _send(self, publish: Publish) -> None:
        context = self._context
        phase = context.phase_at(publish.intended_s)
        channel = context.plan.channel_path(publish.channel)
        context.stats.count(CHATTER, "publishes_offered", len(publish.bytes_each))
        session = self._chatter(publish.chatter)
        if session is None or not session.connected:
            self._not_sent(publish, channel, phase, "NotConnected", "its chatter is not connected")
            return
        if self._back_off.is_paused(publish.chatter, time.monotonic()):
            self._not_sent(publish, channel, phase, "BackedOff", "its chatter had been throttled")
            return
        stamped = self._stamped(publish)
        rows = [
            self._row(publish, place, channel, phase, len(event), token)
            for place, (token, event) in enumerate(stamped)
        ]
        events = [event for _, event in stamped]
        if session.own is not None:
            session.own.update((token.stream, token.sequence) for token, _ in stamped)
        publish_id = str(publish.first_message)
        pending = self._pending[publish_id] = _Pending(rows, stamped[0][0].sent_ns, phase)
        for token, _ in stamped:
            delay_ns = token.sent_ns - token.intended_ns
            context.stats.latency("send_delay", CHATTER, phase, delay_ns)
            context.health.sent(delay_ns)
        context.stats.count(CHATTER, "publishes_sent", len(rows))
        if self._publishing.transport == "http":
            gevent.spawn(self._post, publish_id, channel, events)
            return
        try:
            session.publish(publish_id, channel, events)
        except OSError as error:
            del self._pending[publish_id]
            self._close(pending.rows, "unanswered", None)
            context.failed(CHATTER, "publish", type(error).__name__, join_code(error), str(error))

    def _stamped(self, publish: Publish) -> list[tuple[MessageToken, bytes]]:
        """Return the messages of a publish: tokens with the time of sending, and what is sent."""
        context = self._context
        stream = context.number * context.plan.workload.channels.count + publish.channel
        intended_ns = context.clock.epoch_ns + round(publish.intended_s * NS_PER_S)
        stamped = []
        for size_bytes in publish.bytes_each:
            sequence = self._sequences.get(stream, 0)
            self._sequences[stream] = sequence + 1
            sent_ns = context.clock.now_ns()
            token = MessageToken(stream, sequence, intended_ns, sent_ns)
            stamped.append((token, self._writer.write(token, size_bytes)))
        return stamped

    def _row(
        self,
        publish: Publish,
        place: int,
        channel: str,
        phase: str,
        size_bytes: int,
        token: MessageToken | None = None,
    ) -> PublishRow:
        """Return the record's row of a publish's message; without a token it is not sent."""
        epoch_ns = self._context.clock.epoch_ns
        return {
            "id": publish.first_message + place,
            "stream": token.stream if token else None,
            "sequence": token.sequence if token else None,
            "worker": self._context.number,
            "channel": channel,
            "chatter": publish.chatter,
            "bytes": size_bytes,
            "intended_ns": epoch_ns + round(publish.intended_s * NS_PER_S),
            "sent_ns": token.sent_ns if token else None,
            "acknowledged_ns": None,
            "outcome": "unanswered" if token else "not_sent",
            "phase": phase,
        }

    def _post(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        try:
            self.answered(self._context.api.publish_over_http(publish_id, channel, events))
        except OSError as error:
            pending = self._pending.pop(publish_id, None)
            if pending is not None:
                self._close(pending.rows, "unanswered", None)
            self._context.failed(
                CHATTER, "publish", type(error).__name__, join_code(error), str(error)
            )

    def answered(self, answer: PublishAnswer) -> None:
        """Take the system's answer; one for a publish that has timed out is ignored."""
        pending = self._pending.pop(answer.publish_id, None)
        if pending is None:
            return
        context = self._context
        received_ns = answer.received_ns + context.clock.offset_ns
        latency_ns = received_ns - pending.sent_ns
        self._back_off.answered(
            pending.rows[0]["chatter"],
            time.monotonic(),
            throttled=answer.throttled,
            asked_wait_s=answer.asked_wait_s,
        )
        problem = None if answer.accepted else Exception(f"{answer.code}: {answer.message}")
        size_bytes = sum(row["bytes"] for row in pending.rows)
        context.table.request("PUBLISH", CHATTER, latency_ns / NS_PER_MS, size_bytes, problem)
        rows_by_outcome = _by_outcome(pending.rows, answer)
        for outcome, rows in rows_by_outcome.items():
            self._close(rows, outcome, received_ns)
        if "acknowledged" in rows_by_outcome:
            context.stats.latency("publish_latency", CHATTER, pending.phase, latency_ns)
        if not answer.accepted:
            is_refused = rows_by_outcome.keys() & {"refused", "throttled"}
            error_class = "Refused" if is_refused else "Unanswered"
            context.failed(CHATTER, "publish", error_class, answer.code, answer.message)

    def expire(self, *, everything: bool = False) -> None:
        """Time out publishes that have waited longer than the workload allows, or all of them."""
        timeout_ns = self._publishing.acknowledge_timeout_s * NS_PER_S
        before_ns = self._context.clock.now_ns() - timeout_ns
        for publish_id in [
            key for key, p in self._pending.items() if everything or p.sent_ns < before_ns
        ]:
            self._close(self._pending.pop(publish_id).rows, "unanswered", None)
            self._context.failed(CHATTER, "publish", "Timeout", "", "no answer in time")

    def _close(self, rows: list[PublishRow], outcome: str, acknowledged_ns: int | None) -> None:
        counter = {"acknowledged": "publishes_acknowledged", "throttled": "publishes_throttled"}
        name = counter.get(outcome, "publishes_failed")
        self._context.stats.count(CHATTER, name, len(rows))
        for row in rows:
            row["outcome"] = outcome
            row["acknowledged_ns"] = acknowledged_ns if outcome == "acknowledged" else None
        self.rows.extend(rows)

    def _not_sent(
        self, publish: Publish, channel: str, phase: str, error_class: str, message: str
    ) -> None:
        context = self._context
        context.stats.count(CHATTER, "publishes_failed", len(publish.bytes_each))
        context.failed(CHATTER, "publish", error_class, "", message)
        self.rows.extend(
            self._row(publish, place, channel, phase, size_bytes)
            for place, size_bytes in enumerate(publish.bytes_each)
        )

    def take_rows(self) -> list[PublishRow]:
        """Return the rows of messages whose outcome became known since the last call."""
        taken, self.rows = self.rows, []
        return taken


def _by_outcome(rows: list[PublishRow], answer: PublishAnswer) -> dict[str, list[PublishRow]]:
    """Return the rows of a publish's events by what its answer says of each."""
    if answer.accepted:
        return {"acknowledged": rows}
    if not answer.outcomes or not answer.outcomes.keys() <= set(range(len(rows))):
        # A place that no event has: nothing says which ones are meant.
        return {"throttled" if answer.throttled else "refused": rows}
    found = defaultdict(list)
    for place, row in enumerate(rows):
        found[answer.outcomes.get(place, "acknowledged")].append(row)
    return found
