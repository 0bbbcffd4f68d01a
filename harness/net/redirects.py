"""Redirects of HTTP: which statuses are one, and whether load on where they lead is allowed.

Source: RFC 9110, section 15.4; fetch.spec.whatwg.org, section "HTTP-redirect fetch", November 2026.
"""

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from harness.core.outside_text import outside_text
from harness.net.addresses import encoded

KEEPS_METHOD = frozenset({307, 308})
REDIRECTS = KEEPS_METHOD | {301, 302, 303}
"""The other three turn a POST into a GET."""

NOT_ALLOWED = "redirect_refused"
NO_ADDRESS = "http_error_terminal"


class RefusedRedirectError(Exception):
    """A redirect that is not followed.

    Attributes:
        code: ``NOT_ALLOWED``, or ``NO_ADDRESS`` if it leads nowhere.
    """

    def __init__(self, code: str, found: str) -> None:
        super().__init__(outside_text(found))
        self.code = code


def redirected(address: str, location: str, may_connect: Callable[[str], bool]) -> str:
    """Return the address that an answer redirects to.

    Args:
        address: What was asked.
        location: The header of the answer; may be relative.
        may_connect: Returns whether load on an address is allowed.

    Raises:
        RefusedRedirectError: If it is no address, or load on it is not allowed.
    """
    try:
        address = urljoin(address, location)
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port  # Both are checked when they are read.
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"http", "https"}:
        found = f"redirected to {outside_text(location, 200)!r}, which is no address over HTTP"
        raise RefusedRedirectError(NO_ADDRESS, found)
    if not may_connect(address):
        shown = outside_text(parts.netloc.rpartition("@")[2], 200)
        found = f"redirected to {shown}, which is not on the list of systems that you own"
        raise RefusedRedirectError(NOT_ALLOWED, found)
    return encoded(address)
