"""Byte streams over plain TCP and TLS, non-blocking, with the kernel's receive time.

During a join its greenlet reads; then a stream hands what arrives to a ``Receiver``.
Under TLS the raw socket is read the same way and its bytes are fed to an ``ssl.MemoryBIO``, so
that the time is that of the ciphertext's arrival.
"""

import _socket  # gevent patches socket.socket; a watcher needs the plain one.
import contextlib
import errno
import os
import resource
import ssl
import time
from typing import Any

import gevent
from gevent import get_hub

from harness.net.reading import READ, RECEIVE_BYTES, Reader, Receiver, receive
from harness.net.ring_reading import reader

WRITE = 2  # of gevent's loop.io() events
SO_TIMESTAMPNS = 35
IP_BIND_ADDRESS_NO_PORT = 24
MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""Bytes that wait for a peer that does not read."""
RESERVED_FILES = 32
"""Files that connections leave to the rest of the process: its record, log, Locust's monitor."""


_SESSION_ENDS = ssl.SSLZeroReturnError, ssl.SSLEOFError


class TcpStream:
    """A connected TCP socket: reads return bytes and their arrival time, writes never block.

    Attributes:
        sock: The socket, non-blocking and unknown to gevent.
        unsent: Bytes the kernel did not take yet.
    """

    __slots__ = ("_group", "_paused", "_reader", "_receiver", "_writer", "sock", "unsent")

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self.unsent: bytes | bytearray = b""
        self._reader: Reader | None = None
        self._receiver: Receiver | None = None
        self._group: object | None = None
        self._paused = False
        self._writer: Any = None

    def receive(self) -> tuple[bytes, int] | None:
        """Return what has arrived and when, as ``reading.receive``; only while no reader is set."""
        return receive(self.sock)

    def read_to(self, receiver: Receiver, group: object | None = None) -> None:
        """Pass what arrives to a receiver, from the loop, until ``close``.

        Raises OSError if there is no reader yet and none can be made (out of files).

        Args:
            receiver: Gets the bytes; a ``GroupReceiver`` if there is a group.
            group: Shared by all receivers for which equal bytes have the same meaning.
        """
        self._receiver, self._group = receiver, group
        self._watch(receiver, group)

    def _watch(self, receiver: Receiver, group: object | None = None) -> None:
        hub_reader = reader()
        hub_reader.add(self.sock, receiver, group)
        self._reader = hub_reader

    def pause(self, *, paused: bool) -> None:
        """Leave what arrives in the kernel, or resume; without effect before ``read_to``."""
        if self._reader is None or paused == self._paused:
            return
        self._paused = paused
        if paused:
            self._reader.pause(self.sock)
        else:
            self.read_to(self._receiver, self._group)  # type: ignore[arg-type] # set with the reader

    def send(self, data: bytes) -> None:
        """Send what the kernel accepts now and the rest as soon as possible; raises OSError."""
        if self.unsent:
            if len(self.unsent) + len(data) > MAX_UNSENT_BYTES:
                raise BlockingIOError(errno.EAGAIN, "the peer does not read what it is sent")
            self.unsent += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.unsent = bytearray(data[sent:])  # In place: much may be added to it.
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
        if self._reader is not None:
            self._reader.remove(self.sock)
            self._reader = None
        self._stop_writer()
        self.sock.close()


class TlsStream(TcpStream):
    """A TLS session over a TCP socket; the handshake runs in the calling greenlet.

    It receives the ciphertext itself, and passes on what it decrypts. If the handshake fails, the
    socket is closed.
    """

    __slots__ = ("_end", "_incoming", "_outgoing", "_session")

    def __init__(
        self, sock: _socket.socket, context: ssl.SSLContext, server_name: str, deadline: float
    ) -> None:
        super().__init__(sock)
        self._end: ssl.SSLError | None = None
        """Why nothing more can be decrypted; the peer may leave the socket open."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_name
        )
        try:
            while not self._has_shaken_hands():
                super().send(self._outgoing.read())
                wait_readable(sock, deadline)
                arrived = super().receive()
                if arrived is not None:
                    self._incoming.write(arrived[0]) if arrived[0] else self._incoming.write_eof()
            super().send(self._outgoing.read())
        except BaseException:
            self.close()
            raise

    def _has_shaken_hands(self) -> bool:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def receive(self) -> tuple[bytes, int] | None:
        """Return decrypted bytes and when their ciphertext arrived; as ``TcpStream.receive``."""
        received = super().receive()
        if received is None or not received[0]:
            return received
        plain = self._decrypt(received[0])
        end = self._end
        if plain or isinstance(end, _SESSION_ENDS):
            return plain, received[1]
        if end is not None:
            raise end
        return None

    def read_to(self, receiver: Receiver, group: object | None = None) -> None:
        """Pass decrypted bytes to a receiver; as ``TcpStream.read_to``, but without groups."""
        if self._end is not None:
            raise ConnectionResetError(str(self._end))
        self._receiver, self._group = receiver, group
        self._watch(self)

    def arrived(self, data: bytes, kernel_ns: int) -> None:
        """Take ciphertext, or its end."""
        try:
            plain = self._decrypt(data) if data else data
        except OSError as error:  # What it has to answer could not be sent.
            self.broken(error)
            return
        receiver: Any = self._receiver
        if plain or not data:
            receiver.arrived(plain, kernel_ns)
        if self._end is None or self._reader is None:
            return
        if isinstance(self._end, _SESSION_ENDS):
            receiver.arrived(b"", kernel_ns)
        else:  # An alert of the peer, or a broken record.
            receiver.broken(self._end)

    def broken(self, error: OSError) -> None:
        """Pass on that the connection was reset."""
        self._receiver.broken(error)  # type: ignore[union-attr] # set by read_to

    def _decrypt(self, ciphertext: bytes) -> bytes:
        """Return what the bytes decrypt to, up to the end of the session."""
        self._incoming.write(ciphertext)
        plain = b""
        try:
            while True:
                chunk = self._session.read(RECEIVE_BYTES)
                if not chunk:
                    self._end = ssl.SSLZeroReturnError("the server ended the TLS session")
                    break
                plain = plain + chunk if plain else chunk
                if not self._incoming.pending and not self._session.pending():
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._end = error
            return plain
        if self._outgoing.pending:
            super().send(self._outgoing.read())
        return plain

    def send(self, data: bytes) -> None:
        """Encrypt and send; as ``TcpStream.send``."""
        self._session.write(data)
        try:
            super().send(self._outgoing.read())
        except OSError:
            if self._reader is None:
                self.receive()  # An alert that came before the end says why, and is raised.
            raise


def open_socket(
    address: tuple[Any, ...], deadline: float, source_address: str | None = None
) -> _socket.socket:
    """Connect a TCP socket in the calling greenlet; resolved addresses only.

    Args:
        address: Numeric IP address and port, of IPv6 flow and scope too where they matter.
        deadline: ``time.monotonic()`` at which to time out.
        source_address: Local address to connect from; None lets the kernel choose.

    Raises:
        TimeoutError: If the deadline passed first.
        OSError: If the connection was refused, reset or could not be made.
    """
    family = _socket.AF_INET6 if ":" in address[0] else _socket.AF_INET
    sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
    try:
        _check_reserved_files(sock)
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # Without, our own clock must do, and that is counted.
            sock.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if source_address is not None:
            sock.setsockopt(_socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source_address, 0))
        _connect(sock, address, deadline)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_reserved_files(sock: _socket.socket) -> None:
    """Raise EMFILE for a socket that takes one of the last files of this process.

    The kernel gives the lowest free number, so the number says how many files are open.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if sock.fileno() >= limit - RESERVED_FILES:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _connect(sock: _socket.socket, address: tuple[Any, ...], deadline: float) -> None:
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


def errno_name(error: BaseException) -> str:
    """Return the name of an error's number, such as EMFILE; empty where it has none."""
    return errno.errorcode.get(getattr(error, "errno", None) or 0, "")
