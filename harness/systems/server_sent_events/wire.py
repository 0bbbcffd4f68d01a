"""The event-stream format of server-sent events: bytes in, events out, no I/O.

Source: WHATWG HTML, sections 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event
stream", read November 2026.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.core.errors import RemoteProtocolError
from harness.core.peer_limits import FLOOD, HeldBytes, oversize

CONTENT_TYPE = "text/event-stream"
LAST_EVENT_ID_HEADER = "Last-Event-ID"
DEFAULT_EVENT_TYPE = "message"

MAX_ID_BYTES = 8192
"""Servers and proxies refuse a longer Last-Event-ID, and each user keeps one."""

MAX_LINES = 32_768
"""In one piece of a stream: as many take about 20 ms."""

MAX_FIELDS = 32
"""Of one event, data apart: no server has a use for as many."""

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_DIGITS = re.compile(rb"[0-9]+")
_LF = 10


class Event(NamedTuple):
    """One event of a stream.

    Attributes:
        type: Its name; ``message`` where the server gave none.
        data: Its data lines joined by LF, undecoded, so that equal events compare fast.
        last_event_id: The stream's last event id when it was dispatched, undecoded.
    """

    type: str
    data: bytes
    last_event_id: bytes


class EventStreamParser:
    """Turns the bytes of one response body, however they are cut, into events.

    Attributes:
        last_event_id: Where to go on after a reconnect, undecoded; empty before the first id.
        retry_ms: The reconnection time the server asked for; None where it did not.
        empty_lines: Comments and empty blocks so far: what servers send as heartbeats.

    Args:
        last_event_id: Where the stream before this one was left.
    """

    __slots__ = (
        "_data",
        "_fields",
        "_held",
        "_id",
        "_pending_bytes",
        "_rest",
        "_skip_lf",
        "_started",
        "_type",
        "empty_lines",
        "last_event_id",
        "retry_ms",
    )

    def __init__(self, last_event_id: bytes = b"") -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self.empty_lines = 0
        self._id = last_event_id
        self._data: bytes | bytearray | None = None
        self._type = b""
        self._rest = bytearray()
        """The beginning of a line."""
        self._held = HeldBytes()
        self._pending_bytes = 0
        self._fields = 0
        self._skip_lf = False
        self._started = False

    @property
    def idle(self) -> bool:
        """Whether the next byte begins a new block, whatever came before it."""
        return (
            self._started
            and not self._skip_lf
            and self._data is None
            and not (self._rest or self._type)
            and self._id == self.last_event_id
        )

    def move_to(self, last_event_id: bytes) -> None:
        """Set the cursor where blocks were read elsewhere; only between blocks."""
        self.last_event_id = self._id = last_event_id

    def feed(self, received: bytes) -> list[Event]:
        """Take more of the stream and return the events it completes; raises as ``read``."""
        return list(self.read(received))

    def read(self, received: bytes) -> Iterator[Event]:
        """Take more of the stream and yield the events it completes.

        Raises:
            RemoteProtocolError: If an event or its id is too long, or lines are too many.
        """
        if self._skip_lf and received:
            self._skip_lf = False
            if received[0] == _LF:
                received = received[1:]
        if self._started and not _LINE_END.search(received):
            self._rest += received
            self._hold()
            return
        text = bytes(self._rest) + received
        if not self._started:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest[:] = text
                return
            text = text.removeprefix(_BOM)
            self._started = True
        # A CR ends its line at once; should an LF follow in later bytes, it belongs to the CR.
        self._skip_lf = text.endswith(b"\r")
        if text.count(b"\n") + text.count(b"\r") > MAX_LINES:
            raise _flood(f"more than {MAX_LINES:,} lines in one piece")
        lines = _LINE_END.split(text)
        self._rest[:] = lines.pop()
        for line in lines:
            event = self._line(line)
            if event is not None:
                yield event
        self._hold()

    def _hold(self) -> None:
        self._held.set(self._pending_bytes + len(self._rest), "event stream")

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not name:
            self.empty_lines += 1
            return None
        if name != b"data":
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise _flood(f"an event of more than {MAX_FIELDS} fields")
        if name == b"data":
            self._add_data(value)
            self._pending_bytes += len(line) + 1
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            if len(value) > MAX_ID_BYTES:
                raise oversize("event stream", f"an id of {len(value):,} bytes", MAX_ID_BYTES)
            self._id = value
        elif name == b"retry" and _DIGITS.fullmatch(value):
            self.retry_ms = int(value.lstrip(b"0")[:18] or b"0")
        return None

    def _add_data(self, value: bytes) -> None:
        """Keep a line of data; those after the first in place, since short ones may be many."""
        if self._data is None:
            self._data = value
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n" + value

    def _dispatch(self) -> Event | None:
        """End a block; one without data moves the last event id and yields nothing."""
        self.last_event_id = self._id
        data, self._data = self._data, None
        event_type, self._type = self._type, b""
        self._pending_bytes = self._fields = 0
        if data is None:
            self.empty_lines += 1
            return None
        name = event_type.decode("utf-8", "replace") or DEFAULT_EVENT_TYPE
        return Event(name, bytes(data), self.last_event_id)


def _flood(found: str) -> RemoteProtocolError:
    return RemoteProtocolError("event stream", found, "fewer are taken", code=FLOOD)


def encode_event(data: bytes, last_event_id: bytes) -> bytes:
    """Return an event as a server sends it: a line of data for each line it has."""
    lines = b"".join([b"data: " + line + b"\n" for line in _LINE_END.split(data)])
    return b"id: " + last_event_id + b"\n" + lines + b"\n"


def encode_retry(retry_ms: int) -> bytes:
    """Return what tells clients the reconnection time."""
    return b"retry: %d\n\n" % retry_ms


def encode_comment(text: bytes = b"") -> bytes:
    """Return a comment of one line, which clients ignore."""
    return b":" + text + b"\n\n"


def last_event_id_of(stream: bytes) -> bytes | None:
    """Return the last id that complete blocks set in a piece of a stream; None if none did."""
    marker = b"\0"  # No id holds it, so it stands for "none was set".
    parser = EventStreamParser(marker)
    parser.feed(stream)
    return None if parser.last_event_id == marker else parser.last_event_id
