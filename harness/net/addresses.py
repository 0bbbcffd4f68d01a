"""Addresses of a system: channels in them, the local addresses to connect from, and TLS."""

import math
import ssl
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from harness.core.hosts import is_ipv4_loopback

CHANNEL = "{channel}"
"""Stands in an address for the channel's path, without the slash at its start."""

_AS_IT_IS = "/*"
"""Characters of a path that need no percent-encoding; the second one is a wildcard's."""

CONNECTIONS_PER_ADDRESS = 4000
"""Connections from one loopback address, far below where the search for a port gets slow."""


def path_of(address: str) -> str:
    """Return path and query of an address."""
    parts = urlsplit(address)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def with_channels(address: str, channels: Sequence[str], separator: str = "") -> str:
    """Return an address, or a path, with channels in their place.

    Args:
        address: With ``{channel}`` once or more, in the path or in the query.
        channels: Their paths, each percent-encoded by itself; a wildcard stays as it is.
        separator: What stands between them, as it is.
    """
    names = separator.join(quote(channel.lstrip("/"), safe=_AS_IT_IS) for channel in channels)
    return address.replace(CHANNEL, names)


def source_addresses(
    address: str, ours: Sequence[str], worker: int, connections: int
) -> Sequence[str]:
    """Return the local addresses that a worker connects from; none for the kernel's choice.

    One source address has about 28,000 ports to a destination, and the kernel's search for a free
    one gets slow long before they are used up: past some 11,000 connections it took two thirds of
    a worker's CPU time. On loopback every address of 127.0.0.0/8 is ours, so each worker takes
    as many of its own as it needs.

    Args:
        address: URL that is connected to.
        ours: Addresses the target names, shared out among the workers.
        worker: The worker's number.
        connections: How many the worker will open.
    """
    if ours:
        return (ours[worker % len(ours)],)
    host = urlsplit(address).hostname or ""
    if not is_ipv4_loopback(host):
        return ()
    count = math.ceil(connections / CONNECTIONS_PER_ADDRESS)
    return tuple(f"127.0.{1 + worker % 250}.{1 + place % 250}" for place in range(max(count, 1)))


def tls_context(address: str, *, verify: bool, ca_file: str | None) -> ssl.SSLContext | None:
    """Return a client's TLS context for an address, None where the address is plain.

    Args:
        address: URL; ``https`` and ``wss`` are encrypted.
        verify: Whether certificate and host name must be right.
        ca_file: PEM file of further authorities to trust.

    Raises:
        OSError: If ``ca_file`` cannot be read.
    """
    if not address.startswith(("https:", "wss:")):
        return None
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
