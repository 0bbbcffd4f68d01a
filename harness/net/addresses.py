"""Addresses of a system: channels in them, the local addresses to connect from, and TLS."""

import math
import ssl
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from harness.core.errors import MachineError, os_reason
from harness.core.hosts import is_ipv4_loopback

CHANNEL = "{channel}"
"""Stands in an address for the channel's path, without the slash at its start."""

_AS_IT_IS = "/*"
"""Characters of a path that need no percent-encoding; the second one is a wildcard's."""

_IN_A_REQUEST = "%/?:@!$&'()*+,;=[]{}|"
"""Characters of an address that stay; braces stand around the channel's place."""

CONNECTIONS_PER_ADDRESS = 4000
"""Connections from one loopback address, far below where the search for a port gets slow."""


def path_of(address: str) -> str:
    """Return path and query of an address."""
    parts = urlsplit(address)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def encoded(address: str) -> str:
    """Return an address whose path and query hold only what a request line can carry."""
    parts = urlsplit(address)
    path = "/" + parts.path.lstrip("/")
    return parts._replace(
        path=quote(path, safe=_IN_A_REQUEST),
        query=quote(parts.query, safe=_IN_A_REQUEST),
        fragment="",
    ).geturl()


def origin(address: str) -> tuple[str, str, int]:
    """Return scheme, host name and port of an address, the same however they are written."""
    parts = urlsplit(address)
    port = parts.port or (443 if is_encrypted(address) else 80)
    return parts.scheme, parts.hostname or "", port


def host_header(address: str) -> str:
    """Return what requests call the host of an address, in ASCII."""
    netloc = urlsplit(address).netloc.rpartition("@")[2]
    if netloc.isascii():
        return netloc
    host, colon, port = netloc.partition(":")
    return f"{ascii_host(host)}{colon}{port}"


def ascii_host(host: str) -> str:
    """Return a host's name as DNS knows it; raises UnicodeError where it has none."""
    return host if host.isascii() else host.encode("idna").decode()


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
        ours: Addresses the target names; of each family, a worker takes one.
        worker: The worker's number.
        connections: How many the worker will open.
    """
    if ours:
        families = [[one for one in ours if (":" in one) is is_ipv6] for is_ipv6 in (False, True)]
        return tuple(family[worker % len(family)] for family in families if family)
    host = urlsplit(address).hostname or ""
    if not is_ipv4_loopback(host):
        return ()
    count = math.ceil(connections / CONNECTIONS_PER_ADDRESS)
    return tuple(f"127.0.{1 + worker % 250}.{1 + place % 250}" for place in range(max(count, 1)))


def is_encrypted(address: str) -> bool:
    """Return whether the connections to an address use TLS."""
    return urlsplit(address).scheme in {"https", "wss"}


def tls_context(
    *,
    verify: bool = True,
    ca_file: str | None = None,
    client_certificate: str | None = None,
    client_key: str | None = None,
    client_key_password: str = "",
) -> ssl.SSLContext:
    """Return a client's TLS context.

    Args:
        verify: Whether certificate and host name must be right.
        ca_file: PEM file of further authorities to trust.
        client_certificate: PEM file of the certificate to present; None for none.
        client_key: PEM file of its key; None where it is in the same file.
        client_key_password: Password of the key.

    Raises:
        MachineError: If a file cannot be read or used.
    """
    try:
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        if client_certificate is not None:
            context.load_cert_chain(client_certificate, client_key, lambda: client_key_password)
    except OSError as error:
        files = " and ".join(filter(None, (ca_file, client_certificate, client_key)))
        raise MachineError(
            "[tls]",
            f"{files} cannot be used ({os_reason(error)})",
            "each machine with workers needs the files of the target at the same path",
        ) from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
