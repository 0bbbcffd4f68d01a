"""Fan-out inside one process: who subscribed to what, and one frame for all who share an id.

A delivery costs one write to a transport: no task, no queue and no object per subscriber. The
limit on what a subscriber leaves unread is therefore kept here, at the write. Only where a fault or
a quota may touch a broadcast is each of its deliveries looked at by itself.
"""

import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from harness.emulation.connection_writer import Batch, Connection, ConnectionWriter, Transport
from harness.emulation.deliveries import Deliveries, Frame, Subscription
from harness.emulation.websocket_frames import text_frame
from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import Segments, matching_patterns
from harness.systems.appsync_events.emulator.metering import steps_of_encoded

_Group = dict[Transport, Subscription]
_Key = tuple[Segments, str, Transport]

_NOBODY: dict[str, _Group] = {}


class Hub:
    """The subscriptions of one process.

    Args:
        settle_s: How long after its confirmation events still pass a subscription by.
    """

    def __init__(
        self,
        context: WorkerContext,
        writer: ConnectionWriter,
        deliveries: Deliveries,
        settle_s: float = 0.0,
    ) -> None:
        self._context = context
        self._writer = writer
        self._deliveries = deliveries
        self._numbers = context.numbers()
        self._settle_s = settle_s
        # Pattern -> subscription id -> transports in the order they came.
        self._groups: dict[Segments, dict[str, _Group]] = {}
        # Those that nothing reaches yet; in the order they came they also settle.
        self._settling: dict[_Key, tuple[float, Subscription]] = {}
        self._settling_patterns: Counter[Segments] = Counter()

    def number_events(self, count: int) -> list[int]:
        """Number events that came to this process."""
        return list(islice(self._numbers, count))

    def reset(self) -> None:
        """Number events from the beginning again."""
        self._numbers = self._context.numbers()

    def add(self, pattern: Segments, operation_id: str, connection: Connection) -> None:
        """Deliver what matches a pattern to a connection, marked with its subscription's id."""
        subscription = self._deliveries.subscribe(connection)
        key = pattern, operation_id, connection.transport
        if self._settle_s:
            self._settling[key] = time.monotonic() + self._settle_s, subscription
            self._settling_patterns[pattern] += 1
        else:
            self._route(key, subscription)

    def _route(self, key: _Key, subscription: Subscription) -> None:
        pattern, operation_id, transport = key
        groups = self._groups.setdefault(pattern, {})
        groups.setdefault(operation_id, {})[transport] = subscription

    def remove(self, pattern: Segments, operation_id: str, connection: Connection) -> None:
        """End a subscription that ``add`` began."""
        unrouted = self._settling.pop((pattern, operation_id, connection.transport), None)
        if unrouted is not None:
            self._settling_patterns[pattern] -= 1
            self._deliveries.unsubscribe(unrouted[1])
            return
        by_id = self._groups[pattern]
        self._deliveries.unsubscribe(by_id[operation_id].pop(connection.transport))
        if not by_id[operation_id]:
            del by_id[operation_id]
        if not by_id:
            del self._groups[pattern]

    def _settle(self, patterns: Sequence[Segments], events: int) -> None:
        """Route the subscriptions whose time has come; count what passes by the others."""
        now_s = time.monotonic()
        while self._settling:
            key, (due_s, subscription) = next(iter(self._settling.items()))
            if due_s > now_s:
                break
            del self._settling[key]
            self._settling_patterns[key[0]] -= 1
            self._route(key, subscription)
        passed = sum(self._settling_patterns[pattern] for pattern in patterns)
        self._deliveries.counters.add("deliveries.settling", passed * events)

    def broadcast(
        self, segments: Segments, encoded_events: Sequence[bytes], numbers: Sequence[int]
    ) -> None:
        """Deliver events, encoded and numbered, to all who subscribed to their channel."""
        patterns = matching_patterns(segments)
        if self._settling:
            self._settle(patterns, len(encoded_events))
        groups: list[tuple[str, _Group]] = []
        for pattern in patterns:
            groups.extend(self._groups.get(pattern, _NOBODY).items())
        if not groups:
            return
        count = len(encoded_events)
        steps = list(map(steps_of_encoded, encoded_events))
        reached = sum([len(group) for _, group in groups])
        if self._deliveries.all_pass(numbers, reached * count, reached * sum(steps)):
            self._write(groups, encoded_events, sum(steps))
            return
        now_s = time.monotonic()
        for operation_id, group in groups:
            frames = [
                _frame(number, operation_id, event, steps_of_it)
                for number, event, steps_of_it in zip(numbers, encoded_events, steps, strict=True)
            ]
            for subscription in group.values():
                self._deliveries.send(subscription, frames, now_s)

    def _write(
        self, groups: Sequence[tuple[str, _Group]], events: Sequence[bytes], steps: int
    ) -> None:
        """Write events as they are to all of these groups, and count that."""
        written = stuck = size_bytes = 0
        for operation_id, group in groups:
            frames = b"".join(
                [text_frame(wire.encoded_data(operation_id, event)) for event in events]
            )
            reached, not_reading = self._writer.write_to_all(frames, group)
            written += reached
            stuck += not_reading
            size_bytes += reached * len(frames)
        self._deliveries.count_written(written, stuck, size_bytes, len(events), steps)


def _frame(number: int, operation_id: str, encoded_event: bytes, steps: int) -> Frame:
    frame = text_frame(wire.encoded_data(operation_id, encoded_event))
    return Frame(number, Batch(frame, deliveries=1, steps=steps), encoded_event)
