"""The message: one checksummed token of letters and digits that can stand anywhere in a text.

It carries what a subscriber needs to judge a delivery on its own: which run, which stream, which
place in the stream, when the message should have been sent and when it was. Filler and an end mark
follow it, up to the size that the schedule drew. The alphabet is lower-case letters and digits:
every encoder leaves them as they are, so a message is found by searching for bytes, in text, in
JSON at any depth, in HTML and between binary fields.

    prefix 4 · run 8 · stream 5 · sequence 7 · intended 13 · sent 13 · length 5 · checksum 7
    filler · end mark 4

Numbers are in base 36. The run is a hash of its id, times are run-clock ns, the length is that of
the whole in bytes, and the checksum is the CRC-32 of everything before it.
"""

import hashlib
import re
from typing import Final, NamedTuple, Self
from zlib import crc32

import orjson

PREFIX: Final = b"7zqw"
"""A digit comes first, since services turn the first letter of a text into a capital."""
FILLER: Final = b"x"
END_MARK: Final = b"w7qz"

TOKEN_BYTES: Final = 62
"""The fixed part: everything but filler and end mark."""

SMALLEST_MESSAGE_BYTES: Final = TOKEN_BYTES + len(END_MARK)
LARGEST_MESSAGE_BYTES: Final = 1_000_000
"""More than any system here takes; it stops a slip of the finger from filling the memory."""

PLACE: Final = "{message}"
"""Stands in a template for the message."""

_FILLERS: Final = FILLER * LARGEST_MESSAGE_BYTES
_NEEDLE_BYTES: Final = 12
_CHECKSUM_BYTES: Final = 7
_LATEST_NS: Final = 2**62
"""Bound of the times: run-clock ns of the year 2116, whose differences fit into 64 bits."""

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = tuple((high + low).encode() for high in _DIGITS for low in _DIGITS)
"""Two digits at a time take half the time of one by one."""
_ALPHABET: Final = re.compile(rb"[0-9a-z]{62}")
_ANY_RUN: Final = re.compile(PREFIX + rb"[0-9a-z]{8}")
_WIDTHS: Final = (5, 7, 13, 13, 5)
_FIELDS: Final = tuple(slice(*pair) for pair in ((12, 17), (17, 24), (24, 37), (37, 50), (50, 55)))


class MessageToken(NamedTuple):
    """The identity of one message.

    Attributes:
        stream: Number of the stream; there is one per worker and channel.
        sequence: Place in the stream, counted from 0 without gaps.
        intended_ns: Run clock at which the schedule wanted it sent.
        sent_ns: Run clock at which it was handed to the socket.
        length_bytes: Size of the message, from the token's first byte to the last of the end mark.
    """

    stream: int
    sequence: int
    intended_ns: int
    sent_ns: int
    length_bytes: int = SMALLEST_MESSAGE_BYTES

    def to_bytes(self, needle: bytes) -> bytes:
        """Return the message, filler and end mark included.

        Args:
            needle: Of the run, from ``needle_of``.

        Raises:
            ValueError: If a value does not fit into its place.
        """
        number = 0
        for value, width in zip(self, _WIDTHS, strict=True):
            if not 0 <= value < 36**width:
                raise ValueError(f"{self}: {value} is negative or too large")
            number = number * 36**width + value
        head = needle + _base36(number, sum(_WIDTHS))
        filler = FILLER * (self.length_bytes - SMALLEST_MESSAGE_BYTES)
        return head + _checksum(head) + filler + END_MARK

    @classmethod
    def parse(cls, token: bytes) -> Self | None:
        """Return the identity in a token; None if checksum or values are wrong.

        Args:
            token: ``TOKEN_BYTES`` bytes of the alphabet.
        """
        head = token[:-_CHECKSUM_BYTES]
        if token[-_CHECKSUM_BYTES:] != _checksum(head):
            return None
        found = cls(*(int(head[place], 36) for place in _FIELDS))
        fits = SMALLEST_MESSAGE_BYTES <= found.length_bytes <= LARGEST_MESSAGE_BYTES
        return found if fits and max(found.intended_ns, found.sent_ns) < _LATEST_NS else None


def needle_of(run_id: str) -> bytes:
    """Return the bytes that every message of a run begins with, and no other message."""
    digest = hashlib.sha256(run_id.encode()).digest()
    return PREFIX + _base36(int.from_bytes(digest[:8], "big"), _NEEDLE_BYTES - len(PREFIX))


def is_filler(text: bytes) -> bool:
    """Return whether bytes are what stands between a token and its end mark."""
    return text == _FILLERS[: len(text)]


def is_token(text: bytes) -> bool:
    """Return whether bytes have the length and the alphabet of a token."""
    return _ALPHABET.fullmatch(text) is not None


def holds_message(text: bytes) -> bool:
    """Return whether a message, of this run or another, begins anywhere in the bytes."""
    return _ANY_RUN.search(text) is not None


class MessageWriter:
    """Writes the messages of one run as the service is to see them.

    Args:
        run_id: The run.
        template: What a message looks like; ``{message}`` stands for the token and its filler.
    """

    def __init__(self, run_id: str, template: str = PLACE) -> None:
        self._needle = needle_of(run_id)
        before, _, after = template.partition(PLACE)
        self._before, self._after = before.encode(), after.encode()

    def write(self, token: MessageToken, size_bytes: int = 0) -> bytes:
        """Return the rendered message, filled up to ``size_bytes`` where that is larger."""
        length = size_bytes - len(self._before) - len(self._after)
        token = token._replace(length_bytes=max(length, SMALLEST_MESSAGE_BYTES))
        return self._before + token.to_bytes(self._needle) + self._after


def as_json(message: bytes) -> bytes:
    """Return a message as it is if it is JSON, else as a JSON string that holds it."""
    try:
        orjson.loads(message)
    except orjson.JSONDecodeError:
        return orjson.dumps(message.decode())
    return message


def _checksum(head: bytes) -> bytes:
    return _base36(crc32(head), _CHECKSUM_BYTES)


def _base36(value: int, width: int) -> bytes:
    """Return the last ``width`` digits of a number in base 36, with leading zeros."""
    pairs = []
    for _ in range(width // 2 + 1):
        value, pair = divmod(value, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return b"".join(reversed(pairs))[-width:]
