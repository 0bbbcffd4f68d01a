"""A receive armed on each of many sockets, through io_uring.

The kernel copies what arrives into buffers that it takes from a shared ring, and notes it in a
queue in shared memory: no system call a message, neither to learn which socket is readable nor to
read it. One call a round lets the kernel do the copying; a round is read as NumPy arrays.

Sources: io_uring_multishot(7), io_uring_provided_buffers(7), and the structures in
``linux/io_uring.h``.
"""

import contextlib
import ctypes
import mmap
import os
import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.core.clock import NS_PER_S
from harness.core.io_uring import SUBMISSION, IoUring

_REGISTER_EVENTFD, _REGISTER_BUFFERS = 4, 22
_OP_RECVMSG, _OP_CANCEL = 10, 14
_SELECT_BUFFER = 1 << 5  # of a submission's flags
_MULTISHOT = 1 << 1  # of a receive's ioprio
_HAS_BUFFER, _MORE_FOLLOW = 1 << 0, 1 << 1  # of a completion's flags

_SUBMISSIONS, _COMPLETIONS = 256, 16_384
_BUFFERS: Final = 1024
BUFFER_BYTES: Final = 16_384 + 64
"""A multiple of a cache line, and no power of two: such buffers would share their cache's sets."""
ROUND_COMPLETIONS: Final = 512
"""Maximum in one round: half of the buffers, so that some are free for further arrivals."""
_CONTROL_BYTES = 32
HEADER_BYTES = 16 + _CONTROL_BYTES
"""In front of the bytes of each buffer: struct io_uring_recvmsg_out, and one timestamp."""
_LENGTHS, _TYPE, _SECONDS, _NANOSECONDS = 0, 3, 4, 5
"""Which of a header's six numbers is what: the lengths of name and control, level and type of the
control message, and the timestamp."""

Int64Array = npt.NDArray[np.int64]
_STAMP_TYPE = 35 << 32 | 1  # SO_TIMESTAMPNS and SOL_SOCKET, as cmsg_type and cmsg_level
ENDED: Final = -1


class Round(NamedTuple):
    """The messages of one round, in order of arrival; arrays of one shape (n,).

    Attributes:
        keys: Which receive each belongs to.
        starts: Where its bytes begin in ``Ring.memory``.
        ends: Where they end.
        stamps_ns: When the kernel received the last of them, realtime; 0 if it gave no time.
        over: 0 if the receive continues, ``ENDED``, or the number of the error that ended it.
        buffers: The buffers that hold the bytes, for ``give_back``.
    """

    keys: npt.NDArray[np.uint64]
    starts: Int64Array
    ends: Int64Array
    stamps_ns: Int64Array
    over: Int64Array
    buffers: npt.NDArray[np.uint32]


class Ring:
    """One io_uring, its buffers and the descriptor that signals arrivals.

    Must be used by the thread that made it. Raises OSError if the kernel does not allow it.

    Attributes:
        memory: The buffers; slices of it are the bytes received.
        wake_descriptor: Readable once something has arrived.
    """

    def __init__(self) -> None:
        self._io = IoUring(_SUBMISSIONS, _COMPLETIONS)
        self._request = np.zeros(1, SUBMISSION)
        self.wake_descriptor = -1
        try:
            self._give_buffers()
            self.wake_descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._io.register(_REGISTER_EVENTFD, struct.pack("<i", self.wake_descriptor))
        except BaseException:
            self.close()
            raise

    def _give_buffers(self) -> None:
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.memory = mmap.mmap(-1, _BUFFERS * BUFFER_BYTES, private)
        # Each message is on a page of its own: too many for the processor's table of small ones.
        with contextlib.suppress(OSError):  # A kernel built without them.
            self.memory.madvise(mmap.MADV_HUGEPAGE)
        given = mmap.mmap(-1, _BUFFERS * 16)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self._given = np.frombuffer(given, np.uint64).reshape(_BUFFERS, 2)
        numbers = np.arange(_BUFFERS, dtype=np.uint64)
        # Rows of struct io_uring_buf: address, then length and number in one.
        self._rows = np.column_stack(
            (numbers * BUFFER_BYTES + begin, numbers << 32 | np.uint64(BUFFER_BYTES))
        )
        self._given_tail = memoryview(given)[14:16].cast("H")
        self._given_count = 0
        address = ctypes.addressof(ctypes.c_char.from_buffer(given))
        self._io.register(_REGISTER_BUFFERS, struct.pack("<QI28x", address, _BUFFERS))
        self.give_back(np.arange(_BUFFERS, dtype=np.uint32))
        self._heads = np.ndarray((_BUFFERS,), f"V{HEADER_BYTES}", self.memory, 0, (BUFFER_BYTES,))
        # One for all: of struct msghdr only msg_namelen and msg_controllen are looked at.
        self._header = ctypes.create_string_buffer(struct.pack("<QI4x4QI4x", *[0] * 5, 32, 0))

    def receive(self, descriptor: int, key: int) -> None:
        """Receive from a socket from now on; arrivals are reported under the key."""
        header = ctypes.addressof(self._header)
        self._submit(_OP_RECVMSG, _SELECT_BUFFER, _MULTISHOT, descriptor, header, 1, key)

    def cancel(self, key: int) -> None:
        """End a receive; when this returns, the kernel no longer holds its socket.

        Earlier arrivals are still reported, and then the end.
        """
        self._submit(_OP_CANCEL, 0, 0, -1, key, 0, 0)

    def _submit(self, operation: int, flags: int, priority: int, *of: int) -> None:
        request = self._request
        request["operation"], request["flags"], request["priority"] = operation, flags, priority
        request["descriptor"], request["address"], request["bytes"], request["key"] = of
        self._io.submit(self._request)

    @property
    def has_more(self) -> bool:
        """Whether another round would return something immediately."""
        return self._io.count > 0

    @property
    def may_have_more(self) -> bool:
        """Whether the kernel reports something for the next round; it may be mistaken."""
        return self._io.work_is_waiting

    def copy(self) -> int:
        """Let the kernel copy what has arrived, up to one round; return the count."""
        with contextlib.suppress(BlockingIOError):  # Woken by no event: more was waiting.
            os.eventfd_read(self.wake_descriptor)
        wanted = ROUND_COMPLETIONS - self._io.count
        if wanted > 0:
            self._io.work(wanted)
        return min(self._io.count, ROUND_COMPLETIONS)

    def gather(self, count: int) -> Round:
        """Return the first ``count`` messages that have been copied.

        Their bytes are in ``memory`` until the caller returns them with ``give_back``.
        """
        done = self._io.take(count)
        flags, buffers = done["flags"], done["flags"] >> 16
        has_buffer = flags & _HAS_BUFFER != 0
        head = self._heads[buffers].view(np.int64).reshape(count, -1)
        stamps_ns = head[:, _SECONDS] * NS_PER_S + head[:, _NANOSECONDS]
        # Without control data, as at the end, the buffer still holds its previous content.
        has_stamp = has_buffer & (head[:, _LENGTHS] == _CONTROL_BYTES << 32)
        stamps_ns[~has_stamp | (head[:, _TYPE] != _STAMP_TYPE)] = 0
        results = done["result"].astype(np.int64)
        starts = buffers.astype(np.int64) * BUFFER_BYTES + HEADER_BYTES
        ends = starts + np.maximum(results - HEADER_BYTES, 0)
        over = np.where(flags & _MORE_FOLLOW, 0, np.where(results < 0, -results, ENDED))
        return Round(done["key"], starts, ends, stamps_ns, over, buffers[has_buffer])

    def repeats(self, came: Round) -> npt.NDArray[np.bool_]:
        """Return which of a round's bytes equal those before them, shape (n,).

        Told of bytes that are as long as those in the middle of the round, of others it is not:
        where equal bytes are many, they are there.
        """
        lengths = came.ends - came.starts
        length = int(lengths[lengths.size // 2])
        like = (lengths == length) & (came.over == 0)
        repeated = np.zeros(lengths.size, bool)
        words, odd = -(-length // 8), length % 8
        if words:
            shape, strides = (_BUFFERS,), (BUFFER_BYTES,)
            frames = np.ndarray(shape, f"V{8 * words}", self.memory, HEADER_BYTES, strides)
            # As numbers, which are compared many at a time; bytes are one by one.
            numbers = frames[came.starts // BUFFER_BYTES].view("<u8").reshape(-1, words)
            if odd:  # What is behind the end is from other messages.
                numbers[:, -1] &= (1 << 8 * odd) - 1
            repeated[1:] = like[1:] & like[:-1] & (numbers[1:] == numbers[:-1]).all(axis=1)
        return repeated

    def give_back(self, numbers: npt.NDArray[np.uint32]) -> None:
        """Let the kernel write over buffers, given by their numbers, shape (n,)."""
        begin, count = self._given_count % _BUFFERS, numbers.size
        rows, before_end = self._rows[numbers], _BUFFERS - begin
        self._given[begin : begin + count] = rows[:before_end]
        self._given[: max(count - before_end, 0)] = rows[before_end:]
        # The first row ends in the count of all: the kernel, which looks only when called, finds
        # it right again.
        self._given_count = self._given_count + count & 0xFFFF
        self._given_tail[0] = self._given_count

    def close(self) -> None:
        """Give everything back to the kernel; receives that are still armed end."""
        self._io.close()
        if self.wake_descriptor >= 0:
            os.close(self.wake_descriptor)
