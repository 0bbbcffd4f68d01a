"""Text from outside: bounded in length, without control characters, without secrets of this run.

What a server or the kernel says about a peer passes through ``outside_text`` where it enters: in
``JoinError``, in ``PublishAnswer``, and where a worker counts errors and ends of connections. So
records, logs, pages, terminals and other processes never see the raw text. Code that needs only
the beginning says so to ``outside_text`` or ``excerpt``: a cut before them could hide a secret.

Code that resolves a secret calls ``register_secret``. Each process has its own register.
"""

import base64
import html
import json
import re
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, quote_plus

MAX_LENGTH = 300
"""Characters kept of one text."""

SHORTEST_SECRET = 4
"""Shorter secrets are not replaced: they are found in ordinary words."""

_MARGIN = 3 * MAX_LENGTH  # A secret at the end of what is kept must be seen whole.
_KEY = SHORTEST_SECRET
_NEEDLE = 24
_SHORTEST_PART = 6  # Of a base64 text, and of a secret that the end of the text cuts off.
_TOKEN = frozenset(string.ascii_letters + string.digits + "+/_=-.~%")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# Base64 has them, and folded headers; those that JSON writes out count.
_LINE_BREAK = re.compile(r"(?:\r|\\r)?(?:\n|\\n)[ \t]*", re.IGNORECASE)


class _Needle(NamedTuple):
    """What gives a secret away.

    Attributes:
        text: One encoding of it in lower case; of a long token only the beginning.
        mark: What takes its place.
        before: Whether token characters before it belong to it.
        after: Whether token characters after it belong to it.
    """

    text: str
    mark: str
    before: bool
    after: bool


_registered: set[str] = set()
_needles: dict[str, dict[str, _Needle]] = {}
"""By the first characters of the text, then by the text."""


def register_secret(name: str, secret: str) -> None:
    """Have a secret replaced by its name, in every encoding that a request can carry it in.

    Args:
        name: Such as the name of its environment variable.
        secret: Plain.
    """
    if len(secret) < SHORTEST_SECRET or secret in _registered:
        return
    _registered.add(secret)
    mark = f"***{name}***"
    for text in _written_forms(secret):
        is_long = len(text) > _NEEDLE and _TOKEN.issuperset(text)
        _add(_Needle(text[:_NEEDLE] if is_long else text, mark, before=False, after=is_long))
    for text in _base64_cores(secret.encode()):
        _add(_Needle(text[:_NEEDLE], mark, before=True, after=True))
    outside_text.cache_clear()


def _add(needle: _Needle) -> None:
    needle = needle._replace(text=_searchable(needle.text))
    _needles.setdefault(needle.text[:_KEY], {}).setdefault(needle.text, needle)


def _written_forms(secret: str) -> set[str]:
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return {secret, json.dumps(secret)[1:-1], html.escape(secret)} | quoted


def _base64_cores(secret: bytes) -> set[str]:
    """Return what the base64 of any text that contains the secret contains, by its place."""
    cores = set()
    for place in range(3):
        bits = 8 * (place + len(secret))
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            text = alphabet(bytes(place) + secret).decode()
            cores.add(text[-(-8 * place // 6) : bits // 6])
    return {core for core in cores if len(core) >= _SHORTEST_PART}


@lru_cache(maxsize=4096)
def outside_text(text: str, length: int = MAX_LENGTH) -> str:
    """Return a text from outside as one line that is safe to show, record and send.

    White space becomes single spaces, other characters that do not print become U+FFFD.

    Args:
        text: Any text.
        length: Most characters that are kept of it.
    """
    line = " ".join(redacted(text[: length + _MARGIN]).split())
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def excerpt(raw: bytes | bytearray, length: int) -> str:
    """Return the beginning of bytes from outside, read as UTF-8, as ``outside_text`` shows it."""
    return outside_text(raw[: length + _MARGIN].decode("utf-8", "replace"), length)


def redacted(text: str) -> str:
    """Return a text with each registered secret replaced by its name.

    Of a secret at the end of the text, the beginning is enough. Upper and lower case are the same,
    and a line break inside a secret does not hide it.
    """
    if not _needles:
        return text
    places = _places(text)
    line = _searchable(text)
    parts: list[str] = []
    done = at = shown = 0
    while at <= len(line) - _KEY:
        found = _needle_at(line, at)
        if found is None:
            at += 1
            continue
        start, at = _span(line, at, found, done)
        parts += [text[shown : places[start]], found.mark]
        done, shown = at, places[at - 1] + 1
    return "".join([*parts, text[shown:]])


def _searchable(text: str) -> str:
    """Return the form in which secrets are looked for: without line breaks, in lower case."""
    return _LINE_BREAK.sub("", text).translate(_LOWER)


def _places(text: str) -> Sequence[int]:
    """Return the places of all characters but those of line breaks."""
    breaks = {place for found in _LINE_BREAK.finditer(text) for place in range(*found.span())}
    return [place for place in range(len(text)) if place not in breaks]


def _needle_at(text: str, at: int) -> _Needle | None:
    """Return the longest needle that begins here, as far as the text goes."""
    candidates = _needles.get(text[at : at + _KEY])
    if candidates is None:
        return None
    rest = text[at:]
    is_part = len(rest) >= _SHORTEST_PART
    found = [
        one
        for needle, one in candidates.items()
        if rest.startswith(needle) or (is_part and needle.startswith(rest))
    ]
    return max(found, key=lambda one: len(one.text), default=None)


def _span(text: str, at: int, found: _Needle, done: int) -> tuple[int, int]:
    """Return where a secret that was found begins and ends."""
    start, end = at, min(at + len(found.text), len(text))
    while found.before and start > done and text[start - 1] in _TOKEN:
        start -= 1
    while found.after and end < len(text) and text[end] in _TOKEN:
        end += 1
    return start, end
