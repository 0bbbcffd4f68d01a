"""Read many sockets in rounds through io_uring, and pass equal bytes on together.

A broadcast reaches the sockets of a worker as the same bytes thousands of times. A round finds such
runs by comparing every byte of each message with the previous one, and passes a run to a
``GroupReceiver`` in one call; all other messages go to each receiver separately.
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
    start_at_once,
    time_without_stamp,
)
from harness.net.ring import ENDED, Ring, Round

FEW = 8
"""Equal messages in a row that are worth handing over together."""

LATER_S = 0.005
"""When to check again if the kernel reports that something may be waiting."""

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
        self.before_round: Callable[[], None] = start_at_once
        self._receivers: dict[int, Receiver] = {}
        self._keys: dict[int, int] = {}
        self._paused: set[int] = set()
        self._ended: list[int] = []
        self._count = 0
        self._ring: Ring | None = None
        self._watcher: Any = None
        self._timer: Any = None
        self._groups: dict[int, tuple[int, object]] = {}

    def add(self, sock: _socket.socket, receiver: Receiver, group: object | None = None) -> None:
        """Pass a non-blocking socket's bytes to a receiver from now on, waiting ones included."""
        ring = self._ring or self._open()
        number = sock.fileno()
        if self._keys.get(number) in self._paused:  # Its end is not reported yet; then it resumes.
            self._paused.remove(self._keys[number])
            return
        self._count += 1
        key = self._count << _GROUP_BITS | self._number_of_group(group)
        key = self._keys[number] = key << _NUMBER_BITS | number
        self._receivers[key] = receiver
        ring.receive(number, key)

    def _number_of_group(self, group: object | None) -> int:
        """Return 0 without a group, and if there are too many."""
        if group is None:
            return 0
        numbered = self._groups.get(id(group))
        if numbered is None:
            if len(self._groups) == _GROUPS:
                return 0
            # Keeps the group alive, since another object could get its id.
            numbered = self._groups[id(group)] = len(self._groups) + 1, group
        return numbered[0]

    def _open(self) -> Ring:
        ring = self._ring = Ring()
        self._watcher = get_hub().loop.io(ring.wake_descriptor, READ)
        self._watcher.start(self._round)
        return ring

    def pause(self, sock: _socket.socket) -> None:
        """Leave what arrives from now on in the kernel; what has been copied is passed on."""
        key = self._keys[sock.fileno()]
        if key in self._receivers:  # Otherwise the kernel has ended the receive already.
            self._paused.add(key)
            self._cancel(key)

    def remove(self, sock: _socket.socket) -> None:
        """Stop reading a socket that is still open, paused or not, and pass on nothing more."""
        key = self._keys.pop(sock.fileno())
        self._paused.discard(key)
        if self._receivers.pop(key, None) is not None:  # None: the kernel has ended it already.
            self._cancel(key)
        self._close_if_idle()

    def _cancel(self, key: int) -> None:
        if self._ring is not None:
            self._ring.cancel(key)

    def _close_if_idle(self) -> None:
        if self._ring is not None and not self._receivers:
            self._cancel_timer()
            self._watcher.stop()
            self._watcher.close()
            self._ring.close()
            self._ring = None
            self._groups.clear()

    def _round(self) -> None:
        """Pass on what has arrived."""
        ring = self._ring
        if ring is None:
            return
        self._cancel_timer()
        if not ring.has_more:
            self.before_round()
        count = ring.copy()
        if count:
            self._pass_on(ring, ring.gather(count))
            self._restart(ring)
            self._close_if_idle()
        # If nothing was copied nothing is waiting, whatever the kernel reports.
        if count and ring is self._ring:
            self._schedule_rest(ring)

    def _pass_on(self, ring: Ring, found: Round) -> None:
        done, count = 0, len(found.keys)
        if count >= FEW:
            begins = np.flatnonzero(~ring.repeats(found))
            ends = np.append(begins[1:], count)
            many = ends - begins >= FEW
            for begin, end in zip(begins[many].tolist(), ends[many].tolist(), strict=True):
                if done < begin:
                    self._each(ring, found, slice(done, begin))
                self._together(ring, found, slice(begin, end))
                done = end
        if done < count:
            self._each(ring, found, slice(done, count))
        ring.give_back(found.buffers)

    def _schedule_rest(self, ring: Ring) -> None:
        """Schedule another round for what did not fit into this one; other watchers run first."""
        if ring.has_more:
            os.eventfd_write(ring.wake_descriptor, 1)
        elif ring.may_have_more:
            self._timer = get_hub().loop.timer(LATER_S)
            self._timer.start(self._round)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _together(self, ring: Ring, found: Round, equal: slice) -> None:
        """Pass on equal bytes, in one call to the receivers of a group that knows them."""
        data = ring.memory[found.starts[equal.start] : found.ends[equal.start]]
        groups = found.keys[equal] >> _NUMBER_BITS & _GROUPS
        for group in set(groups.tolist()):
            rows = np.flatnonzero(groups == group) + equal.start
            if not group or not self._taken_by_group(found, rows, data):
                # The first receiver may make the bytes known to the group.
                self._each(ring, found, rows[:1])
                rest = rows[1:]
                if not group or not self._taken_by_group(found, rest, data):
                    self._each(ring, found, rest)

    def _taken_by_group(self, found: Round, rows: Int64Array, data: bytes) -> bool:
        """Pass equal bytes to several receivers of one group; False if that is not possible."""
        stamps_ns = found.stamps_ns[rows]
        if not rows.size or not stamps_ns.all():
            return False
        try:
            receivers: list[Any] = list(map(self._receivers.__getitem__, found.keys[rows].tolist()))
        except KeyError:  # One was closed because of an earlier message in this round.
            return False
        try:
            return bool(receivers[0].arrived_together(data, receivers, stamps_ns))
        except Exception:  # noqa: BLE001 - one group's fault must not starve the others
            get_hub().handle_error(receivers[0], *sys.exc_info())
            return True

    def _each(self, ring: Ring, found: Round, rows: slice | Int64Array) -> None:
        """Pass messages on one by one; the hot path for receivers without a group."""
        receivers, memory = self._receivers, ring.memory
        columns = found.keys, found.starts, found.ends, found.stamps_ns, found.over
        for key, start, end, kernel_ns, over in zip(
            *[column[rows].tolist() for column in columns], strict=True
        ):
            receiver = receivers.get(key)
            if receiver is None:  # Closed because of an earlier message in this round.
                continue
            try:
                if not over:
                    receiver.arrived(memory[start:end], kernel_ns or time_without_stamp(b"?"))
                else:
                    self._over(key, memory[start:end], kernel_ns, over)
            except Exception:  # noqa: BLE001 - one connection's fault must not starve the others
                get_hub().handle_error(receiver, *sys.exc_info())

    def _over(self, key: int, data: bytes, kernel_ns: int, over: int) -> None:
        """Handle the end of a receive: by the peer, by us, or for lack of kernel buffers."""
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

    def _restart(self, ring: Ring) -> None:
        """Restart the receives that the kernel ended, unless they were paused or removed.

        Called after the round, when buffers are free and its pauses and removals are known.
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
    """Return whether this kernel allows this process io_uring with the features needed here."""
    try:
        Ring().close()
    except OSError:
        return False
    return True


def receive_path() -> str:
    """Return how messages are received on this machine, for the record."""
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
        reader().before_round = start_at_once

    def _before_round(self) -> None:
        if self._may_coalesce():
            _sleep(COALESCING_DELAY_NS / NS_PER_S)
