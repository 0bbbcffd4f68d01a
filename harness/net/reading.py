"""Read many sockets in rounds: one watcher of gevent's loop for all of them.

A watcher for each socket costs a walk through gevent for each message, half as much as all else
we do with it. Here one watcher watches an epoll instance that holds every socket, and a round is
one loop: which are readable, read each once, hand over what came and when the kernel received it.

Sockets are watched edge-triggered: each arrival is told once, and the kernel need not look again
whether a socket has been emptied. A read that got less than it had room for has emptied it.
Source: epoll(7), "Level-triggered and edge-triggered" and its questions 9 and following.

The kernel's time is that of ``SO_TIMESTAMPNS``: ``recvmsg`` returns the stamp of the last segment
read, on CLOCK_REALTIME in ns, for 0.35 µs more than ``recv`` (measured, see
``docs/measurement.md``).
"""

import _socket  # gevent patches socket.socket; a watcher needs the plain one.
import struct
import sys
import time
from select import EPOLLET, EPOLLIN, EPOLLRDHUP
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from gevent import get_hub
from gevent.monkey import get_original

READ = 1  # of gevent's loop.io() events
RECEIVE_BYTES = 65_536
ANCILLARY_BYTES = 64
ROUND_SOCKETS = 4096
"""Read at most in one round, which takes some 30 ms; then timers and greenlets get their turn."""

_EVENTS = EPOLLIN | EPOLLRDHUP | EPOLLET
_TIMESPEC = struct.Struct("@ll")
_unstamped = 0


class Taker(Protocol):
    """Who takes what arrives on a socket; called from the loop, must not block."""

    def arrived(self, data: bytes, kernel_ns: int) -> None:
        """Take bytes and when they arrived, run host's realtime; no bytes: the peer closed."""

    def broken(self, error: OSError) -> None:
        """Hear that the connection was reset, or could not be read."""


def receive(sock: _socket.socket) -> tuple[bytes, int] | None:
    """Return what has arrived at one socket and when (run host's realtime, ns).

    Empty bytes mean that the peer closed; None that nothing is there. Raises OSError when
    the connection was reset.
    """
    try:
        data, ancillary, _, _ = sock.recvmsg(RECEIVE_BYTES, ANCILLARY_BYTES)
    except BlockingIOError:
        return None
    if ancillary:
        seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
        return data, seconds * 1_000_000_000 + nanoseconds
    return data, _time_without_stamp(data)


def _time_without_stamp(data: bytes) -> int:
    """Return our own clock where the kernel gave no time, and count that."""
    global _unstamped  # noqa: PLW0603 - one count for all sockets, as health reports it
    _unstamped += bool(data)
    return time.time_ns()


def take_unstamped_receives() -> int:
    """Return how many reads since the last call came without the kernel's time of arrival."""
    global _unstamped
    taken, _unstamped = _unstamped, 0
    return taken


class Reader:
    """Reads the sockets of one hub; holds an epoll instance while it has any."""

    def __init__(self) -> None:
        self._sockets: dict[int, tuple[_socket.socket, Taker]] = {}
        self._epoll: Any = None
        self._watcher: Any = None

    def add(self, sock: _socket.socket, taker: Taker) -> None:
        """Hand a non-blocking socket's bytes to a taker from now on, those waiting included."""
        if not self._sockets:
            self._epoll = get_original("select", "epoll")()  # gevent hides it.
            self._watcher = get_hub().loop.io(self._epoll.fileno(), READ)
            self._watcher.start(self._round)
        number = sock.fileno()
        self._epoll.register(number, _EVENTS)
        self._sockets[number] = sock, taker

    def remove(self, sock: _socket.socket) -> None:
        """Leave an open socket alone; what arrives stays with the kernel."""
        number = sock.fileno()
        del self._sockets[number]
        self._epoll.unregister(number)
        if not self._sockets:
            self._watcher.stop()
            self._watcher.close()
            self._epoll.close()

    def _round(self) -> None:
        """Read every socket once that has something; the hot path, written out in one piece."""
        sockets, epoll = self._sockets, self._epoll
        for number, events in epoll.poll(0, ROUND_SOCKETS):
            found = sockets.get(number)
            if found is None:  # Closed because of what came before it in this round.
                continue
            sock, taker = found
            try:
                try:
                    data, ancillary, _, _ = sock.recvmsg(RECEIVE_BYTES, ANCILLARY_BYTES)
                except BlockingIOError:
                    continue
                except OSError as error:
                    taker.broken(error)
                    continue
                if ancillary:
                    seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                    taker.arrived(data, seconds * 1_000_000_000 + nanoseconds)
                else:
                    taker.arrived(data, _time_without_stamp(data))
            except Exception:  # noqa: BLE001 - one connection's fault must not starve the others
                get_hub().handle_error(taker, *sys.exc_info())
            # There may be more, or an end behind the data: both would not be told again.
            if (len(data) == RECEIVE_BYTES or events != EPOLLIN) and number in sockets:
                epoll.modify(number, _EVENTS)


_readers: WeakKeyDictionary[Any, Reader] = WeakKeyDictionary()


def reader() -> Reader:
    """Return the reader of the calling thread's hub."""
    hub = get_hub()
    found = _readers.get(hub)
    if found is None:
        found = _readers[hub] = Reader()
    return found
