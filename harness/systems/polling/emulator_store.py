"""The messages that one emulator process keeps, and what a poll with a cursor gets of them.

All processes keep all messages. Each numbers what is published to it, so nobody has to ask anybody:
a cursor holds one number for each process, and is good in all of them. Messages of one process are
in order everywhere; those of two are in the order of their times, unless a poll comes between them.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

Cursor = tuple[int, ...]


class Message(NamedTuple):
    """One message of a channel.

    Attributes:
        process: To which process it was published.
        number: Counts what was published to that process in this channel, from 1.
        event: Counts what was published to the emulator, so that faults and records can name it.
        published_ns: When; the monotonic clock of this host, the same for all processes.
        body: Its JSON.
    """

    process: int
    number: int
    event: int
    published_ns: int
    body: bytes


class News(NamedTuple):
    """What is new after a cursor.

    Attributes:
        messages: Oldest first.
        cursor: Where to go on from.
        expired: Messages after the cursor that are no longer kept.
    """

    messages: Sequence[Message]
    cursor: Cursor
    expired: int


class Channel:
    """The messages of one channel.

    Args:
        processes: How many processes take messages.
        kept: How many messages are kept.

    Attributes:
        newest: The cursor of one who has seen everything.
    """

    __slots__ = ("_first", "_kept", "_oldest", "newest")

    def __init__(self, processes: int, kept: int) -> None:
        self._kept: deque[Message] = deque(maxlen=kept)
        self._first = [1] * processes
        """Of each process, the first number that it has not forgotten by being replaced."""
        self._oldest = [1] * processes
        """Of each process, the lowest number that may be kept."""
        self.newest: Cursor = (0,) * processes

    def add(self, message: Message) -> None:
        """Keep a message; the oldest makes room for it."""
        process = message.process
        if len(self._kept) == self._kept.maxlen:
            gone = self._kept[0]
            self._oldest[gone.process] = gone.number + 1
        if message.number != self.newest[process] + 1:  # A successor took the process's place.
            self._first[process] = self._oldest[process] = message.number
        self._kept.append(message)
        newest = list(self.newest)
        newest[process] = message.number
        self.newest = tuple(newest)

    def after(self, cursor: Cursor, most: int) -> News:
        """Return what is new after a cursor, at most so many messages."""
        found: list[Message] = []
        seen: set[int] = set()
        active = sum(map(bool, self.newest))
        for message in reversed(self._kept):
            if message.number > cursor[message.process]:
                found.append(message)
            else:  # Of this process nothing older is new.
                seen.add(message.process)
                if len(seen) == active:
                    break
        found.reverse()
        found.sort(key=lambda message: message.published_ns)
        expired = sum(
            max(oldest - max(after + 1, first), 0)
            for oldest, after, first in zip(self._oldest, cursor, self._first, strict=True)
        )
        if len(found) <= most:
            return News(found, tuple(map(max, cursor, self.newest)), expired)
        reached = [
            max(after, oldest - 1) for after, oldest in zip(cursor, self._oldest, strict=True)
        ]
        for message in found[:most]:
            reached[message.process] = message.number
        return News(found[:most], tuple(reached), expired)


def parse_cursor(text: str, processes: int) -> Cursor | None:
    """Return the cursor in a text; None where it is none of ours."""
    parts = text.split("-")
    if len(parts) != processes or not all(part.isdecimal() and part.isascii() for part in parts):
        return None
    return tuple(map(int, parts))


def cursor_text(cursor: Cursor) -> str:
    """Return a cursor as it stands in a query and, in quotes, in an ETag."""
    return "-".join(map(str, cursor))
