"""The way from a worker to one host: its addresses in turn, a proxy, TLS."""

import _socket
import errno
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from itertools import cycle, repeat

from harness.core.errors import RemoteProtocolError
from harness.core.hosts import authority, is_loopback
from harness.core.outside_text import excerpt
from harness.core.proxy import Proxy, proxy_for
from harness.net.addresses import ascii_host, host_header, is_encrypted, origin, tls_context
from harness.net.client import Access, JoinTimes
from harness.net.host_addresses import Address, HostAddresses
from harness.net.http_stream import HEAD_END
from harness.net.joining import ProxyError, error_text, failed_join, lap, read_head
from harness.net.stream import TcpStream, TlsStream, open_socket

_NO_SERVER = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})
"""Errors of a connect after which the next address is tried, once, as browsers do."""


class Route:
    """Connects to the host of a URL; one for all users of a worker.

    Attributes:
        host: Name of the host, or its address without brackets.
        port: Its port.
        host_header: What requests call it.

    Raises:
        TargetUnreachableError: If a name does not resolve.
        ScenarioError: If the environment names a proxy that is not supported.
    """

    def __init__(self, access: Access, url: str) -> None:
        _, host, self.port = origin(url)
        self.host = ascii_host(host)
        self.host_header = host_header(url)
        self._tls = (access.tls or tls_context()) if is_encrypted(url) else None
        self._proxy = proxy_for(url) if access.through_proxy else None
        hop, place = self._proxy or self, "proxy in the environment" if self._proxy else "endpoints"
        self._addresses = HostAddresses(hop.host, hop.port, access.worker, f"check the {place}")
        sources = defaultdict(list)
        for source in access.source_addresses:
            sources[_kind(source)].append(source)
        self._sources: dict[tuple[bool, bool], Iterator[str | None]] = {
            kind: cycle(each) for kind, each in sources.items()
        }

    def open(self, times: JoinTimes, deadline: float) -> TcpStream:
        """Connect and secure in the calling greenlet.

        Args:
            times: Gets the durations of the stages tcp, a proxy's answer included, and tls.
            deadline: ``time.monotonic()`` at which to time out.

        Raises:
            JoinError: At stage connect or tls, with the error as its cause.
        """
        stage, before = "connect", time.monotonic_ns()
        try:
            sock = self.connect(deadline)
            before = lap(times, "tcp", before)
            stage = "tls"
            stream = self.secure(sock, deadline)
        except OSError as error:
            raise failed_join(stage, error) from error
        if self._tls is not None:
            lap(times, "tls", before)
        return stream

    def connect(self, deadline: float) -> _socket.socket:
        """Return a connected socket, through the proxy if there is one; raises OSError."""
        address, next_address = self._addresses.next_two()
        try:
            sock = self._dial(address, deadline)
        except OSError as error:
            if error.errno not in _NO_SERVER or address == next_address:
                raise
            sock = self._dial(next_address, deadline)
        if self._proxy is not None:
            try:
                self._ask(self._proxy, TcpStream(sock), deadline)
            except BaseException:
                sock.close()
                raise
        return sock

    def secure(self, sock: _socket.socket, deadline: float) -> TcpStream:
        """Return the stream over a connected socket; raises OSError, with the socket closed."""
        if self._tls is None:
            return TcpStream(sock)
        return TlsStream(sock, self._tls, self.host, deadline)

    def _dial(self, address: Address, deadline: float) -> _socket.socket:
        source = next(self._sources.get(_kind(address[0]), _KERNELS_CHOICE))
        try:
            return open_socket(address, deadline, source)
        except OSError as error:
            if self._proxy is not None:
                error.strerror = f"{error_text(error)} by the proxy {self._proxy}"
            raise

    def _ask(self, proxy: Proxy, stream: TcpStream, deadline: float) -> None:
        """Have the proxy connect to the host. Source: RFC 9110, section 9.3.6."""
        host = authority(self.host, self.port)
        lines = [f"CONNECT {host} HTTP/1.1", f"Host: {host}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        stream.send("\r\n".join(lines).encode() + HEAD_END)
        try:
            head, rest, _ = read_head(stream, deadline)
        except RemoteProtocolError as error:
            raise ProxyError(error.code, f"the proxy {proxy}: {error}") from None
        except OSError as error:
            error.strerror = f"{error_text(error)} by the proxy {proxy}"
            raise
        said = excerpt(rest, 200) or "no reason given"
        if head.status // 100 != HTTPStatus.OK // 100:
            raise ProxyError(str(head.status), f"refused by the proxy {proxy}: {said}")
        if rest:
            raise ProxyError("protocol_error", f"the proxy {proxy} sent more than its answer")


class Routes:
    """The routes to a target's host and to those that it redirects to, for all users of a worker.

    Args:
        access: Of the target.
        address: On the target's own host.

    Raises:
        TargetUnreachableError: If its name does not resolve.
        ScenarioError: If the environment names a proxy that is not supported.
    """

    def __init__(self, access: Access, address: str) -> None:
        self._access = access
        self._own = origin(address)
        self._routes = {self._own: Route(access, address)}

    def is_ours(self, address: str) -> bool:
        """Return whether an address is on the target's own host."""
        return origin(address) == self._own

    def to(self, address: str) -> Route:
        """Return the route to the host of an address; raises as ``Route``."""
        place = origin(address)
        if place not in self._routes:
            # What the target says of certificates is for its own host.
            self._routes[place] = Route(replace(self._access, tls=None), address)
        return self._routes[place]


_KERNELS_CHOICE: Iterator[None] = repeat(None)


@lru_cache
def _kind(address: str) -> tuple[bool, bool]:
    """Return what a source address must have in common with an address that it connects to."""
    return ":" in address, is_loopback(address)
