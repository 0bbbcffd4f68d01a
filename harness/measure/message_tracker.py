"""The messages that a worker's subscribers are receiving, and their arrival times.

There is one entry for each message, not for each delivery. It is written to the record and dropped
once no delivery has come for a while. ``measure.ledger`` has what each single subscriber got.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import NamedTuple

import numpy as np

from harness.core.channels import names_of
from harness.core.message_token import (
    END_MARK,
    TOKEN_BYTES,
    MessageToken,
    is_filler,
    is_token,
    needle_of,
)
from harness.core.outside_text import excerpt
from harness.measure.histogram import ArrivalBins, Int64Array

NEVER_NS = 2**63 - 1

RETIRE_AFTER_S = 5.0
"""A message is written to the record once nothing of it has arrived for this long."""

EXAMPLES = 5
"""Examples kept of each kind of bytes that were no intact delivery."""

EXAMPLE_CHARACTERS = 200


MOST_IN_ONE = 2000
"""Beginnings of messages that are read in one frame: as many cost about 40 ms."""

MOST_CACHED_BYTES = 64 * 1024 * 1024


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
        text: The token as it was sent.
    """

    __slots__ = (
        "arrivals",
        "bins",
        "delivered",
        "duplicated",
        "first_ns",
        "following",
        "last_ns",
        "late",
        "quiet_since_s",
        "reordered",
        "retired",
        "sent_ns",
        "sequence",
        "stream",
        "text",
        "token",
        "unexpected",
    )

    def __init__(self, token: MessageToken, text: bytes) -> None:
        self.token = token
        self.stream = token.stream
        self.sequence = token.sequence
        self.following = token.sequence + 1
        self.sent_ns = token.sent_ns
        self.text = text
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

    def is_whole(self, payload: bytes, start: int) -> bool:
        """Return whether filler and end mark follow the token that begins at ``start``."""
        begin, end = start + TOKEN_BYTES, start + self.token.length_bytes - len(END_MARK)
        return payload.startswith(END_MARK, end) and is_filler(payload[begin:end])

    def take(self) -> Int64Array:
        """Return the arrivals since the last call, shape (n,), and fold them into the row."""
        taken: Int64Array = np.frombuffer(self.arrivals, dtype=np.int64)
        if taken.size:
            first, last = int(taken.min()), int(taken.max())
            self.first_ns = first if self.first_ns is None else min(first, self.first_ns)
            self.last_ns = last if self.last_ns is None else max(last, self.last_ns)
            self.delivered += int(taken.size)
            self.bins.add(taken - self.token.intended_ns)
            self.quiet_since_s = monotonic()
            self.arrivals = array("q")
        return taken


class FrameCache(dict[bytes, Arrivals]):
    """Bytes already understood, to their message; takes no more once they are too many.

    A service may write each frame of a message in a different way.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def __setitem__(self, frame: bytes, message: Arrivals) -> None:
        """Remember bytes, if there is room."""
        if frame not in self and self._bytes + len(frame) <= MOST_CACHED_BYTES:
            self._bytes += len(frame)
            super().__setitem__(frame, message)

    def forget_retired(self) -> None:
        """Drop the bytes of messages whose row is written."""
        for frame in [frame for frame, message in self.items() if message.retired]:
            self._bytes -= len(frame)
            del self[frame]


class Found(NamedTuple):
    """What a search found in the bytes of one frame, event or body.

    Attributes:
        messages: The messages whose token is intact, each once, in their order.
        altered: Messages whose checksum, length, filler or end mark is wrong.
        malformed: Beginnings of a message of this run that no whole token follows.
    """

    messages: list[Arrivals]
    altered: int
    malformed: int


class MessageTracker:
    """All messages that one user class of one worker is receiving, and their frames.

    Args:
        run_id: Messages of other runs are foreign.
        clock_offset_ns: Run clock minus this host's realtime clock.
        channels: Paths of the run's channels, by number; a stream is that of one of them.

    Attributes:
        needle: What every message of the run begins with.
        frame_cache: Frames and payloads already parsed, to their message (see ``net.websocket``).
        receive_delays_ns: Time between kernel and harness of each delivery since the last flush.
        clock_offset_ns: Run clock minus this host's realtime clock.
        publish_due_at_ns: This host's realtime at which ``publish_due`` is to be called, ns.
        publish_due: Called at the first delivery after ``publish_due_at_ns``. A burst of deliveries
            keeps the event loop from its timers; the publisher is called from within the burst.
        drained: Whether the drain has ended: later deliveries are late.
    """

    def __init__(
        self, run_id: str, clock_offset_ns: int = 0, channels: Sequence[str] = ("",)
    ) -> None:
        self.needle = needle_of(run_id)
        self.frame_cache = FrameCache()
        self.receive_delays_ns = array("q")
        self.clock_offset_ns = clock_offset_ns
        self.publish_due_at_ns = NEVER_NS
        self.publish_due: Callable[[], None] = _nothing
        self.drained = False
        self._channels = channels
        self._names: dict[int, frozenset[str]] = {}
        self._messages: dict[tuple[int, int], Arrivals] = {}
        self._by_token: dict[bytes, Arrivals] = {}
        self._irregular: Counter[tuple[str, str]] = Counter()
        self._examples: Counter[str] = Counter()

    def only_message(self, payload: bytes) -> Arrivals | None:
        """Return the message in bytes that hold one known message and nothing else of the run.

        None says nothing: ``search`` then tells what there is.
        """
        start = payload.find(self.needle)
        known = self._by_token.get(payload[start : start + TOKEN_BYTES])
        if known is None or not known.is_whole(payload, start):
            return None
        return None if payload.find(self.needle, start + TOKEN_BYTES) >= 0 else known

    def search(self, payload: bytes) -> Found:
        """Find all messages of the run in the bytes of a frame, an event or a body.

        A message that stands there several times is one; one intact copy of it is enough. What
        begins behind the first ``MOST_IN_ONE`` is counted as malformed without being read.
        """
        intact: dict[Arrivals, bool] = {}
        altered = malformed = 0
        start = payload.find(self.needle)
        for _ in range(MOST_IN_ONE):
            if start < 0:
                break
            token = payload[start : start + TOKEN_BYTES]
            known = self._by_token.get(token) or self._new_message(token)
            if known is not None:
                whole = known.is_whole(payload, start)
                intact[known] = intact.get(known, False) or whole
            elif is_token(token):
                altered += 1
            else:
                malformed += 1
            start = payload.find(self.needle, start + len(self.needle))
        if start >= 0:
            malformed += payload.count(self.needle, start)
        return Found(list(intact), altered + list(intact.values()).count(False), malformed)

    def _new_message(self, token: bytes) -> Arrivals | None:
        """Return a new entry for a token; None for one that no publisher of the run has made."""
        parsed = MessageToken.parse(token) if is_token(token) else None
        if parsed is None or (parsed.stream, parsed.sequence) in self._messages:
            return None  # A place in a stream has one token.
        found = Arrivals(parsed, token)
        self._messages[parsed.stream, parsed.sequence] = self._by_token[token] = found
        return found

    def names_of_stream(self, stream: int) -> frozenset[str]:
        """Return every name, wildcards included, that stands for the channel of a stream."""
        channel = stream % len(self._channels)
        found = self._names.get(channel)
        if found is None:
            found = self._names[channel] = frozenset(names_of(self._channels[channel]))
        return found

    def irregular(self, kind: str, payload: bytes, count: int = 1) -> None:
        """Count what arrived and was no intact delivery; the first of a kind are kept as examples.

        Args:
            kind: foreign, malformed, altered or misrouted.
            payload: The bytes in which it stood.
            count: How many times it stood there.
        """
        example = ""
        if self._examples[kind] < EXAMPLES:
            self._examples[kind] += 1
            example = excerpt(payload, EXAMPLE_CHARACTERS)
        self._irregular[kind, example] += count

    def take_irregular(self) -> Counter[tuple[str, str]]:
        """Return the counts by kind and example since the last call; "" stands for the others."""
        taken, self._irregular = self._irregular, Counter()
        return taken

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
            del self._by_token[message.text]
        if gone:
            self.frame_cache.forget_retired()
        return gone
