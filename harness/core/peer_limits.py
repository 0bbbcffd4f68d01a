"""What one peer may cost: bytes of incomplete messages, and bytes that carry no message.

A connection that crosses a limit is closed and counted under the limit's name.
"""

from typing import ClassVar

from harness.core.clock import NS_PER_S
from harness.core.errors import RemoteProtocolError

LONGEST_WAIT_S = 86_400.0
"""Longest that a client waits because it was asked to."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Longest message taken: far above any event of the systems we test."""

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Longest answer to a poll, which may hold many messages."""

MAX_HELD_BYTES = 512 * 1024 * 1024
"""Of incomplete messages, in the whole process."""

MAX_EMPTY_UNITS_PER_S = 1000
"""Control frames, comments or empty lines of one connection in a second."""

MAX_OTHER_MESSAGES_PER_S = 5000
"""Messages of one connection in a second that are no delivery: answers, and what is not ours."""

OVERSIZE = "oversize"
FLOOD = "flood"


def oversize(where: str, found: str, most: int) -> RemoteProtocolError:
    """Return the error of a peer that sent more than a limit allows."""
    return RemoteProtocolError(where, found, f"at most {most:,} bytes are taken", code=OVERSIZE)


class HeldBytes:
    """The bytes of an incomplete message that one connection holds, counted for the process."""

    __slots__ = ("_count",)
    total: ClassVar[int] = 0

    def __init__(self) -> None:
        self._count = 0

    def set(self, count: int, where: str, most: int | None = None) -> None:
        """Change the number of bytes held.

        Args:
            count: Bytes of the incomplete message.
            where: What they are part of, for the error.
            most: How many it may have; ``MAX_MESSAGE_BYTES`` if None.

        Raises:
            RemoteProtocolError: If the message, or the process as a whole, has too many.
        """
        if count == self._count:
            return
        HeldBytes.total += count - self._count
        self._count = count
        most = most or MAX_MESSAGE_BYTES
        if count > most:
            raise oversize(where, f"{count:,} bytes without an end", most)
        if HeldBytes.total > MAX_HELD_BYTES:
            found = f"incomplete messages of all connections hold {HeldBytes.total:,} bytes"
            raise oversize(where, found, MAX_HELD_BYTES)

    def __del__(self) -> None:
        if self._count:
            HeldBytes.total -= self._count


class EmptyUnits:
    """The units of one connection in the current second that bring no delivery.

    Args:
        most: How many of them one second may have.
    """

    __slots__ = ("_count", "_most", "_second")

    def __init__(self, most: int = MAX_EMPTY_UNITS_PER_S) -> None:
        self._count = self._second = 0
        self._most = most

    def add(self, count: int, now_ns: int, where: str) -> None:
        """Count some more.

        Args:
            count: How many.
            now_ns: Any clock.
            where: What they are, for the error.

        Raises:
            RemoteProtocolError: If there are too many in one second.
        """
        second = now_ns // NS_PER_S
        if second != self._second:
            self._second, self._count = second, 0
        self._count += count
        if self._count > self._most:
            found = f"more than {self._most:,} in a second"
            raise RemoteProtocolError(where, found, "clients are not flooded", code=FLOOD)
