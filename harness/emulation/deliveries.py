"""What becomes of each delivery: sent, dropped, held back, and counted as what it was.

An emulator asks once a broadcast whether all of it may pass; mostly it may, and the emulator writes
to its connections straight away. Only else does each delivery come here by itself.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import orjson
from hdrh.histogram import HdrHistogram

from harness.emulation.connection_writer import Batch, Connection, ConnectionWriter
from harness.emulation.counters import OWED, SENT, SUBSCRIPTIONS
from harness.emulation.fault_choices import DeliveryOutcome
from harness.emulation.faults import Faults
from harness.emulation.quotas import Rate
from harness.emulation.scheduler import Scheduler
from harness.emulation.websocket_frames import MALFORMED_FRAMES
from harness.emulation.worker import WorkerContext

Overflow = Literal["delay", "drop"]

REORDER_PATIENCE_S = 2.0
"""How long a delivery waits for later ones to pass it; then it leaves all the same."""

LONGEST_DELAY_US = 3_600_000_000


@dataclass(slots=True, eq=False)
class Subscription:
    """One subscription, as far as its deliveries go.

    Attributes:
        number: Counts subscriptions, so that faults and records can name it.
        held_back: Deliveries that later ones are to pass.
        late: How many deliveries wait for their time.
        due_s: When the last of these is due.
    """

    connection: Connection
    number: int
    held_back: "list[_HeldBack]" = field(default_factory=list)
    late: int = 0
    due_s: float = 0.0


class Frame(NamedTuple):
    """An event, ready to be written.

    Attributes:
        event: Counts events, so that faults and records can name it.
        batch: Its delivery, the same for all who get it unharmed.
        encoded: The event as a JSON string.
    """

    event: int
    batch: Batch
    encoded: bytes


@dataclass(slots=True, eq=False)
class _HeldBack:
    """A delivery that waits for later ones to pass it."""

    frame: Frame
    batch: Batch
    depth: int
    delay_s: float
    passed: int = 0


class Deliveries:
    """The deliveries of one process; made inside the running event loop.

    Args:
        context: Makes the numbers of subscriptions unique.
        malformed_frames: What the system's malformed frames look like, by form.

    Attributes:
        outbound: Quota of steps of metering; None for no limit.
        overflow: What becomes of deliveries above the quota.
    """

    def __init__(
        self,
        context: WorkerContext,
        writer: ConnectionWriter,
        faults: Faults,
        scheduler: Scheduler,
        malformed_frames: Mapping[str, bytes] = MALFORMED_FRAMES,
    ) -> None:
        self.outbound: Rate | None = None
        self.overflow: Overflow = "delay"
        self.counters = writer.counters
        self.delays = HdrHistogram(1, LONGEST_DELAY_US, 3)  # Of those that left late, in µs.
        self._writer = writer
        self._faults = faults
        self._scheduler = scheduler
        self._numbers = context.numbers()
        self._malformed_frames = malformed_frames
        self._is_charged = True
        self._late: dict[float, list[tuple[Subscription, Batch, float]]] = {}

    def subscribe(self, connection: Connection) -> Subscription:
        """Return a new subscription of a connection."""
        self.counters.add(SUBSCRIPTIONS)
        return Subscription(connection, next(self._numbers))

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; what is held back for it still leaves."""
        self.counters.add(SUBSCRIPTIONS, -1)
        for held in list(subscription.held_back):
            self._release(subscription, held, time.monotonic())

    def all_pass(self, events: Collection[int], deliveries: int, steps: int) -> bool:
        """Decide whether a whole broadcast may be written as it is; if so, it is charged for.

        Deliveries are events times subscriptions, and steps are those of metering all of them.
        """
        self._is_charged = self.outbound is None or self.outbound.take(steps)
        if not self._is_charged or self._writer.pending:
            return False
        return not self._faults.may_hit(events, deliveries)

    def broadcast(self, subscriptions: Collection[Subscription], frame: Frame) -> None:
        """Deliver an event to each of these subscriptions, as quota and faults want."""
        count, recipients = len(subscriptions), list(subscriptions)
        if self.all_pass((frame.event,), count, count * frame.batch.steps):
            self.counters.add(OWED, count)
            for subscription in recipients:
                subscription.connection.deliver(frame.batch)
            return
        now_s = time.monotonic()
        for subscription in recipients:
            self.send(subscription, [frame], now_s)

    def count_written(
        self, written: int, stuck: int, size_bytes: int, events: int = 1, steps: int = 0
    ) -> None:
        """Count a broadcast that was written as it is, past ``send``.

        Written and stuck are subscriptions; those that do not read are stuck, and were aborted.
        """
        count = self.counters.add
        count(OWED, (written + stuck) * events)
        count(SENT, written * events)
        count("deliveries.steps", written * steps)
        count("bytes_out", size_bytes)
        if stuck:
            count("deliveries.dropped.slow_subscriber", stuck * events)

    def send(self, subscription: Subscription, frames: Sequence[Frame], now_s: float) -> None:
        """Do with the deliveries of a broadcast to one subscription what quota and faults want.

        The broadcast began at ``now_s`` on ``time.monotonic``.
        """
        connection = subscription.connection
        if connection.transport.is_closing():
            return
        self.counters.add(OWED, len(frames))
        for frame in frames:
            outcome = self._faults.on_delivery(frame.event, subscription.number, connection)
            if outcome.dropped:
                self._drop(subscription, frame, "fault")
                continue
            wait_s = self._quota_wait_s(frame.batch.steps * (1 + outcome.copies))
            if wait_s is None:
                self._drop(subscription, frame, "quota")
                continue
            self._accept(subscription, frame, outcome, wait_s, now_s)

    def _drop(self, subscription: Subscription, frame: Frame, cause: str) -> None:
        self.counters.add(f"deliveries.dropped.{cause}")
        self._log("dropped", subscription, frame, cause=cause)

    def _quota_wait_s(self, steps: int) -> float | None:
        if self._is_charged or self.outbound is None:
            return 0.0
        if self.overflow == "delay":
            return self.outbound.reserve(steps)
        return 0.0 if self.outbound.take(steps) else None

    def _accept(
        self,
        subscription: Subscription,
        frame: Frame,
        outcome: DeliveryOutcome,
        wait_s: float,
        now_s: float,
    ) -> None:
        batch = frame.batch
        if outcome.copies or outcome.malformed:
            batch = self._packed(subscription, frame, outcome)
        delay_s = max(outcome.delay_s, wait_s)
        if outcome.depth:
            self._writer.count_pending(batch.deliveries)
            held = _HeldBack(frame, batch, outcome.depth, delay_s)
            subscription.held_back.append(held)
            patience = partial(self._give_up_on, subscription, held)
            self._scheduler.at(now_s + REORDER_PATIENCE_S, patience)
            return
        self._queue(subscription, batch, delay_s, now_s, is_quota=wait_s > outcome.delay_s)
        for passed in list(subscription.held_back):
            passed.passed += 1
            if passed.passed == passed.depth:
                self._release(subscription, passed, now_s)

    def _packed(self, subscription: Subscription, frame: Frame, outcome: DeliveryOutcome) -> Batch:
        for _ in range(outcome.copies):
            self._log("duplicated", subscription, frame)
        for form in outcome.malformed:
            self._log("malformed", subscription, frame, form=form)
        spoilt = b"".join(self._malformed_frames[form] for form in outcome.malformed)
        plain = frame.batch
        return Batch(
            frames=spoilt + plain.frames * (1 + outcome.copies),
            deliveries=plain.deliveries,
            copies=outcome.copies,
            malformed=len(outcome.malformed),
            steps=plain.steps * (1 + outcome.copies),
        )

    def _give_up_on(self, subscription: Subscription, held: _HeldBack) -> None:
        if held in subscription.held_back:
            self._release(subscription, held, time.monotonic())

    def _release(self, subscription: Subscription, held: _HeldBack, now_s: float) -> None:
        """Let a delivery go on that later ones have passed, or else have not."""
        subscription.held_back.remove(held)
        self._writer.count_pending(-held.batch.deliveries)
        if held.passed:
            self.counters.add("deliveries.reordered")
            self._log("reordered", subscription, held.frame, depth=held.passed)
        self._queue(subscription, held.batch, held.delay_s, now_s)

    def _queue(
        self,
        subscription: Subscription,
        batch: Batch,
        delay_s: float,
        now_s: float,
        *,
        is_quota: bool = False,
    ) -> None:
        """Send a batch, or keep it until it is due and all before it have left."""
        if not delay_s and not subscription.late:
            subscription.connection.deliver(batch)
            return
        due_s = max(now_s + delay_s, subscription.due_s)
        subscription.due_s = due_s
        subscription.late += 1
        self._writer.count_pending(batch.deliveries)
        self.counters.add(f"deliveries.delayed.{'quota' if is_quota else 'fault'}")
        entries = self._late.get(due_s)
        if entries is None:
            entries = self._late[due_s] = []
            self._scheduler.at(due_s, partial(self._send_late, due_s))
        entries.append((subscription, batch, now_s))

    def _send_late(self, due_s: float) -> None:
        for subscription, batch, began_s in self._late.pop(due_s):
            subscription.late -= 1
            self._writer.count_pending(-batch.deliveries)
            self.delays.record_value(max(1, round((time.monotonic() - began_s) * 1e6)))
            subscription.connection.deliver(batch)

    def _log(self, what: str, subscription: Subscription, frame: Frame, **more: object) -> None:
        connection, text = subscription.connection, orjson.loads(frame.encoded)
        log = self._faults.log
        log.add_delivery(what, frame.event, subscription.number, connection, text, **more)
