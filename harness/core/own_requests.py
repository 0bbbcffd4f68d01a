"""Whether an HTTP request to a page or a control path of ours comes from where it may.

A web page elsewhere can make a browser on this machine send requests here: with its own ``Origin``,
or, after DNS rebinding, with its own name in ``Host``. Neither names this service.
"""

import hmac
import socket
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from harness.core.hosts import is_loopback

TOKEN_HEADER = "X-Harness-Token"  # noqa: S105  the header, not a token
CONTROL_TOKEN_VARIABLE = "HARNESS_CONTROL_TOKEN"  # noqa: S105  the variable, not a token
"""Holds the token of an emulator's control paths; set by what starts the emulator."""


def is_own_host(host: str, own: Collection[str] = ()) -> bool:
    """Return whether a ``Host`` header names this machine, by address or name, or one of ``own``.

    An address is never the result of DNS rebinding, which needs a name.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ip_address(name)
    except ValueError:
        return is_loopback(name) or name in {*own, socket.gethostname().lower()}
    return True


def is_own_origin(origin: str | None, host: str) -> bool:
    """Return whether a request has no ``Origin``, or that of the host that it is sent to."""
    if origin is None:
        return True
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:
        return False


def is_token(given: str | None, token: str) -> bool:
    """Compare a token in constant time; an empty one is never right."""
    return bool(given and token) and hmac.compare_digest(str(given).encode(), token.encode())
