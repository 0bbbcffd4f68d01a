"""The delivery ledger: each subscriber's deliveries, checked against the streams' sequences.

A stream is what one worker published on one channel; its messages are numbered from 0 without
gaps, and sent in that order. A subscriber therefore needs one number per stream, the next
sequence it expects, and keeps more only while something is out of order: memory does not grow
with messages times subscribers.

The ledger classifies deliveries. How many were *owed* is decided by the analysis, from the
window of each subscription and the send times of the messages, so that publisher and subscriber
need not share a process.
"""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from time import time_ns
from typing import Any

import numpy as np

from harness.measure.histogram import Int64Array
from harness.measure.message_tracker import Arrivals, Found, MessageTracker


class _EachChecked(dict[int, int]):
    """The sequences expected while each delivery is checked.

    Just after a reconnect, before leaving, and where a user's own messages are not owed to it, the
    next message of a stream may be one that is not owed.
    """

    def get(self, *_: object) -> None:  # type: ignore[override]  # it knows less on purpose
        """Return None, so that no delivery takes the shortcut."""


class SubscriberLedger:
    """The deliveries of one subscription: their counts, their order and the longest stall.

    Args:
        tracker: The messages of its user class.
        channels: Names of the channels that it subscribes to, wildcards included.

    Attributes:
        owed_from_ns: Run clock from which messages are owed: the confirmation. None before.
        owed_until_ns: Run clock from which they are owed no longer. None before.
        own: Stream and sequence of the messages that are its user's own and not owed to it; None
            where they are owed like all others.
        duplicated: Deliveries of a message that had been delivered already.
        reordered: Distinct owed deliveries that came after a later one of the same stream.
        late: Distinct owed deliveries that came after the drain had ended.
        unexpected: Deliveries of messages that were not owed.
        foreign: Events without a message of this run.
        malformed: Beginnings of a message of this run that no whole token follows.
        altered: Messages that are not as they were sent; with an intact token delivered as well.
        misrouted: Messages of channels that it did not subscribe to; counted nowhere else.
        longest_stall_ns: Longest time without a delivery while one was owed, to the last delivery.
        first_arrival_ns: Run clock of the first delivery of this run, owed or not; 0 before it.
        last_arrival_ns: Run clock of the last distinct owed delivery, 0 before the first.
    """

    __slots__ = (
        "_before_count",
        "_gaps",
        "altered",
        "channels",
        "duplicated",
        "expected",
        "first_arrival_ns",
        "foreign",
        "last_arrival_ns",
        "late",
        "longest_stall_ns",
        "malformed",
        "misrouted",
        "owed_from_ns",
        "owed_until_ns",
        "own",
        "reordered",
        "tracker",
        "unexpected",
    )

    def __init__(self, tracker: MessageTracker, channels: Sequence[str] = ("",)) -> None:
        self.tracker = tracker
        self.channels = channels
        self.expected: dict[int, int] = {}
        self.owed_from_ns: int | None = None
        self.owed_until_ns: int | None = None
        self.duplicated = 0
        self.reordered = 0
        self.late = 0
        self.unexpected = 0
        self.foreign = self.malformed = self.altered = self.misrouted = 0
        self.longest_stall_ns = 0
        self.first_arrival_ns = 0
        self.last_arrival_ns = 0
        self.own: set[tuple[int, int]] | None = None
        self._gaps: dict[int, list[range]] | None = None
        self._before_count = 0

    def owe_no_own(self) -> None:
        """Do not owe what will be added to ``own``; then each delivery is checked for it."""
        self.own = set()
        self.expected = _EachChecked(self.expected)

    def begin_again(self) -> None:
        """Count the user's next connection from 0.

        Messages seen on earlier connections stay known, to tell a duplicate from a missed message.
        """
        self._before_count = self._seen_count
        self.expected = _EachChecked(self.expected)  # Until the first that is owed again.
        self.owed_from_ns = self.owed_until_ns = None
        self.duplicated = self.reordered = self.late = self.unexpected = 0
        self.foreign = self.malformed = self.altered = self.misrouted = 0
        self.longest_stall_ns = self.first_arrival_ns = self.last_arrival_ns = 0

    def stop_owing(self, now_ns: int) -> None:
        """Owe nothing that is sent from now on; messages under way are still owed.

        Args:
            now_ns: Run clock.
        """
        self.owed_until_ns = now_ns
        self.expected = _EachChecked(self.expected)

    @property
    def _seen_count(self) -> int:
        """Distinct owed messages received, over all connections so far."""
        gaps = self._gaps or {}
        missing = sum(len(gap) for stream in gaps.values() for gap in stream)
        return sum(self.expected.values()) - missing

    @property
    def delivered_count(self) -> int:
        """Distinct owed deliveries before the end of the drain."""
        return self._seen_count - self._before_count - self.late

    @property
    def received_count(self) -> int:
        """All deliveries of this run: delivered, late, duplicated and unexpected."""
        return self.delivered_count + self.late + self.duplicated + self.unexpected

    def delivered(self, known: Arrivals, kernel_ns: int) -> None:
        """Account for one delivery; the hot path.

        Args:
            known: The message's entry in the tracker.
            kernel_ns: When the kernel received it, on this host's realtime clock.
        """
        expected = self.expected
        tracker = self.tracker
        if expected.get(known.stream) != known.sequence or tracker.drained:
            self._irregular(known, kernel_ns)
            return
        expected[known.stream] = known.following
        # The rest is _count, written out: a call more would cost a tenth of the whole path.
        now_ns = time_ns()
        tracker.receive_delays_ns.append(now_ns - kernel_ns)
        if tracker.clock_offset_ns:
            kernel_ns += tracker.clock_offset_ns
        known.arrivals.append(kernel_ns)
        if kernel_ns - known.sent_ns > self.longest_stall_ns:
            self._note_stall(known.sent_ns, kernel_ns)
        self.last_arrival_ns = kernel_ns
        if now_ns >= tracker.publish_due_at_ns:
            tracker.publish_due()

    def delivered_together(
        self, known: Arrivals, listeners: Sequence[Any], stamps_ns: Int64Array
    ) -> None:
        """Account for one message that several subscribers of this tracker got; the hot path.

        Args:
            known: The message's entry in the tracker.
            listeners: The accounts of who got it; one that got it twice is there twice.
            stamps_ns: When each got it, on this host's realtime clock, shape (listeners,).
        """
        tracker, stream, sequence = self.tracker, known.stream, known.sequence
        following = known.following
        sent_ns, offset_ns, drained = known.sent_ns, tracker.clock_offset_ns, tracker.drained
        regular = np.ones(stamps_ns.size, bool)
        for place, (account, kernel_ns) in enumerate(
            zip(listeners, (stamps_ns + offset_ns).tolist(), strict=True)
        ):
            expected = account.expected
            if expected.get(stream) != sequence or drained:
                regular[place] = False
                account._irregular(known, kernel_ns - offset_ns)  # noqa: SLF001 - our own class's
                continue
            expected[stream] = following
            if kernel_ns - sent_ns > account.longest_stall_ns:
                account._note_stall(sent_ns, kernel_ns)  # noqa: SLF001 - our own class's
            account.last_arrival_ns = kernel_ns
        now_ns, taken_ns = time_ns(), stamps_ns[regular]
        tracker.receive_delays_ns.frombytes((now_ns - taken_ns).tobytes())
        known.arrivals.frombytes((taken_ns + offset_ns).tobytes())
        if now_ns >= tracker.publish_due_at_ns:
            tracker.publish_due()

    def event(self, payload: bytes, kernel_ns: int) -> Arrivals | None:
        """Account for everything of this run in bytes that were not recognised.

        Args:
            payload: A whole frame, event or body.
            kernel_ns: When the kernel received it, on this host's realtime clock.

        Returns:
            The message's entry, if equal bytes may be recognised by comparison from now on: they
            hold one intact message and nothing else of this run. None otherwise.
        """
        known = self.tracker.only_message(payload)
        if known is not None:
            self.delivered(known, kernel_ns)
            return known
        found = self.tracker.search(payload)
        for message in found.messages:
            self.delivered(message, kernel_ns)
        if len(found.messages) == 1 and not (found.altered or found.malformed):
            return found.messages[0]
        self._not_intact(found, payload)
        return None

    def _not_intact(self, found: Found, payload: bytes) -> None:
        """Count what is altered, malformed, or nothing of this run at all."""
        foreign = not (found.messages or found.altered or found.malformed)
        self.foreign += foreign
        self.altered += found.altered
        self.malformed += found.malformed
        counts = {"foreign": foreign, "altered": found.altered, "malformed": found.malformed}
        for kind, count in counts.items():
            if count:
                self.tracker.irregular(kind, payload, count)

    def _count(self, message: Arrivals, kernel_ns: int) -> None:
        tracker = self.tracker
        tracker.receive_delays_ns.append(time_ns() - kernel_ns)
        kernel_ns += tracker.clock_offset_ns
        message.arrivals.append(kernel_ns)
        if kernel_ns - message.sent_ns > self.longest_stall_ns:
            self._note_stall(message.sent_ns, kernel_ns)
        self.last_arrival_ns = kernel_ns

    def _note_stall(self, owed_since_ns: int, now_ns: int) -> None:
        stall_ns = now_ns - max(self.last_arrival_ns, owed_since_ns)
        self.longest_stall_ns = max(self.longest_stall_ns, stall_ns)

    def _irregular(self, message: Arrivals, kernel_ns: int) -> None:
        """Account for whatever is not simply the next message of its stream, in time.

        The first message of each stream is among it: nothing was expected yet.
        """
        if self.tracker.names_of_stream(message.stream).isdisjoint(self.channels):
            self.misrouted += 1
            self.tracker.irregular("misrouted", message.text)
            return
        if not self.first_arrival_ns:
            self.first_arrival_ns = kernel_ns + self.tracker.clock_offset_ns
        expected = dict.get(self.expected, message.stream, 0)
        if not self._is_owed(message):
            if message.sequence < expected and not self._is_missing(message):
                self.duplicated += 1
                message.duplicated += 1
            else:
                self.unexpected += 1
                message.unexpected += 1
            return
        each_checked = isinstance(self.expected, _EachChecked) and self.own is None
        if each_checked and self.owed_until_ns is None:
            self.expected = dict(self.expected)
        if message.sequence >= expected:
            if message.sequence > expected:
                self._open_gap(message, expected, kernel_ns)
            self.expected[message.stream] = message.sequence + 1
        elif self._fill_gap(message):
            self.reordered += 1
            message.reordered += 1
        else:
            self.duplicated += 1
            message.duplicated += 1
            return
        if self.tracker.drained:
            self.late += 1
            message.late += 1
        else:
            self._count(message, kernel_ns)

    def _open_gap(self, message: Arrivals, expected: int, kernel_ns: int) -> None:
        """Remember the sequences skipped; a stall began when the first owed of them was sent."""
        if self._gaps is None:
            self._gaps = {}
        skipped = range(expected, message.sequence)
        self._gaps.setdefault(message.stream, []).append(skipped)
        owed_since_ns = None
        for sequence in reversed(skipped):
            if self.own is not None and (message.stream, sequence) in self.own:
                continue
            known = self.tracker.find(message.stream, sequence)
            if known is None or self.owed_from_ns is None or known.sent_ns < self.owed_from_ns:
                break
            owed_since_ns = known.sent_ns
        if owed_since_ns is not None:
            self._note_stall(owed_since_ns, kernel_ns + self.tracker.clock_offset_ns)

    def _is_owed(self, message: Arrivals) -> bool:
        if self.own is not None and (message.stream, message.sequence) in self.own:
            return False
        if self.owed_from_ns is None or message.sent_ns < self.owed_from_ns:
            return False
        return self.owed_until_ns is None or message.sent_ns < self.owed_until_ns

    def _find_gap(self, message: Arrivals) -> tuple[list[range], int] | None:
        """Return the gaps of a stream, and the place of the one that a message lies in.

        They are in ascending order. Own messages that are not owed leave one gap each.
        """
        gaps = self._gaps.get(message.stream, []) if self._gaps is not None else []
        place = bisect_right(gaps, message.sequence, key=attrgetter("start")) - 1
        return (gaps, place) if place >= 0 and message.sequence in gaps[place] else None

    def _is_missing(self, message: Arrivals) -> bool:
        return self._find_gap(message) is not None

    def _fill_gap(self, message: Arrivals) -> bool:
        """Take a sequence out of the gap it lies in; False when it lies in none."""
        found = self._find_gap(message)
        if found is None:
            return False
        gaps, place = found
        gap = gaps[place]
        parts = (range(gap.start, message.sequence), range(message.sequence + 1, gap.stop))
        gaps[place : place + 1] = [part for part in parts if part]
        return True
