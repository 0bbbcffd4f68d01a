"""The addresses of a host: all that its name resolves to, each used in turn."""

import _socket  # gevent patches socket.socket; a look at the routes needs no loop.
import contextlib
import time
from typing import Any

import gevent
import gevent.socket

from harness.core.errors import TargetUnreachableError

RESOLVE_EVERY_S = 5.0
"""A name is resolved again by the first connection after this time."""

Address = tuple[Any, ...]
"""As sockets take it: numeric address and port, of IPv6 flow and scope too."""


class HostAddresses:
    """All addresses of one host to which this machine has a route, IPv4 and IPv6.

    Args:
        first: Where to begin: each worker with another one.
        hint: What to check if the name does not resolve.

    Raises:
        TargetUnreachableError: If the name does not resolve.
    """

    def __init__(self, host: str, port: int, first: int, hint: str) -> None:
        self._host = host
        self._port = port
        self._turn = first
        self._hint = hint
        self._found = self._resolved()
        self._resolved_s = time.monotonic()

    def next_two(self) -> tuple[Address, Address]:
        """Return the address for the next connection, and the one after it, in case it refuses."""
        now_s = time.monotonic()
        if now_s - self._resolved_s >= RESOLVE_EVERY_S:
            self._resolved_s = now_s
            gevent.spawn(self._refresh)  # Joins do not wait for DNS.
        found, turn = self._found, self._turn
        self._turn += 1
        return found[turn % len(found)], found[(turn + 1) % len(found)]

    def _refresh(self) -> None:
        with contextlib.suppress(TargetUnreachableError):  # The addresses known before must do.
            self._found = self._resolved()

    def _resolved(self) -> list[Address]:
        try:
            rows = gevent.socket.getaddrinfo(self._host, self._port, type=_socket.SOCK_STREAM)
        except OSError as error:
            raise TargetUnreachableError(
                f"{self._host}:{self._port}",
                f"the name does not resolve ({error.strerror or error})",
                "a target needs a host that DNS knows",
                self._hint,
            ) from None
        # Sorted, because DNS servers rotate them: all workers see the same order.
        found = sorted({(int(family), tuple(address)) for family, *_, address in rows})
        routed = [address for family, address in found if _has_route(family, address)]
        return routed or [address for _, address in found]


def _has_route(family: int, address: Address) -> bool:
    """Return whether the kernel has a route to an address; to connect UDP sends no packet."""
    try:
        with contextlib.closing(_socket.socket(family, _socket.SOCK_DGRAM)) as probe:
            probe.connect(address)
    except OSError:
        return False
    return True
