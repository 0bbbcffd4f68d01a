"""Read many sockets in rounds: one watcher of gevent's loop for all of them.

A watcher for each socket costs a pass through gevent for each message, half as much as all other
work on it. Here one watcher serves every socket, and a round is one loop over bytes, kernel receive
times and receivers. There are two implementations:

- ``net.ring_reading``, where the kernel allows io_uring: it copies a round's messages into our
  memory at once. It saves a system call and its Python for each message, and passes equal messages
  on together.
- ``EpollReader``, everywhere else: one ``recvmsg`` for each readable socket. Sockets are watched
  edge-triggered: each arrival is reported once, and the kernel need not check again whether a
  socket is empty. A read that returns less than its buffer holds has emptied the socket.
  Source: epoll(7), "Level-triggered and edge-triggered" and its questions 9 and following.

The kernel's time is that of ``SO_TIMESTAMPNS``: the stamp of the last segment read, on
CLOCK_REALTIME in ns, for 0.35 µs more than no stamp (measured, see ``docs/measurement.md``).
"""

import _socket  # gevent patches socket.socket; a watcher needs the plain one.
import struct
import sys
import time
from collections.abc import Callable, Sequence
from select import EPOLLET, EPOLLIN, EPOLLRDHUP
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from gevent import get_hub
from gevent.monkey import get_original

Int64Array = npt.NDArray[np.int64]

READ = 1  # of gevent's loop.io() events
RECEIVE_BYTES = 65_536
ANCILLARY_BYTES = 64
ROUND_SOCKETS = 4096
"""Maximum in one round, which takes about 30 ms; timers and greenlets run between rounds."""

_EVENTS = EPOLLIN | EPOLLRDHUP | EPOLLET
_TIMESPEC = struct.Struct("@ll")
_unstamped = 0


class Receiver(Protocol):
    """Receives what arrives on a socket; called from the loop, must not block."""

    def arrived(self, data: bytes, kernel_ns: int) -> None:
        """Take bytes and when they arrived, run host's realtime; no bytes: the peer closed."""

    def broken(self, error: OSError) -> None:
        """Handle a connection that was reset, or could not be read."""


class GroupReceiver(Receiver, Protocol):
    """One of many receivers for which equal bytes have the same meaning."""

    def arrived_together(
        self, data: bytes, receivers: Sequence[Any], stamps_ns: Int64Array
    ) -> bool:
        """Take equal bytes for several receivers of its group, itself the first of them.

        Args:
            data: The bytes that arrived at each.
            receivers: The receivers of these bytes, all of one group.
            stamps_ns: When each got them, run host's realtime, shape (receivers,).

        Returns:
            False, with nothing done, if each receiver must get them separately.
        """


def receive(sock: _socket.socket) -> tuple[bytes, int] | None:
    """Return what has arrived at one socket and when (run host's realtime, ns).

    Empty bytes mean that the peer closed, None that nothing has arrived. Raises OSError when the
    connection was reset.
    """
    try:
        data, ancillary, _, _ = sock.recvmsg(RECEIVE_BYTES, ANCILLARY_BYTES)
    except BlockingIOError:
        return None
    if ancillary:
        seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
        return data, seconds * 1_000_000_000 + nanoseconds
    return data, time_without_stamp(data)


def time_without_stamp(data: bytes) -> int:
    """Return this process's clock for bytes without a kernel time, and count them; ns, realtime."""
    global _unstamped  # noqa: PLW0603 - one count for all sockets, as health reports it
    _unstamped += bool(data)
    return time.time_ns()


def take_unstamped_receives() -> int:
    """Return how many reads since the last call had no kernel receive time."""
    global _unstamped
    taken, _unstamped = _unstamped, 0
    return taken


def start_at_once() -> None:
    """Do nothing before a round: the default, without read coalescing."""


class Reader(Protocol):
    """What reads the sockets of one hub.

    Attributes:
        before_round: Called when something has arrived, before it is read; may block for a moment
            so that more arrives (see ``net.ring_reading.ReadCoalescing``).
    """

    before_round: Callable[[], None]

    def add(self, sock: _socket.socket, receiver: Receiver, group: object | None = None) -> None:
        """Pass a non-blocking socket's bytes to a receiver from now on, waiting ones included.

        A receiver of a group is a ``GroupReceiver``, and may get bytes together with others.
        """

    def pause(self, sock: _socket.socket) -> None:
        """Leave what arrives from now on in the kernel; ``add`` of the same resumes."""

    def remove(self, sock: _socket.socket) -> None:
        """Stop reading a socket that is still open, paused or not, and pass on nothing more."""


class EpollReader:
    """Reads the sockets of one hub; holds an epoll instance while it has any.

    Attributes:
        before_round: See ``Reader``.
    """

    def __init__(self) -> None:
        self.before_round: Callable[[], None] = start_at_once
        self._sockets: dict[int, tuple[_socket.socket, Receiver]] = {}
        self._epoll: Any = None
        self._watcher: Any = None

    def add(self, sock: _socket.socket, receiver: Receiver, group: object | None = None) -> None:  # noqa: ARG002 - groups are for readers that see many messages at once
        """Pass a non-blocking socket's bytes to a receiver from now on, waiting ones included."""
        if not self._sockets:
            self._epoll = get_original("select", "epoll")()  # gevent hides it.
            self._watcher = get_hub().loop.io(self._epoll.fileno(), READ)
            self._watcher.start(self._round)
        number = sock.fileno()
        self._epoll.register(number, _EVENTS)
        self._sockets[number] = sock, receiver

    def pause(self, sock: _socket.socket) -> None:
        """Leave what arrives from now on in the kernel."""
        self.remove(sock)

    def remove(self, sock: _socket.socket) -> None:
        """Stop reading a socket that is still open, paused or not, and pass on nothing more."""
        number = sock.fileno()
        if self._sockets.pop(number, None) is None:  # Paused.
            return
        self._epoll.unregister(number)
        if not self._sockets:
            self._watcher.stop()
            self._watcher.close()
            self._epoll.close()

    def _round(self) -> None:
        """Read every readable socket once; the hot path, inlined on purpose."""
        self.before_round()
        sockets, epoll = self._sockets, self._epoll
        for number, events in epoll.poll(0, ROUND_SOCKETS):
            found = sockets.get(number)
            if found is None:  # Closed because of an earlier message in this round.
                continue
            sock, receiver = found
            try:
                try:
                    data, ancillary, _, _ = sock.recvmsg(RECEIVE_BYTES, ANCILLARY_BYTES)
                except BlockingIOError:
                    continue
                except OSError as error:
                    receiver.broken(error)
                    continue
                if ancillary:
                    seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                    receiver.arrived(data, seconds * 1_000_000_000 + nanoseconds)
                else:
                    receiver.arrived(data, time_without_stamp(data))
            except Exception:  # noqa: BLE001 - one connection's fault must not starve the others
                get_hub().handle_error(receiver, *sys.exc_info())
            # There may be more, or an end after the data: neither would be reported again.
            if (len(data) == RECEIVE_BYTES or events != EPOLLIN) and number in sockets:
                epoll.modify(number, _EVENTS)
