"""The messages that a worker's subscribers are receiving, and their arrival times.

There is one entry for each message, not for each delivery. It is written to the record and dropped
once no delivery has come for a while. ``measure.ledger`` has what each single subscriber got.
"""

from array import array
from collections.abc import Callable, Iterator
from time import monotonic

import numpy as np

from harness.core.envelope import Envelope
from harness.measure.histogram import ArrivalBins, Int64Array

NEVER_NS = 2**63 - 1

RETIRE_AFTER_S = 5.0
"""A message is written to the record once nothing of it has arrived for this long."""


def _nothing() -> None:
    """Do nothing, in place of a callback that was not set."""


class Arrivals:
    """One message as seen by all subscribers of one user class in this worker.

    Attributes:
        arrivals: Kernel receive times of distinct owed deliveries since the last flush, ns.
        bins: Arrival times of those taken, counted from the intended send time.
        duplicated: Deliveries to a subscriber that had the message already.
        reordered: Distinct deliveries that came after a later one of the same stream.
        late: Distinct owed deliveries that came after the drain had ended.
        unexpected: Deliveries to a subscriber that was not owed the message.
        retired: Whether the message's row has been written; its frames are then forgotten.
    """

    __slots__ = (
        "arrivals",
        "bins",
        "delivered",
        "duplicated",
        "envelope",
        "first_ns",
        "following",
        "last_ns",
        "late",
        "payload_bytes",
        "quiet_since_s",
        "reordered",
        "retired",
        "sent_ns",
        "sequence",
        "stream",
        "unexpected",
    )

    def __init__(self, envelope: Envelope, payload_bytes: int) -> None:
        self.envelope = envelope
        self.stream = envelope.stream
        self.sequence = envelope.sequence
        self.following = envelope.sequence + 1
        self.sent_ns = envelope.sent_ns
        self.payload_bytes = payload_bytes
        self.arrivals = array("q")
        self.bins = ArrivalBins()
        self.delivered = 0
        self.duplicated = 0
        self.reordered = 0
        self.late = 0
        self.unexpected = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.quiet_since_s = monotonic()
        self.retired = False

    def take(self) -> Int64Array:
        """Return the arrivals since the last call, shape (n,), and fold them into the row."""
        taken: Int64Array = np.frombuffer(self.arrivals, dtype=np.int64)
        if taken.size:
            first, last = int(taken.min()), int(taken.max())
            self.first_ns = first if self.first_ns is None else min(first, self.first_ns)
            self.last_ns = last if self.last_ns is None else max(last, self.last_ns)
            self.delivered += int(taken.size)
            self.bins.add(taken - self.envelope.intended_ns)
            self.quiet_since_s = monotonic()
            self.arrivals = array("q")
        return taken


class MessageTracker:
    """All messages that one user class of one worker is receiving, and their frames.

    Attributes:
        run_id: Messages of other runs are counted as foreign and otherwise ignored.
        frame_cache: Frames and payloads already parsed, to their message (see ``net.websocket``).
        receive_delays_ns: Time between kernel and harness of each delivery since the last flush.
        clock_offset_ns: Run clock minus this host's realtime clock.
        publish_due_at_ns: This host's realtime at which ``publish_due`` is to be called, ns.
        publish_due: Called at the first delivery after ``publish_due_at_ns``. A burst of deliveries
            keeps the event loop from its timers; the publisher is called from within the burst.
        drained: Whether the drain has ended: later deliveries are late.
        foreign_count: Events on our channels that are not of this run.
    """

    def __init__(self, run_id: str, clock_offset_ns: int = 0) -> None:
        self.run_id = run_id
        self.frame_cache: dict[bytes, Arrivals] = {}
        self.receive_delays_ns = array("q")
        self.clock_offset_ns = clock_offset_ns
        self.publish_due_at_ns = NEVER_NS
        self.publish_due: Callable[[], None] = _nothing
        self.drained = False
        self.foreign_count = 0
        self._messages: dict[tuple[int, int], Arrivals] = {}

    def message(self, envelope: Envelope, payload_bytes: int) -> Arrivals:
        """Return the entry of a message, made at its first delivery."""
        key = (envelope.stream, envelope.sequence)
        found = self._messages.get(key)
        if found is None:
            found = self._messages[key] = Arrivals(envelope, payload_bytes)
        return found

    def find(self, stream: int, sequence: int) -> Arrivals | None:
        """Return the entry of a message that is not retired; None if there is none."""
        return self._messages.get((stream, sequence))

    def live(self) -> Iterator[Arrivals]:
        """Yield every message not yet retired."""
        yield from self._messages.values()

    def take_receive_delays(self) -> Int64Array:
        """Return the receive delays since the last call, ns, shape (n,)."""
        taken: Int64Array = np.frombuffer(self.receive_delays_ns, dtype=np.int64)
        self.receive_delays_ns = array("q")
        return taken

    def retire(self, *, everything: bool = False) -> list[Arrivals]:
        """Drop and return the messages without recent deliveries; ``take`` them first.

        A later delivery opens a new entry, and the record adds up the rows of a message.
        """
        before_s = monotonic() - RETIRE_AFTER_S
        gone = [m for m in self._messages.values() if everything or m.quiet_since_s < before_s]
        for message in gone:
            message.retired = True
            del self._messages[message.stream, message.sequence]
        if gone:
            for frame in [frame for frame, message in self.frame_cache.items() if message.retired]:
                del self.frame_cache[frame]
        return gone
