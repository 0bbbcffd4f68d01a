"""Keeps a client's frames, not just its messages, below a limit.

Source: docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-
limits-table, read November 2026: a frame above 32 KB closes the connection with code 1009.
"""

from collections.abc import Callable
from typing import Protocol

_MASK_BYTES = 4
_SHORTEST_HEAD = 2
_LENGTH_BYTES = {126: 2, 127: 8}


class Reader(Protocol):
    """What the HTTP library hands a connection's bytes to."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes."""

    def feed_eof(self) -> None:
        """Take note of the end."""


class FrameLimit:
    """Stands before the library's reader of frames and looks at their heads.

    Args:
        reader: Who gets the bytes.
        limit_bytes: Longest payload of a frame.
        exceeded: Called once, at the first longer one; from then on nothing is passed on.
    """

    def __init__(self, reader: Reader, limit_bytes: int, exceeded: Callable[[], None]) -> None:
        self._reader = reader
        self._limit_bytes = limit_bytes
        self._exceeded = exceeded
        self._head = b""
        self._left = 0
        self._is_over = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; returns what the library's reader returns."""
        if self._is_over:
            return False, b""
        if not self._fits(bytes(data)):
            self._is_over = True
            self._exceeded()
            return False, b""
        return self._reader.feed_data(data)

    def feed_eof(self) -> None:
        """Take note of the end."""
        self._reader.feed_eof()

    def _fits(self, data: bytes) -> bool:
        """Tell whether no frame that begins in these bytes is too long."""
        data, self._head = self._head + data, b""
        place = min(self._left, len(data))
        self._left -= place
        while place < len(data):
            head = _head(data, place)
            if head is None:
                self._head = data[place:]
                return True
            head_bytes, payload_bytes = head
            if payload_bytes > self._limit_bytes:
                return False
            end = place + head_bytes + payload_bytes
            place = min(end, len(data))
            self._left = end - place
        return True


def _head(data: bytes, place: int) -> tuple[int, int] | None:
    """Return the lengths of a frame's head, mask included, and payload; None where it is cut."""
    if len(data) - place < _SHORTEST_HEAD:
        return None
    second = data[place + 1]
    payload_bytes, head_bytes = second & 0x7F, _SHORTEST_HEAD
    if payload_bytes in _LENGTH_BYTES:
        head_bytes += _LENGTH_BYTES[payload_bytes]
        if len(data) < place + head_bytes:
            return None
        payload_bytes = int.from_bytes(data[place + _SHORTEST_HEAD : place + head_bytes], "big")
    return head_bytes + (_MASK_BYTES if second & 0x80 else 0), payload_bytes
