"""Answers to polls: from the bytes of a response to what they mean, each once."""

import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from harness.core.errors import RemoteProtocolError
from harness.core.outside_text import excerpt
from harness.core.peer_limits import (
    FLOOD,
    MAX_ANSWER_BYTES,
    MAX_OTHER_MESSAGES_PER_S,
    HeldBytes,
)
from harness.net.client import Listener
from harness.net.http_stream import Body, HeadReader, PlainBody, ResponseHead, body_of, words
from harness.net.redirects import REDIRECTS
from harness.systems.polling import wire

MOST_KNOWN = 4096
"""Answers remembered: users with the same cursor get the same bytes, until something new comes."""
MOST_KNOWN_BYTES = 64 * 1024 * 1024
"""Of all of them, unpacked."""


class Answer(NamedTuple):
    """The answer to one poll.

    Attributes:
        status: HTTP status.
        place: Where the next poll goes on; fields that the answer leaves open are empty.
        events: The new events, oldest first.
        interval_s: The interval the server wants; None where it says nothing.
        retry_after: The header, as it is.
        keeps_connection: Whether the connection takes another poll.
        said: The beginning of what an error says.
        location: Where a redirect leads; empty for all else.
        set_cookies: Cookies that the server sets.
    """

    status: int
    place: wire.Place
    events: tuple[bytes, ...] = ()
    interval_s: float | None = None
    retry_after: str = ""
    keeps_connection: bool = True
    said: str = ""
    location: str = ""
    set_cookies: tuple[str, ...] = ()


class AnswerReader:
    """Puts one response together from the pieces in which it arrives.

    Attributes:
        complete: Whether all of it has come.
    """

    __slots__ = ("_body", "_head", "_heads", "_held", "_taken", "complete")

    def __init__(self) -> None:
        self._head: ResponseHead | None = None
        self._body: Body | None = None
        self._taken = bytearray()
        self._heads = HeadReader()
        self._held = HeldBytes()
        self.complete = False

    def feed(self, data: bytes) -> None:
        """Take what arrived.

        Raises:
            RemoteProtocolError: If it is no response, or an endless one.
        """
        if self._body is None:
            found = self._heads.feed(data)
            if found is None:
                return
            head, data = found
            bodiless = head.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
            self._head, self._body = (
                head,
                PlainBody(0) if bodiless else body_of(head, MAX_ANSWER_BYTES),
            )
        self._taken += self._body.feed(data)
        self.complete = self._body.ended
        self._held.set(len(self._taken), "answer to a poll", MAX_ANSWER_BYTES)

    def close(self) -> bool:
        """Handle the end of the connection; return whether it completes the response."""
        self.complete = self._body is not None and self._body.ends_with_connection
        return self.complete

    def answer(self, layout: wire.Layout | None) -> Answer:
        """Return what the complete response means.

        Args:
            layout: Of the JSON in it; None where the body is one message.

        Raises:
            RemoteProtocolError: If it is not what the layout says.
        """
        head, body = self._head, self._body
        if head is None or body is None:
            raise RemoteProtocolError("answer to a poll", "is not complete", "all was needed")
        headers = head.headers
        closes = "close" in words(headers.get("connection", "")) or body.ends_with_connection
        place = wire.Place("", headers.get("etag", ""), headers.get("last-modified", ""))
        if head.status == HTTPStatus.OK:
            page = (
                wire.parse_page(bytes(self._taken), layout)
                if layout
                else wire.Page((bytes(self._taken),))
            )
            return Answer(
                head.status,
                place._replace(cursor=page.cursor),
                page.events,
                page.interval_s,
                keeps_connection=not closes,
                set_cookies=head.set_cookies,
            )
        return Answer(
            head.status,
            place,
            retry_after=headers.get("retry-after", ""),
            keeps_connection=not closes,
            said=excerpt(self._taken, 200),
            location=headers.get("location", "") if head.status in REDIRECTS else "",
            set_cookies=head.set_cookies,
        )


def deliver(
    events: Sequence[bytes], frame_cache: dict[bytes, Any], listener: Listener, kernel_ns: int
) -> None:
    """Deliver the events of an answer, until too many of them are no delivery.

    Args:
        events: Oldest first.
        frame_cache: Events already understood, to the listener's token for them.
        listener: Of the user who polled.
        kernel_ns: When the answer arrived; run host's realtime.
    """
    others = 0
    for event in events:
        known = frame_cache.get(event)
        if known is not None:
            listener.delivered(known, kernel_ns)
        elif (token := listener.event(event, kernel_ns)) is not None:
            frame_cache[event] = token
        elif (others := others + 1) > MAX_OTHER_MESSAGES_PER_S:
            listener.refused("poll", FLOOD, "too many messages that are no delivery")
            return


def stuck_cursor(answer: Answer, cursor: str, layout: wire.Layout | None) -> str:
    """Return in words that the messages of an answer will come again; empty if they will not.

    Args:
        answer: A good one, to a poll.
        cursor: What the poll named.
        layout: As for ``AnswerReader.answer``.
    """
    following = answer.place.cursor
    if layout is None or not layout.cursor or not answer.events:
        return ""
    if not following and (answer.place.etag or answer.place.last_modified):
        return ""  # The next poll names these.
    if following not in ("", cursor):
        return ""
    found = f"the cursor stays {following!r}" if following else f"no cursor at {layout.cursor!r}"
    return f"{found} in an answer with messages: they will come again"


class KnownAnswers:
    """Answers by their bytes, so that what many users get is read once.

    Args:
        layout: As for ``AnswerReader.answer``.
    """

    def __init__(self, layout: wire.Layout | None) -> None:
        self.layout = layout
        self._known: dict[bytes, Answer] = {}
        self._known_bytes = 0
        self.get = self._known.get

    def remember(self, response: bytes, answer: Answer) -> None:
        """Recognise these bytes, a whole response, from now on."""
        size = len(response) + sum(map(sys.getsizeof, answer.events))
        self._known_bytes += size
        if len(self._known) >= MOST_KNOWN or self._known_bytes > MOST_KNOWN_BYTES:
            self._known.clear()
            self._known_bytes = size
        self._known[response] = answer
