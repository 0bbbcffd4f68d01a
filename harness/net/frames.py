"""WebSocket frames without I/O: what a client writes, and a reader for what a server sends.

The reader keeps bytes only while a frame or a fragmented message is incomplete, so an idle
connection holds nothing. Source: RFC 6455, sections 5.2 (framing), 5.4 (fragmentation),
5.5 (control frames) and 7.4 (close codes).
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from websockets.frames import Opcode

from harness.core.errors import RemoteProtocolError
from harness.core.peer_limits import FLOOD, MAX_MESSAGE_BYTES, HeldBytes, oversize

try:
    from websockets.speedups import apply_mask
except ImportError:  # a wheel without compiled parts
    from websockets.utils import apply_mask

CONTINUATION = int(Opcode.CONT)
TEXT = int(Opcode.TEXT)
BINARY = int(Opcode.BINARY)
CLOSE = int(Opcode.CLOSE)
PING = int(Opcode.PING)
PONG = int(Opcode.PONG)

NO_STATUS = 1005
"""Close code reported when the peer's close frame carried none (RFC 6455, section 7.1.5)."""
ABNORMAL = 1006
"""Close code reported when the connection ended without a close frame."""

MAX_FRAGMENTS = 10_000
"""Of one message; a message of as many costs about 10 ms."""


def client_frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Return one masked frame, as a client must send it."""
    size, first = len(payload), opcode | (0x80 if final else 0)
    if size < 126:  # noqa: PLR2004  lengths up to 125 stand in the second byte
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    key = os.urandom(4)
    return head + key + apply_mask(payload, key)


def client_message(opcode: int, payload: bytes, limit_bytes: int) -> bytes:
    """Return a message as frames whose payloads have so many bytes at most."""
    if len(payload) <= limit_bytes:
        return client_frame(opcode, payload)
    starts = range(0, len(payload), limit_bytes)
    return b"".join(
        client_frame(
            CONTINUATION if start else opcode,
            payload[start : start + limit_bytes],
            final=start == starts[-1],
        )
        for start in starts
    )


def close_frame(code: int) -> bytes:
    """Return a client's close frame with ``code`` and no reason."""
    return client_frame(CLOSE, code.to_bytes(2, "big"))


class Message(NamedTuple):
    """A whole message or a control frame: opcode, payload."""

    opcode: int
    payload: bytes


class FrameReader:
    """Turns bytes as they arrive into whole messages; any split gives the same messages.

    Each byte is copied a fixed number of times, however the bytes are cut.
    """

    __slots__ = ("_buffer", "_fragments", "_held", "_message", "_needed", "_opcode")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = 0
        """Bytes that the incomplete frame in the buffer has at least."""
        self._message: bytearray | None = None
        """The payloads so far of a fragmented message."""
        self._fragments = 0
        self._opcode = 0
        self._held = HeldBytes()

    @property
    def idle(self) -> bool:
        """Whether nothing is kept: the next byte starts a message."""
        return not self._buffer and self._message is None

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes and yield the messages they complete.

        Raises:
            RemoteProtocolError: If the bytes are not a server's frames, or too many.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                self._hold()
                return
            data = bytes(self._buffer)
        start, length = 0, len(data)
        self._needed = 0
        try:
            while start < length:
                body, end, opcode, final = _parse_frame(data, start)
                if end > length:
                    self._needed = end - start
                    break
                start = end
                message = self._assemble(opcode, final=final, payload=data[body:end])
                if message is not None:
                    yield message
        finally:
            # Kept even when the consumer stops early, so that no byte is lost.
            self._buffer = bytearray(data[start:])
        self._hold()

    def _hold(self) -> None:
        self._held.set(len(self._buffer) + len(self._message or b""), "WebSocket message")

    def _assemble(self, opcode: int, *, final: bool, payload: bytes) -> Message | None:
        if opcode >= CLOSE:
            if not final or len(payload) > 125:  # noqa: PLR2004  RFC 6455, section 5.5
                raise _broken("a fragmented or oversize control frame", "control frames are short")
            return Message(opcode, payload)
        if opcode == CONTINUATION:
            if self._message is None:
                raise _broken("a continuation frame", "a message to continue")
            self._message += payload
            self._fragments += 1
            if self._fragments > MAX_FRAGMENTS:
                found = f"a message of more than {MAX_FRAGMENTS:,} fragments"
                raise RemoteProtocolError("WebSocket frame", found, "fewer are taken", code=FLOOD)
            if len(self._message) > MAX_MESSAGE_BYTES:
                raise oversize("WebSocket frame", "found fragments without end", MAX_MESSAGE_BYTES)
            if not final:
                return None
            message, self._message = Message(self._opcode, bytes(self._message)), None
            return message
        if self._message is not None:
            raise _broken("a new message", "the fragmented one must end first")
        if final:
            return Message(opcode, payload)
        self._opcode, self._message, self._fragments = opcode, bytearray(payload), 1
        return None


def _parse_frame(data: bytes, start: int) -> tuple[int, int, int, bool]:
    """Parse the head of the frame at ``start``.

    Returns:
        Where its payload begins and ends, opcode, final. An end beyond the bytes says how many
        must have arrived before the frame is parsed again.
    """
    body = start + 2
    if len(data) < body:
        return body, body, 0, False
    first, size = data[start], data[start + 1]
    opcode = first & 0x0F
    if first & 0x70:
        raise _broken("reserved bits set", "no extension was negotiated")
    if opcode not in _OPCODES:
        raise _broken(f"opcode {opcode}", "opcodes are 0, 1, 2, 8, 9 and 10")
    if size & 0x80:
        raise _broken("a masked frame", "servers do not mask")
    if size > 125:  # noqa: PLR2004  a length of 16 or 64 bits follows
        length_at, body = body, body + (2 if size == 126 else 8)  # noqa: PLR2004  as above
        if body > len(data):
            return body, body, 0, False
        size = int.from_bytes(data[length_at:body], "big")
    if size > MAX_MESSAGE_BYTES:
        raise oversize("WebSocket frame", f"found a frame of {size:,} bytes", MAX_MESSAGE_BYTES)
    return body, body + size, opcode, bool(first & 0x80)


_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame's payload; code 1005 when it has none."""
    if len(payload) < 2:  # noqa: PLR2004  the code's length
        return NO_STATUS, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")


def _broken(found: str, required: str) -> RemoteProtocolError:
    return RemoteProtocolError("WebSocket frame", f"found {found}", required)
