"""A long HTTP/1.1 response, client side, without I/O: its head, then its body as it comes.

Source: RFC 9112, sections 4 (status line), 6.3 (message body length) and 7.1 (chunked coding).
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple, Protocol

from harness.core.errors import RemoteProtocolError
from harness.core.outside_text import excerpt, outside_text
from harness.core.peer_limits import LONGEST_WAIT_S, MAX_MESSAGE_BYTES, oversize

MAX_HEAD_BYTES = 65_536
MAX_LINE_BYTES = 16_384
"""Of a chunk's size line, extensions included."""

MAX_TRAILER_BYTES = 16_384

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
HEAD_END = b"\r\n\r\n"
_END = b"\r\n"
_FOLD = re.compile(rb"\r?\n[ \t]+")
_ROW_END = re.compile("\r?\n")
_SPACES = {0: " ", 13: " "}
"""What stands for a character that no value may hold; source: RFC 9110, section 5.5."""
_LENGTH = re.compile(r"\d{0,15}", re.ASCII)
_WINDOW_BITS = {
    "gzip": 16 + zlib.MAX_WBITS,
    "x-gzip": 16 + zlib.MAX_WBITS,
    "deflate": zlib.MAX_WBITS,
}
"""By content coding; source: RFC 9110, section 8.4.1, and zlib's manual, "inflateInit2"."""

BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class ResponseHead(NamedTuple):
    """The head of a response.

    Attributes:
        status: HTTP status.
        headers: Values by lower-case name; equal names joined by a comma.
        set_cookies: Values of ``Set-Cookie``, each by itself: there are commas in them.
    """

    status: int
    headers: Mapping[str, str]
    set_cookies: tuple[str, ...] = ()

    @property
    def is_interim(self) -> bool:
        """Whether another head follows (RFC 9110, section 15.2)."""
        return self.status // 100 == 1 and self.status != HTTPStatus.SWITCHING_PROTOCOLS

    def asked_wait_s(self, now_s: float) -> float:
        """Return how long a busy server asks clients to wait; 0 if it does not.

        Args:
            now_s: Seconds since 1970.
        """
        if self.status not in BUSY:
            return 0.0
        return retry_after_s(self.headers.get("retry-after", ""), now_s) or 0.0

    @property
    def media_type(self) -> str:
        """The content type in lower case, without parameters; empty where none was given.

        Of a header that stands twice, the first.
        """
        return re.split("[;,]", self.headers.get("content-type", ""))[0].strip().lower()


def parse_response_head(head: bytes) -> ResponseHead:
    """Read a response's head, its closing empty line included.

    Raises:
        RemoteProtocolError: If it does not begin with an HTTP/1 status line.
    """
    line = _STATUS_LINE.match(head)
    if line is None:
        found = excerpt(bytes(head).partition(b"\r\n")[0], 80)
        raise RemoteProtocolError("HTTP response", f"began with {found!r}", "HTTP/1.1 was needed")
    rows = _ROW_END.split(_FOLD.sub(b" ", head).decode("latin-1"))[1:]
    split = (row.partition(":") for row in rows)
    headers = [
        (name.strip(), value.translate(_SPACES).strip()) for name, mark, value in split if mark
    ]
    joined = joined_headers(headers)
    if head.startswith(b"HTTP/1.0"):  # It closes unless it says otherwise: RFC 9112, section 9.3.
        joined.setdefault("connection", "close")
    cookies = tuple(value for name, value in headers if name.lower() == "set-cookie")
    return ResponseHead(int(line[1]), joined, cookies)


def joined_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by lower-case name; the values of equal names joined by a comma."""
    values: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in headers:
        values[name.lower()].append(value)
    return {name: ", ".join(each) for name, each in values.items()}


class HeadReader:
    """Puts the head of a response together from the pieces in which it arrives.

    Interim heads before it are skipped (RFC 9110, section 15.2).

    Attributes:
        taken: What came since the last interim head.
    """

    __slots__ = ("_received_bytes", "taken")

    def __init__(self) -> None:
        self.taken = bytearray()
        self._received_bytes = 0

    def feed(self, received: bytes) -> tuple[ResponseHead, bytes] | None:
        """Return the head and the bytes after it, once all of it has arrived.

        Raises:
            RemoteProtocolError: If it is no head of HTTP/1, or an endless one.
        """
        searched = max(len(self.taken) - len(HEAD_END) + 1, 0)
        self.taken += received
        self._received_bytes += len(received)
        while (end := self.taken.find(HEAD_END, searched)) >= 0:
            end += len(HEAD_END)
            head = parse_response_head(bytes(self.taken[:end]))
            del self.taken[:end]
            if not head.is_interim:
                return head, bytes(self.taken)
            searched = 0
        if self._received_bytes > MAX_HEAD_BYTES:
            raise oversize("HTTP response", "has an endless head", MAX_HEAD_BYTES)
        return None


def retry_after_s(value: str, now_s: float) -> float | None:
    """Return how long a Retry-After asks to wait; None where it cannot be read.

    Args:
        value: The header: seconds, or a date (RFC 9110, section 10.2.3).
        now_s: Seconds since 1970.
    """
    if value.isdecimal():
        return min(float(value), LONGEST_WAIT_S)
    try:
        asked_s = parsedate_to_datetime(value).timestamp() - now_s
        return min(max(asked_s, 0.0), LONGEST_WAIT_S)
    except (ValueError, OverflowError):
        return None


def words(value: str) -> list[str]:
    """Return the words of a header's value, in lower case."""
    return [word.strip() for word in value.lower().split(",")]


class Body(Protocol):
    """Undoes what HTTP put around the bytes of a body."""

    @property
    def ended(self) -> bool:
        """Whether the body is complete."""

    @property
    def ends_with_connection(self) -> bool:
        """Whether it is the connection's end that completes the body."""

    @property
    def idle(self) -> bool:
        """Whether nothing is half read, so that equal bytes mean the same here."""

    def feed(self, received: bytes) -> bytes:
        """Take what arrived and return the part of the body in it.

        No bytes raise what was wrong behind the last part.
        """


def body_of(head: ResponseHead, most: int = MAX_MESSAGE_BYTES) -> Body:
    """Return what reads the body that belongs to a head.

    Raises:
        RemoteProtocolError: If the length or the coding of the body is none we know.
    """
    coding = head.headers.get("transfer-encoding", "").lower()
    length = words(head.headers.get("content-length", ""))  # Some servers repeat it.
    if coding == "chunked":
        body: Body = ChunkedBody()
    elif coding or len(set(length)) > 1 or not _LENGTH.fullmatch(length[0]):
        found = f"has the body coding {outside_text(coding or ', '.join(length), 40)!r}"
        raise RemoteProtocolError("HTTP response", found, "chunked or a length was needed")
    else:
        body = PlainBody(int(length[0]) if length[0] else None)
    compression = head.headers.get("content-encoding", "identity").lower()
    if compression in ("identity", ""):
        return body
    if compression not in _WINDOW_BITS:
        found = f"is compressed ({outside_text(compression, 40)!r}), which was not asked for"
        raise RemoteProtocolError("HTTP response", found, "gzip, deflate or nothing was needed")
    return CompressedBody(body, _WINDOW_BITS[compression], most)


class _Parts:
    """A body of parts; what is wrong behind a part waits until that part has been taken."""

    __slots__ = ("_failure",)

    def __init__(self) -> None:
        self._failure: RemoteProtocolError | None = None

    def feed(self, received: bytes) -> bytes:
        """Return the part of the body in what arrived.

        Raises:
            RemoteProtocolError: If it is not coded as the head says, or too long.
        """
        parts: list[bytes] = []
        try:
            if self._failure is None:
                self._read(received, parts)
        except RemoteProtocolError as error:
            self._failure = error
        if self._failure is not None and not parts:
            raise self._failure
        return b"".join(parts)

    def _read(self, received: bytes, parts: list[bytes]) -> None:
        """Append the parts of the body in what arrived."""
        raise NotImplementedError


class CompressedBody(_Parts):
    """A compressed body, inside one of the other bodies.

    Args:
        body: What HTTP put around the compressed bytes.
        window_bits: What zlib needs to know of the format.
        most: Bytes that what arrives at once may expand to.
    """

    __slots__ = ("_body", "_inflate", "_most", "_window_bits")

    def __init__(self, body: Body, window_bits: int, most: int) -> None:
        super().__init__()
        self._body = body
        self._window_bits = window_bits
        self._most = most
        self._inflate = zlib.decompressobj(window_bits)

    @property
    def ended(self) -> bool:
        """Whether the body is complete."""
        return self._body.ended

    @property
    def ends_with_connection(self) -> bool:
        """As the body inside."""
        return self._body.ends_with_connection

    @property
    def idle(self) -> bool:
        """False: what equal bytes mean depends on those before them."""
        return False

    def _read(self, received: bytes, parts: list[bytes]) -> None:
        rest, left = self._body.feed(received), self._most
        while rest:
            try:
                text = self._inflate.decompress(rest, left)
            except zlib.error as error:
                raise RemoteProtocolError("compressed body", str(error), "zlib's format") from None
            if text:
                parts.append(text)
                left -= len(text)
            if self._inflate.unconsumed_tail or not left:
                raise oversize("compressed body", "expands without an end", self._most)
            rest = self._inflate.unused_data
            if self._inflate.eof:  # Source: RFC 1952, section 2.2: members may follow each other.
                self._inflate = zlib.decompressobj(self._window_bits)


class PlainBody:
    """A body that ends after so many bytes, or with the connection.

    Args:
        length: Bytes in it; None where it ends with the connection.
    """

    __slots__ = ("_left", "ended")

    def __init__(self, length: int | None = None) -> None:
        self._left = length
        self.ended = length == 0

    @property
    def ends_with_connection(self) -> bool:
        """True without a length."""
        return self._left is None

    @property
    def idle(self) -> bool:
        """True without a length; with one, each byte counts down."""
        return self._left is None

    def feed(self, received: bytes) -> bytes:
        """Return what arrived, up to the end of the body."""
        if self._left is None:
            return received
        taken = received[: self._left]
        self._left -= len(taken)
        self.ended = self._left == 0
        return taken


class ChunkedBody(_Parts):
    """A body in the chunked coding; extensions and trailers are read over."""

    __slots__ = ("_in_trailer", "_left", "_rest", "_trailer_bytes", "ended")

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        self._rest = b""
        self._left = 0
        """Bytes of the current chunk still to come, its line end included."""
        self._in_trailer = False
        self._trailer_bytes = 0

    @property
    def ends_with_connection(self) -> bool:
        """False: the chunk of size 0 ends it."""
        return False

    @property
    def idle(self) -> bool:
        """Whether the next byte begins a chunk."""
        return not (self._rest or self._left or self._in_trailer or self.ended)

    def _read(self, received: bytes, parts: list[bytes]) -> None:
        text, self._rest = self._rest + received, b""
        place = 0
        while place < len(text) and not self.ended:
            if self._left:
                place = self._take_data(text, place, parts)
                continue
            end = text.find(_END, place)
            line = text[place:] if end < 0 else text[place:end]
            if len(line) > MAX_LINE_BYTES:
                raise oversize("chunked body", "has an endless line", MAX_LINE_BYTES)
            if end < 0:
                self._rest = line
                break
            place = end + len(_END)
            self._line(line)

    def _take_data(self, text: bytes, place: int, parts: list[bytes]) -> int:
        """Take what is there of the current chunk and its line end; return where to go on."""
        data_left = max(self._left - len(_END), 0)
        taken = text[place : place + data_left]
        if taken:
            parts.append(taken)
            self._left -= len(taken)
            place += len(taken)
        if self._left <= len(_END):
            expected = _END[len(_END) - self._left :]
            found = text[place : place + self._left]
            if not expected.startswith(found):
                raise _broken(f"{found!r} after a chunk")
            self._left -= len(found)
            place += len(found)
        return place

    def _line(self, line: bytes) -> None:
        if self._in_trailer:
            self.ended = not line
            self._trailer_bytes += len(line) + len(_END)
            if self._trailer_bytes > MAX_TRAILER_BYTES:
                raise oversize("chunked body", "has an endless trailer", MAX_TRAILER_BYTES)
            return
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise _broken(f"the chunk size {excerpt(line, 40)!r}")
        length = int(size[1], 16)
        self._in_trailer = length == 0
        self._left = length + len(_END) if length else 0


def _broken(found: str) -> RemoteProtocolError:
    return RemoteProtocolError("chunked body", f"has {found}", "RFC 9112, section 7.1 was needed")
