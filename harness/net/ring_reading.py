"""Read many sockets in rounds through io_uring, and hand equal bytes over together.

A broadcast reaches the sockets of a worker as the same bytes thousands of times over. A round finds
such runs by comparing every byte of each message with the one before it, and hands a run to a
``Receiver`` of its group in one call; whatever is not part of a run goes to each by itself.
"""

import _socket  # gevent patches socket.socket; a watcher needs the plain one.
import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from gevent import get_hub
from gevent.monkey import get_original

from harness.core.clock import NS_PER_S
from harness.net.reading import (
    READ,
    EpollReader,
    Int64Array,
    Reader,
    Receiver,
    go_on_at_once,
    time_without_stamp,
)
from harness.net.ring import ENDED, Ring, Round

FEW = 8
"""Equal messages in a row that are worth handing over together."""

LATER_S = 0.005
"""When to look again where the kernel says that something may wait."""

_NUMBER_BITS, _GROUP_BITS = 24, 12
_NUMBERS, _GROUPS = 2**_NUMBER_BITS - 1, 2**_GROUP_BITS - 1
"""A key is the number of its socket, that of its group (0: none), and a count: keys never recur."""


class RingReader:
    """Reads the sockets of one hub through io_uring; holds a ring while it has any.

    Raises OSError at the first socket where the kernel allows no ring.

    Attributes:
        before_round: See ``Reader``.
    """

    def __init__(self) -> None:
        self.before_round: Callable[[], None] = go_on_at_once
        self._receivers: dict[int, Receiver] = {}
        self._keys: dict[int, int] = {}
        self._paused: set[int] = set()
        self._ended: list[int] = []
        self._count = 0
        self._ring: Ring | None = None
        self._watcher: Any = None
        self._later: Any = None
        self._groups: dict[int, tuple[int, object]] = {}

    def add(self, sock: _socket.socket, receiver: Receiver, group: object | None = None) -> None:
        """Hand a non-blocking socket's bytes to a receiver from now on, those waiting included."""
        ring = self._ring or self._open()
        number = sock.fileno()
        if self._keys.get(number) in self._paused:  # Its end is still to be told; then it goes on.
            self._paused.remove(self._keys[number])
            return
        self._count += 1
        key = self._count << _GROUP_BITS | self._number_of_group(group)
        key = self._keys[number] = key << _NUMBER_BITS | number
        self._receivers[key] = receiver
        ring.receive(number, key)

    def _number_of_group(self, group: object | None) -> int:
        """Return 0 where there is none, and where there are too many."""
        if group is None:
            return 0
        numbered = self._groups.get(id(group))
        if numbered is None:
            if len(self._groups) == _GROUPS:
                return 0
            # The group itself is kept, or another might get its identity.
            numbered = self._groups[id(group)] = len(self._groups) + 1, group
        return numbered[0]

    def _open(self) -> Ring:
        ring = self._ring = Ring()
        self._watcher = get_hub().loop.io(ring.wake_descriptor, READ)
        self._watcher.start(self._round)
        return ring

    def pause(self, sock: _socket.socket) -> None:
        """Leave what arrives from now on with the kernel; what has been copied is handed over."""
        key = self._keys[sock.fileno()]
        if key in self._receivers:  # Else the kernel has let go already.
            self._paused.add(key)
            self._cancel(key)

    def remove(self, sock: _socket.socket) -> None:
        """Let go of a socket that is still open, paused or not, and hand over nothing more."""
        key = self._keys.pop(sock.fileno())
        self._paused.discard(key)
        if self._receivers.pop(key, None) is not None:  # None: the kernel has let go already.
            self._cancel(key)
        self._close_if_idle()

    def _cancel(self, key: int) -> None:
        if self._ring is not None:
            self._ring.cancel(key)

    def _close_if_idle(self) -> None:
        if self._ring is not None and not self._receivers:
            self._forget_later()
            self._watcher.stop()
            self._watcher.close()
            self._ring.close()
            self._ring = None
            self._groups.clear()

    def _round(self) -> None:
        """Hand over what has come."""
        ring = self._ring
        if ring is None:
            return
        self._forget_later()
        if not ring.has_more:
            self.before_round()
        count = ring.copy()
        if count:
            self._hand_over(ring, ring.gather(count))
            self._go_on(ring)
            self._close_if_idle()
        # Where nothing was copied nothing waits, whatever the kernel says.
        if count and ring is self._ring:
            self._see_to_the_rest(ring)

    def _hand_over(self, ring: Ring, came: Round) -> None:
        done, count = 0, len(came.keys)
        if count >= FEW:
            begins = np.flatnonzero(~ring.repeats(came))
            ends = np.append(begins[1:], count)
            many = ends - begins >= FEW
            for begin, end in zip(begins[many].tolist(), ends[many].tolist(), strict=True):
                if done < begin:
                    self._each(ring, came, slice(done, begin))
                self._together(ring, came, slice(begin, end))
                done = end
        if done < count:
            self._each(ring, came, slice(done, count))
        ring.give_back(came.buffers)

    def _see_to_the_rest(self, ring: Ring) -> None:
        """Have another round for what did not fit into this one; the loop's others come first."""
        if ring.has_more:
            os.eventfd_write(ring.wake_descriptor, 1)
        elif ring.may_have_more:
            self._later = get_hub().loop.timer(LATER_S)
            self._later.start(self._round)

    def _forget_later(self) -> None:
        if self._later is not None:
            self._later.stop()
            self._later.close()
            self._later = None

    def _together(self, ring: Ring, came: Round, equal: slice) -> None:
        """Hand over equal bytes: at once to the receivers of a group that knows them."""
        data = ring.memory[came.starts[equal.start] : came.ends[equal.start]]
        groups = came.keys[equal] >> _NUMBER_BITS & _GROUPS
        for group in set(groups.tolist()):
            rows = np.flatnonzero(groups == group) + equal.start
            if not group or not self._taken_by_group(came, rows, data):
                # The first of them may teach the group what it did not know.
                self._each(ring, came, rows[:1])
                rest = rows[1:]
                if not group or not self._taken_by_group(came, rest, data):
                    self._each(ring, came, rest)

    def _taken_by_group(self, came: Round, rows: Int64Array, data: bytes) -> bool:
        """Hand equal bytes to several receivers of one group; False where that will not do."""
        stamps_ns = came.stamps_ns[rows]
        if not rows.size or not stamps_ns.all():
            return False
        try:
            found: list[Any] = list(map(self._receivers.__getitem__, came.keys[rows].tolist()))
        except KeyError:  # One of them was closed because of what came before it in this round.
            return False
        try:
            return bool(found[0].arrived_together(data, found, stamps_ns))
        except Exception:  # noqa: BLE001 - one group's fault must not starve the others
            get_hub().handle_error(found[0], *sys.exc_info())
            return True

    def _each(self, ring: Ring, came: Round, rows: slice | Int64Array) -> None:
        """Hand over to each by itself; the hot path where receivers have nothing in common."""
        receivers, memory = self._receivers, ring.memory
        columns = came.keys, came.starts, came.ends, came.stamps_ns, came.over
        for key, start, end, kernel_ns, over in zip(
            *[column[rows].tolist() for column in columns], strict=True
        ):
            receiver = receivers.get(key)
            if receiver is None:  # Closed because of what came before it in this round.
                continue
            try:
                if not over:
                    receiver.arrived(memory[start:end], kernel_ns or time_without_stamp(b"?"))
                else:
                    self._over(key, memory[start:end], kernel_ns, over)
            except Exception:  # noqa: BLE001 - one connection's fault must not starve the others
                get_hub().handle_error(receiver, *sys.exc_info())

    def _over(self, key: int, data: bytes, kernel_ns: int, over: int) -> None:
        """Hear that a receive ended: by the peer, by us, or for the kernel's lack of buffers."""
        receiver = self._receivers[key]
        if data or over in (errno.ENOBUFS, errno.ECANCELED):  # There may be more.
            self._ended.append(key)
        else:
            del self._receivers[key]
            self._paused.discard(key)
        if over == ENDED:
            receiver.arrived(data, kernel_ns or time_without_stamp(data))
        elif key not in self._receivers:
            receiver.broken(OSError(over, os.strerror(over)))

    def _go_on(self, ring: Ring) -> None:
        """Receive as before where the kernel ended it, unless that is what was asked for.

        After the round, when there are buffers again and all pauses and removals in it are known.
        """
        ended, self._ended = self._ended, []
        for key in ended:
            if key in self._paused:
                self._paused.remove(key)
                del self._receivers[key]
            elif key in self._receivers:
                ring.receive(key & _NUMBERS, key)


@cache
def ring_works() -> bool:
    """Return whether this kernel, and what it lets this process do, has io_uring as we need it."""
    try:
        Ring().close()
    except OSError:
        return False
    return True


def receive_path() -> str:
    """Return by which way messages are received on this machine, for the record."""
    return "io_uring" if ring_works() else "epoll"


_readers: WeakKeyDictionary[Any, Reader] = WeakKeyDictionary()


def reader() -> Reader:
    """Return the reader of the calling thread's hub."""
    hub = get_hub()
    found = _readers.get(hub)
    if found is None:
        found = _readers[hub] = RingReader() if ring_works() else EpollReader()
    return found


COALESCING_DELAY_NS = 5_000_000
"""Delay before a round: a timer, or a message's way to the ledger, may be late by as much."""

_sleep: Callable[[float], None] = get_original("time", "sleep")  # Locust patches the other.


class ReadCoalescing:
    """Delays the rounds of this thread's reader while many messages arrive.

    A loop that is woken for the first message of a broadcast reads a few, sleeps, and is woken
    again, and the sender's core pays for each wake-up. A delay of some milliseconds before a round
    lets the kernel collect the next messages, as interrupt moderation does in network cards. The
    arrival times are the kernel's and do not change; only the receive delay, the generator's own
    share, grows by up to the delay.

    Args:
        may_coalesce: Returns whether messages arrive and nothing is due during the delay.
    """

    def __init__(self, may_coalesce: Callable[[], bool]) -> None:
        self._may_coalesce = may_coalesce

    def start(self) -> None:
        """Begin."""
        reader().before_round = self._before_round

    def stop(self) -> None:
        """End; safe to call twice."""
        reader().before_round = go_on_at_once

    def _before_round(self) -> None:
        if self._may_coalesce():
            _sleep(COALESCING_DELAY_NS / NS_PER_S)
