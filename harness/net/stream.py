"""Byte streams over plain TCP and TLS, non-blocking, with the kernel's receive time.

``SO_TIMESTAMPNS`` makes the kernel stamp a segment when it reaches the socket; ``recvmsg``
returns the stamp of the last segment read, on CLOCK_REALTIME in ns, for 0.35 µs more than
``recv`` (measured, see ``docs/measurement.md``). Under TLS the raw socket is read the same way
and its bytes are fed to an ``ssl.MemoryBIO``, so the stamp is of the ciphertext's arrival.
"""

import _socket  # gevent patches socket.socket; a watcher needs the plain one.
import errno
import os
import ssl
import struct
import time
from typing import Any, ClassVar

import gevent
import gevent.socket
from gevent import get_hub

from harness.core.errors import TargetUnreachableError

READ, WRITE = 1, 2  # gevent loop.io() events
RECEIVE_BYTES = 65_536
SO_TIMESTAMPNS = 35
IP_BIND_ADDRESS_NO_PORT = 24
_ANCILLARY_BYTES = 64
_TIMESPEC = struct.Struct("@ll")


class TcpStream:
    """A connected TCP socket: reads return bytes and their arrival time, writes never block.

    Attributes:
        sock: The socket, non-blocking and unknown to gevent but for our watchers.
        unsent: Bytes the kernel did not take yet.
        unstamped_receives: Reads of all streams that came without the kernel's time.
    """

    unstamped_receives: ClassVar[int] = 0

    __slots__ = ("_writer", "sock", "unsent")

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self.unsent = b""
        self._writer: Any = None

    def receive(self) -> tuple[bytes, int] | None:
        """Return what has arrived and when (run host's realtime, ns).

        Empty bytes mean that the peer closed; None that nothing is there. Raises OSError when
        the connection was reset.
        """
        try:
            data, ancillary, _, _ = self.sock.recvmsg(RECEIVE_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return None
        if ancillary:
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            return data, seconds * 1_000_000_000 + nanoseconds
        if data:
            TcpStream.unstamped_receives += 1
        return data, time.time_ns()

    def send(self, data: bytes) -> None:
        """Send now what the kernel takes and the rest as soon as it can; raises OSError."""
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.unsent = data[sent:]
            self._writer = get_hub().loop.io(self.sock.fileno(), WRITE)
            self._writer.start(self._send_rest)

    def _send_rest(self) -> None:
        try:
            sent = self.sock.send(self.unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self.unsent)  # The reading side meets the same error and reports it.
        self.unsent = self.unsent[sent:]
        if not self.unsent:
            self._stop_writer()

    def _stop_writer(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        """Close the socket; safe to call twice."""
        self._stop_writer()
        self.sock.close()


class TlsStream(TcpStream):
    """A TLS session over a TCP socket; the handshake runs in the calling greenlet."""

    __slots__ = ("_incoming", "_outgoing", "_session")

    def __init__(
        self, sock: _socket.socket, context: ssl.SSLContext, server_name: str, deadline: float
    ) -> None:
        super().__init__(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_name
        )
        while True:
            try:
                self._session.do_handshake()
                break
            except ssl.SSLWantReadError:
                super().send(self._outgoing.read())
                wait_readable(sock, deadline)
                arrived = super().receive()
                if arrived is not None:
                    self._incoming.write(arrived[0]) if arrived[0] else self._incoming.write_eof()
        super().send(self._outgoing.read())

    def receive(self) -> tuple[bytes, int] | None:
        """Return decrypted bytes and when their ciphertext arrived; as ``TcpStream.receive``."""
        arrived = super().receive()
        if arrived is None or not arrived[0]:
            return arrived
        self._incoming.write(arrived[0])
        plain = b""
        try:
            while True:
                chunk = self._session.read(RECEIVE_BYTES)
                if not chunk:
                    break
                plain = plain + chunk if plain else chunk
                if not self._incoming.pending and not self._session.pending():
                    break
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return plain, arrived[1]
        if self._outgoing.pending:
            super().send(self._outgoing.read())
        return (plain, arrived[1]) if plain else None

    def send(self, data: bytes) -> None:
        """Encrypt and send; as ``TcpStream.send``."""
        self._session.write(data)
        super().send(self._outgoing.read())


def open_socket(
    address: tuple[str, int], deadline: float, source_address: str | None = None
) -> _socket.socket:
    """Connect a TCP socket in the calling greenlet; resolved addresses only.

    Args:
        address: Numeric IP address and port.
        deadline: ``time.monotonic()`` after which to give up.
        source_address: Local address to connect from; None lets the kernel choose.

    Raises:
        TimeoutError: If the deadline passed first.
        OSError: If the connection was refused, reset or could not be made.
    """
    family = _socket.AF_INET6 if ":" in address[0] else _socket.AF_INET
    sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        sock.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if source_address is not None:
            sock.setsockopt(_socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source_address, 0))
        _connect(sock, address, deadline)
    except BaseException:
        sock.close()
        raise
    return sock


def _connect(sock: _socket.socket, address: tuple[str, int], deadline: float) -> None:
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        _wait(sock, WRITE, deadline)
        code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code).lower())


def wait_readable(sock: _socket.socket, deadline: float) -> None:
    """Park the greenlet until ``sock`` is readable; raises TimeoutError at the deadline."""
    _wait(sock, READ, deadline)


def _wait(sock: _socket.socket, events: int, deadline: float) -> None:
    watcher = get_hub().loop.io(sock.fileno(), events)
    try:
        with gevent.Timeout(max(deadline - time.monotonic(), 0.0), TimeoutError("timed out")):
            get_hub().wait(watcher)
    finally:
        watcher.close()


def take_unstamped_receives() -> int:
    """Return how many reads since the last call came without the kernel's time of arrival."""
    taken, TcpStream.unstamped_receives = TcpStream.unstamped_receives, 0
    return taken


def errno_name(error: BaseException) -> str:
    """Return the name of an error's number, such as EMFILE; empty where it has none."""
    return errno.errorcode.get(getattr(error, "errno", None) or 0, "")


def resolve(host: str, port: int) -> tuple[str, int]:
    """Return a numeric address of ``host``, IPv4 before IPv6.

    Raises:
        TargetUnreachableError: If the name does not resolve.
    """
    try:
        found = gevent.socket.getaddrinfo(host, port, type=_socket.SOCK_STREAM)
    except OSError as error:
        raise TargetUnreachableError(
            f"{host}:{port}",
            f"the name does not resolve ({error.strerror or error})",
            "a target needs a host that DNS knows",
            "check the endpoints in the target file",
        ) from None
    found.sort(key=lambda row: row[0] != _socket.AF_INET)
    host_address, numeric_port = found[0][4][:2]
    return str(host_address), int(numeric_port)
