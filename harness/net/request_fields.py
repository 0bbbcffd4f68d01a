"""What every request of a client carries besides what its protocol needs: headers, cookies, query.

Prepared once for each address of a target. What differs by user are the cookies that servers set.
Source: RFC 9110, sections 5.1 and 10.1.5 (names of fields, User-Agent), RFC 7617 (user and
password), RFC 6265 (cookies).
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit
from urllib.request import Request

from harness.core.distribution import DISTRIBUTION, VERSION
from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.secrets import PLACEHOLDER, basic_authorization, required_variable

OWN_HEADERS: Mapping[str, str] = MappingProxyType({"User-Agent": f"{DISTRIBUTION}/{VERSION}"})
"""Sent with every request, wherever it goes."""

MOST_COOKIES = 50
MOST_COOKIE_BYTES = 4096
"""Of all cookies that servers set for one user, and of one ``Set-Cookie``."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_POLICY = DefaultCookiePolicy()
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HEADER_VALUE = re.compile("[ -~]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class RequestFields:
    """What the requests to one address of a target carry.

    Args:
        address: With ``user:password@`` where a header ``Authorization`` is to say so.
        options: The target's ``[client]`` table; None where it has none.
        query: Parameters of the system's own, such as a key.

    Attributes:
        address: The same without user and password, and with the whole query.
        cookies: The target's, and those that servers set.

    Raises:
        ScenarioError: If a variable that the table names is not set, or holds what no request can
            carry.
    """

    def __init__(self, address: str, options: Any, query: Mapping[str, str] = _NOTHING) -> None:
        parts = urlsplit(address)
        given = merged(_given(options, "headers"))
        name = next((each for each in given if each.lower() == "cookie"), "")
        cookies = _pairs(given.pop(name, ""))
        basic = basic_authorization(parts)
        self._before = {**OWN_HEADERS, **({"Authorization": basic} if basic else {})}
        self._given = given
        self.address = _with_query(parts, {**query, **_given(options, "query")})
        self.cookies = Cookies(self.address, {**cookies, **_given(options, "cookies")})

    def headers(self, own: Mapping[str, str] = _NOTHING) -> dict[str, str]:
        """Return the headers of a request but for its cookies.

        Args:
            own: The system's own, which those of the target replace.

        Raises:
            ScenarioError: If a value holds characters that no header can carry.
        """
        headers = merged(self._before, own, self._given)
        for name, value in headers.items():
            _require(_HEADER_VALUE, f"header {name}", value, "printable ASCII")
        return headers

    def headers_of_no_user(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return the same with the target's cookies, for requests that no user makes alone."""
        return self.headers(own) | self.cookies.header(None, self.address)


class Cookies:
    """Cookies of the users of one worker: those of the target, and those that servers set.

    What a server sets is kept as long as this object, and sent back where RFC 6265 says. A user for
    whom none is set costs nothing. Where a user has too many, those that
    were set first make room, even if they have been set again since.

    Args:
        address: Of the target.
        constant: The target's own.
    """

    def __init__(self, address: str, constant: Mapping[str, str]) -> None:
        self._address = address
        self._constant = constant
        self._jars: dict[object, CookieJar] = {}
        cookie = _cookie(constant)
        _require(_HEADER_VALUE, "client.cookies", cookie, "printable ASCII")
        self._constant_line = _line(cookie)

    def line(self, user: object, address: str = "", *, is_ours: bool = True) -> bytes:
        """Return the line of a request's head with a user's cookies; empty for none.

        Args:
            user: Whose request it is.
            address: Where it goes; left out, to the target.
            is_ours: Whether that is the target's own host, which gets the target's cookies.
        """
        jar = self._jars.get(user)
        if jar is None:
            return self._constant_line if is_ours else b""
        ours = self._constant if is_ours else _NOTHING
        return _line(_cookie({**ours, **_sent(jar, address or self._address)}))

    def header(self, user: object, address: str) -> dict[str, str]:
        """Return the header of a request to the target's own host; empty for none."""
        jar = self._jars.get(user)
        sent = _sent(jar, address) if jar else {}
        cookie = _cookie({**self._constant, **sent})
        return {"Cookie": cookie} if cookie else {}

    def take(self, user: object, set_cookies: Sequence[str], address: str = "") -> None:
        """Keep what a server sets for a user.

        Args:
            user: Who got the answer.
            set_cookies: Values of its headers ``Set-Cookie``; those that break RFC 6265 are
                ignored.
            address: What was asked; left out, the target.
        """
        if not set_cookies:
            return
        jar = self._jars.get(user)
        if jar is None:
            jar = self._jars[user] = CookieJar(_POLICY)
        request = Request(address or self._address)  # noqa: S310 - it is not opened
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # So the jar tells of a date that it cannot read.
            for each in set_cookies[:MOST_COOKIES]:
                if len(each) <= MOST_COOKIE_BYTES and not _CONTROL.search(each):
                    jar.extract_cookies(_Answer(each), request)  # type: ignore[arg-type]  # it reads info() only
        _make_room(jar)


def _sent(jar: CookieJar, address: str) -> dict[str, str]:
    """Return the cookies of a jar that belong into a request to an address."""
    request = Request(address)  # noqa: S310 - it is not opened
    jar.add_cookie_header(request)
    return _pairs(request.get_header("Cookie") or "")


class _Answer:
    """What ``CookieJar`` reads of an answer; by itself, since one cookie can spoil the others."""

    def __init__(self, set_cookie: str) -> None:
        self._head = Message()
        self._head["Set-Cookie"] = set_cookie

    def info(self) -> Message:
        """Return the head."""
        return self._head


def _make_room(jar: CookieJar) -> None:
    """Delete the cookies of a user who has too many, by domain, path and first set."""
    kept = list(jar)
    size = sum(_size(each.name, each.value) for each in kept)
    while len(kept) > MOST_COOKIES or size > MOST_COOKIE_BYTES:
        oldest = kept.pop(0)
        size -= _size(oldest.name, oldest.value)
        jar.clear(oldest.domain, oldest.path, oldest.name)


def merged(*layers: Mapping[str, str]) -> dict[str, str]:
    """Return all headers; of one name, whatever its case, that of the last layer."""
    found = {name.lower(): (name, value) for layer in layers for name, value in layer.items()}
    return dict(found.values())


def bearer(api_key: str) -> dict[str, str]:
    """Return the header that shows a key as a bearer token; none without a key."""
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def subprotocols_of(options: Any) -> tuple[str, ...]:
    """Return the subprotocols that a target's clients offer, with the values of variables.

    Raises:
        ScenarioError: If a variable is not set, or holds what no subprotocol can.
    """
    key = "client.subprotocols"
    found = []
    for text in getattr(options, "subprotocols", ()):
        value = PLACEHOLDER.sub(lambda name: required_variable(key, name[1]), text)
        _require(_TOKEN, key, value, "letters, digits and !#$%&'*+-.^_`|~, as RFC 6455 requires")
        found.append(value)
    return tuple(found)


def _given(options: Any, key: str) -> dict[str, str]:
    """Return what a table says under a key, and under its twin that names variables."""
    plain, secret = getattr(options, key, {}), getattr(options, f"{key}_env", {})
    found = {name: required_variable(f"client.{key}_env", each) for name, each in secret.items()}
    return {**plain, **found}


def _with_query(parts: SplitResult, query: Mapping[str, str]) -> str:
    added = urlencode(query, quote_via=quote, safe="")
    host = parts.netloc.rpartition("@")[2]
    whole = "&".join(filter(None, (parts.query, added)))
    return urlunsplit(parts._replace(netloc=host, query=whole))


def _require(pattern: re.Pattern[str], key: str, value: str, required: str) -> None:
    """Raise ScenarioError unless a value can be sent; the error does not show it."""
    if not pattern.fullmatch(value):
        raise ScenarioError(
            [ScenarioProblem("target", key, "other characters", f"must hold {required} only")]
        )


def _pairs(cookie: str) -> dict[str, str]:
    """Return the cookies in a header's value."""
    split = (pair.strip().partition("=") for pair in cookie.split(";"))
    return {name: value for name, _, value in split if name}


def _cookie(cookies: Mapping[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _line(cookie: str) -> bytes:
    return f"Cookie: {cookie}\r\n".encode("latin-1") if cookie else b""


def _size(name: str, value: str | None) -> int:
    return len(name) + len(value or "")
