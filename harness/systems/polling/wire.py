"""The requests and answers of polling, for both sides: bytes in, bytes out, no I/O.

A poll is a GET that names the last message seen, by a query parameter, by the validators of
RFC 9110, section 8.8, or by both; the answer is JSON with the messages after it, or 304.
Source: Google's LiveChatMessages.list for the shape (``nextPageToken``,
``pollingIntervalMillis``), RFC 9110 section 13.1 for headers, read November 2026.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from harness.core.errors import RemoteProtocolError
from harness.core.json_rules import read_json, text_at, value_at
from harness.core.peer_limits import FLOOD, LONGEST_WAIT_S, oversize

POLL_PREFIX = "/poll/"
PUBLISH_PREFIX = "/pub/"
POLL_PATH = POLL_PREFIX + "{channel}"
PUBLISH_PATH = PUBLISH_PREFIX + "{channel}"
CURSOR_PARAMETER = "after"

MAX_CURSOR_BYTES = 8192
"""Servers and proxies refuse longer addresses, and each user keeps one."""

MAX_VALUES = 500_000
"""In the JSON of an answer, about."""

MAX_MESSAGES = 50_000
"""In one answer."""

_MS_PER_S = 1000
_MISSING = object()
_WHERE = "answer to a poll"


class Place(NamedTuple):
    """Where a client is in its channels: what its next poll says it has.

    Attributes:
        cursor: For the query parameter; empty before the first answer, or without one.
        etag: As the last answer gave it, quotes included; empty for none.
        last_modified: Likewise.
    """

    cursor: str = ""
    etag: str = ""
    last_modified: str = ""


class Layout(NamedTuple):
    """Where in an answer's JSON is what, each as keys with dots between; empty for nowhere."""

    messages: str = "messages"
    cursor: str = "next"
    interval: str = "poll_after_ms"


class Page(NamedTuple):
    """What an answer's body holds.

    Attributes:
        events: The new events, oldest first.
        cursor: What the next poll is to name; empty where none is given.
        interval_s: The interval the server wants; None where it says nothing.
    """

    events: tuple[bytes, ...]
    cursor: str = ""
    interval_s: float | None = None


def with_cursor(path: str, parameter: str, cursor: str) -> str:
    """Return a path that names the last message seen."""
    if not (parameter and cursor):
        return path
    separator = "&" if "?" in path else "?"
    return f"{path}{separator}{quote(parameter)}={quote(cursor, safe='')}"


def head(path: str, place: Place, headers: Sequence[str]) -> bytes:
    """Return the head of a poll's request without the empty line that ends it.

    Args:
        path: With the cursor in it.
        place: For the validators.
        headers: Further lines, such as ``Host: …``.
    """
    lines = [f"GET {path} HTTP/1.1", *headers]
    if place.etag:
        lines.append(f"If-None-Match: {place.etag}")
    if place.last_modified:
        lines.append(f"If-Modified-Since: {place.last_modified}")
    return "\r\n".join([*lines, ""]).encode("latin-1")


def parse_page(body: bytes, layout: Layout) -> Page:
    """Read the JSON of an answer.

    Raises:
        RemoteProtocolError: If it is no such JSON, or has too much in it.
    """
    try:
        page = read_json(body, MAX_VALUES)
    except ValueError as error:
        raise _wrong(f"is no JSON ({error})") from None
    entries = value_at(page, layout.messages, missing=_MISSING)
    if entries is None:  # Some services write "no messages" so.
        entries = []
    if not isinstance(entries, list):
        raise _wrong(f"has no list at {layout.messages!r}")
    if len(entries) > MAX_MESSAGES:
        found = f"has {len(entries):,} messages"
        raise RemoteProtocolError(_WHERE, found, f"{MAX_MESSAGES:,} are taken", code=FLOOD)
    has_cursor = layout.cursor and value_at(page, layout.cursor) is not None
    cursor = text_at(page, layout.cursor) if has_cursor else ""
    if len(cursor) > MAX_CURSOR_BYTES:
        raise oversize(_WHERE, f"a cursor of {len(cursor):,} bytes", MAX_CURSOR_BYTES)
    return Page(
        tuple(map(_event, entries)),
        cursor,
        _seconds(value_at(page, layout.interval)) if layout.interval else None,
    )


def encode_page(events: Sequence[bytes], cursor: str, interval_s: float | None) -> bytes:
    """Return the JSON of an answer; each event is the JSON of one message."""
    page: dict[str, Any] = {"messages": list(map(orjson.Fragment, events)), "next": cursor}
    if interval_s is not None:
        page["poll_after_ms"] = round(interval_s * _MS_PER_S)
    return orjson.dumps(page)


def _seconds(interval_ms: Any) -> float | None:
    """Return an interval in seconds; None for what cannot be one."""
    if isinstance(interval_ms, bool) or not isinstance(interval_ms, int | float):
        return None
    return min(interval_ms / _MS_PER_S, LONGEST_WAIT_S) if interval_ms > 0 else None  # Nor NaN.


def _event(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # It reads 1,024 levels and writes 254.
        return b" ".join(_texts_of(value))


def _texts_of(value: Any) -> Iterator[bytes]:
    """Yield the strings in a JSON value of any depth."""
    left = [value]
    while left:
        inner = left.pop()
        if isinstance(inner, str):
            yield inner.encode()
        elif isinstance(inner, dict | list):
            left += inner.values() if isinstance(inner, dict) else inner


def _wrong(found: str) -> RemoteProtocolError:
    return RemoteProtocolError(_WHERE, found, "JSON with a list of messages was needed")
