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

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Far above any event of the systems we test; stops a hostile length from filling memory."""


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
    """Turns bytes as they arrive into whole messages; any split gives the same messages."""

    __slots__ = ("_buffer", "_fragments", "_opcode")

    def __init__(self) -> None:
        self._buffer = b""
        self._fragments: list[bytes] | None = None
        self._opcode = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is kept: the next byte starts a message."""
        return not self._buffer and self._fragments is None

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes and yield the messages they complete.

        Raises:
            RemoteProtocolError: If the bytes are not a server's frames.
        """
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        start, length = 0, len(data)
        try:
            while start < length:
                end, opcode, final, payload = _parse_frame(data, start)
                if end == 0:
                    break
                start = end
                message = self._assemble(opcode, final=final, payload=payload)
                if message is not None:
                    yield message
        finally:
            # Kept even when the consumer stops early, so that no byte is lost.
            self._buffer = data[start:]

    def _assemble(self, opcode: int, *, final: bool, payload: bytes) -> Message | None:
        if opcode >= CLOSE:
            if not final or len(payload) > 125:  # noqa: PLR2004  RFC 6455, section 5.5
                raise _broken("a fragmented or oversize control frame", "control frames are short")
            return Message(opcode, payload)
        if opcode == CONTINUATION:
            if self._fragments is None:
                raise _broken("a continuation frame", "a message to continue")
            self._fragments.append(payload)
            if sum(map(len, self._fragments)) > MAX_MESSAGE_BYTES:
                raise _broken("fragments without end", f"messages have {MAX_MESSAGE_BYTES} bytes")
            if not final:
                return None
            message = Message(self._opcode, b"".join(self._fragments))
            self._fragments = None
            return message
        if self._fragments is not None:
            raise _broken("a new message", "the fragmented one must end first")
        if final:
            return Message(opcode, payload)
        self._opcode, self._fragments = opcode, [payload]
        return None


def _parse_frame(data: bytes, start: int) -> tuple[int, int, bool, bytes]:
    """Parse the frame at ``start``: (end, opcode, final, payload); end 0 when incomplete."""
    incomplete = (0, 0, False, b"")
    if len(data) - start < 2:  # noqa: PLR2004  the shortest header
        return incomplete
    first, second = data[start], data[start + 1]
    opcode = first & 0x0F
    if first & 0x70:
        raise _broken("reserved bits set", "no extension was negotiated")
    if opcode not in _OPCODES:
        raise _broken(f"opcode {opcode}", "opcodes are 0, 1, 2, 8, 9 and 10")
    if second & 0x80:
        raise _broken("a masked frame", "servers do not mask")
    size, body = second, start + 2
    if size == 126:  # noqa: PLR2004  16-bit length follows
        body += 2
        size = int.from_bytes(data[start + 2 : body], "big")
    elif size == 127:  # noqa: PLR2004  64-bit length follows
        body += 8
        size = int.from_bytes(data[start + 2 : body], "big")
    if body > len(data):
        return incomplete
    if size > MAX_MESSAGE_BYTES:
        raise _broken(f"a frame of {size} bytes", f"at most {MAX_MESSAGE_BYTES} are taken")
    if body + size > len(data):
        return incomplete
    return body + size, opcode, bool(first & 0x80), data[body : body + size]


_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame's payload; code 1005 when it has none."""
    if len(payload) < 2:  # noqa: PLR2004  the code's length
        return NO_STATUS, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")


def _broken(found: str, required: str) -> RemoteProtocolError:
    return RemoteProtocolError("WebSocket frame", f"found {found}", required)
