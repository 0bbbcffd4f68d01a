"""The messages that one emulator process keeps, and what a poll with a cursor gets of them.

All processes keep all messages. Each numbers what is published to it, without asking others:
a cursor holds one number for each process, and is good in all of them and for any channels, one or
several. Messages of one process are in order everywhere; those
of two are in the order of their times, unless a poll comes between them.
"""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

Cursor = tuple[int, ...]

MOST_GONE = 100_000
"""Numbers of messages that are gone which a channel remembers of each process at least."""


class Message(NamedTuple):
    """One message of a channel.

    Attributes:
        process: To which process it was published.
        number: Counts what was published to that process, in whichever channel, from 1.
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
        expired: Messages between the two cursors that are no longer kept.
    """

    messages: Sequence[Message]
    cursor: Cursor
    expired: int


class Channel:
    """The messages of one channel.

    Attributes:
        newest: The cursor of one who has seen everything.
    """

    __slots__ = ("_gone", "_kept", "newest")

    def __init__(self, processes: int, kept: int) -> None:
        self._kept: deque[Message] = deque(maxlen=kept)
        self._gone = [array("q") for _ in range(processes)]
        """Of each process, the numbers of what is no longer kept, rising."""
        self.newest: Cursor = (0,) * processes

    def add(self, message: Message) -> None:
        """Keep a message; the oldest makes room for it."""
        if len(self._kept) == self._kept.maxlen:
            oldest = self._kept[0]
            gone = self._gone[oldest.process]
            gone.append(oldest.number)
            if len(gone) >= 2 * MOST_GONE:
                del gone[:MOST_GONE]
        self._kept.append(message)
        newest = list(self.newest)
        newest[message.process] = message.number
        self.newest = tuple(newest)

    def after(self, cursor: Cursor) -> list[Message]:
        """Return the kept messages after a cursor, as this process received them."""
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
        return found

    def gone_between(self, after: Cursor, reached: Cursor) -> int:
        """Return how many messages behind one cursor and not behind the other are kept no more."""
        return sum(
            bisect_right(gone, end) - bisect_right(gone, start)
            for gone, start, end in zip(self._gone, after, reached, strict=True)
        )


def newest_of(channels: Sequence[Channel], processes: int) -> Cursor:
    """Return the cursor of one who has seen everything in these channels."""
    numbers = zip((0,) * processes, *(channel.newest for channel in channels), strict=True)
    return tuple(map(max, numbers))


def news_of(channels: Sequence[Channel], cursor: Cursor, most: int) -> News:
    """Return what is new after a cursor in all of these channels, at most so many messages."""
    found = [message for channel in channels for message in channel.after(cursor)]
    found.sort(key=lambda message: (message.published_ns, message.number))
    if len(found) <= most:
        reached = tuple(map(max, cursor, newest_of(channels, len(cursor))))
    else:
        del found[most:]
        furthest = list(cursor)
        for message in found:
            furthest[message.process] = message.number
        reached = tuple(furthest)
    expired = sum(channel.gone_between(cursor, reached) for channel in channels)
    return News(found, reached, expired)


def parse_cursor(text: str, processes: int) -> Cursor | None:
    """Return the cursor in a text; None where it is none of ours."""
    parts = text.split("-")
    if len(parts) != processes or not all(part.isdecimal() and part.isascii() for part in parts):
        return None
    return tuple(map(int, parts))


def cursor_text(cursor: Cursor) -> str:
    """Return a cursor as it stands in a query and, in quotes, in an ETag."""
    return "-".join(map(str, cursor))
