"""The events of all channels in one order, which every process of the emulator sees alike.

An event is appended to a file under a lock, which gives it its number; every process reads on from
where it was. So ids rise in every channel, a client may come back to another process with its
last one, and a process that takes a killed one's place finds what was there before.
"""

import fcntl
import os
import struct
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.emulation.counters import open_integers

SEGMENT_BYTES = 16 * 1024 * 1024
"""A file this long is followed by another; the last two are kept."""

_RECORD = struct.Struct("=qqII")  # Number, when on the monotonic clock (ns), lengths of two texts.


class Event(NamedTuple):
    """One event.

    Attributes:
        number: Its place among all events, from 1; its id.
        published_ns: When it came, on the monotonic clock of this host.
    """

    number: int
    published_ns: int
    channel: str
    data: bytes


class EventLog:
    """One process's view of the events of all.

    Args:
        segment_bytes: Length at which a file is followed by another.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        # The number of the last event, that of the file for the next, and where it goes there.
        self._shared = open_integers(folder / "events", 3)
        self._lock = os.open(folder / "events-lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._segment = max(self._shared[1] - 1, 0)
        self._reading = self._open(self._segment)
        self._place = 0
        self._number = 0

    def _open(self, segment: int) -> int:
        return os.open(self._folder / f"events-{segment}", os.O_RDWR | os.O_CREAT, 0o600)

    def append(self, channel: str, data: bytes) -> int:
        """Add an event and return its number."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            return self._append(channel.encode(), data)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _append(self, name: bytes, data: bytes) -> int:
        number, segment, end = self._shared[0] + 1, self._shared[1], self._shared[2]
        head = _RECORD.pack(number, time.monotonic_ns(), len(name), len(data))
        file = self._open(segment)
        # Over what a process may have left that was killed before it had counted its event.
        end += os.pwrite(file, head + name + data, end)
        os.close(file)
        if end > self._segment_bytes:
            (self._folder / f"events-{segment - 1}").unlink(missing_ok=True)
            segment, end = segment + 1, 0
        self._shared[1], self._shared[2] = segment, end
        self._shared[0] = number  # Last: a process that sees it may read all of the event.
        return number

    def read(self) -> Iterator[Event]:
        """Return the events that came since the last call, in order."""
        while self._number < self._shared[0]:
            head = os.pread(self._reading, _RECORD.size, self._place)
            number = 0
            if len(head) == _RECORD.size:
                number, published_ns, *lengths = _RECORD.unpack(head)
            if number <= self._number:  # The end of this file, or what a killed process left.
                if self._segment == self._shared[1]:
                    return
                os.close(self._reading)
                self._segment += 1
                self._reading, self._place = self._open(self._segment), 0
                continue
            text = os.pread(self._reading, sum(lengths), self._place + _RECORD.size)
            self._place += _RECORD.size + len(text)
            self._number = number
            yield Event(number, published_ns, text[: lengths[0]].decode(), text[lengths[0] :])

    def close(self) -> None:
        """Close the files."""
        os.close(self._reading)
        os.close(self._lock)


class History:
    """The last events of a channel, for clients that come back."""

    def __init__(self, count: int, age_s: float) -> None:
        self._events: deque[Event] = deque(maxlen=count)
        self._age_ns = round(age_s * 1e9)

    def add(self, event: Event) -> None:
        """Keep an event, which is later than all before."""
        self._events.append(event)

    def after(self, number: int) -> list[Event]:
        """Return what is kept of the events after one."""
        oldest_ns = time.monotonic_ns() - self._age_ns
        return [e for e in self._events if e.number > number and e.published_ns >= oldest_ns]
