"""An io_uring instance that keeps one receive armed on each of many sockets.

The kernel copies what arrives into buffers that it takes from a shared ring, and notes it in a
queue in shared memory: no system call a message, neither to learn which socket is readable nor to
read it. One call a round lets the kernel do the copying; a round is read as NumPy arrays.

Sources: io_uring_setup(2), io_uring_enter(2), io_uring_register(2), io_uring_multishot(7),
io_uring_provided_buffers(7), and the structures in ``linux/io_uring.h``. Needs Linux 6.1
(``IORING_SETUP_DEFER_TASKRUN``); containers often forbid it (their seccomp profile), which shows as
an OSError from the constructor.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.core.clock import NS_PER_S

_SYS_SETUP, _SYS_ENTER, _SYS_REGISTER = 425, 426, 427  # The same on all architectures.
_SETUP_CQSIZE, _SETUP_COOP_TASKRUN, _SETUP_TASKRUN_FLAG = 1 << 3, 1 << 8, 1 << 9
_SETUP_SINGLE_ISSUER, _SETUP_DEFER_TASKRUN = 1 << 12, 1 << 13
_SETUP_FLAGS = (
    _SETUP_CQSIZE
    | _SETUP_COOP_TASKRUN
    | _SETUP_TASKRUN_FLAG
    | _SETUP_SINGLE_ISSUER
    | _SETUP_DEFER_TASKRUN
)
_OFFSET_SUBMISSIONS = 0x10000000
_ENTER_GETEVENTS = 1
_REGISTER_EVENTFD, _REGISTER_BUFFERS = 4, 22
_WORK_IS_WAITING = 1 << 2  # IORING_SQ_TASKRUN

_OP_RECVMSG, _OP_CANCEL = 10, 14
_SELECT_BUFFER = 1 << 5  # of a submission's flags
_MULTISHOT = 1 << 1  # of a receive's ioprio
_HAS_BUFFER, _MORE_FOLLOW = 1 << 0, 1 << 1  # of a completion's flags

_SUBMISSION = struct.Struct("<BBHiQQIIQHHi16x")
_SUBMISSIONS, _COMPLETIONS = 256, 16_384
_BUFFERS: Final = 1024
BUFFER_BYTES: Final = 16_384 + 64
"""A multiple of a cache line, and no power of two: such buffers would share their cache's sets."""
ROUND_COMPLETIONS: Final = 512
"""At most in one round: half of the buffers, so that there are some for what comes meanwhile."""
_CONTROL_BYTES = 32
HEADER_BYTES = 16 + _CONTROL_BYTES
"""In front of the bytes of each buffer: struct io_uring_recvmsg_out, and one timestamp."""

Int64Array = npt.NDArray[np.int64]
_STAMP_TYPE = 35 << 32 | 1  # SO_TIMESTAMPNS and SOL_SOCKET, as cmsg_type and cmsg_level
ENDED: Final = -1
_COMPLETION_TYPE = np.dtype([("key", "<u8"), ("result", "<i4"), ("flags", "<u4")])
_BUFFER_TYPE = np.dtype([("address", "<u8"), ("bytes", "<u4"), ("number", "<u2"), ("tail", "<u2")])

_call = ctypes.CDLL(None, use_errno=True).syscall
_call.restype = ctypes.c_long


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number).lower()}")
    return result


class Round(NamedTuple):
    """What one round brought, in order of arrival; arrays of one shape (n,).

    Attributes:
        keys: Which receive each belongs to.
        starts: Where its bytes begin in ``Ring.memory``.
        ends: Where they end.
        stamps_ns: When the kernel had the last of them, realtime; 0 where it did not say.
        over: 0 where the receive goes on, ``ENDED``, or the number of the error that ended it.
        buffers: Which hold the bytes; to be given back.
    """

    keys: npt.NDArray[np.uint64]
    starts: Int64Array
    ends: Int64Array
    stamps_ns: Int64Array
    over: Int64Array
    buffers: npt.NDArray[np.uint32]


class Ring:
    """One io_uring, its buffers and the descriptor that tells when a round is worth it.

    To be used by the thread that made it. Raises OSError where the kernel will not have it.

    Attributes:
        memory: The buffers; slices of it are the bytes received.
        wake_descriptor: Readable once something has arrived.
    """

    def __init__(self) -> None:
        parameters = bytearray(struct.pack("<4I", _SUBMISSIONS, _COMPLETIONS, _SETUP_FLAGS, 0))
        parameters += bytes(120 - len(parameters))
        holder = (ctypes.c_char * 120).from_buffer(parameters)
        self._descriptor = _checked(_call(_SYS_SETUP, _SUBMISSIONS, holder), "io_uring_setup")
        self.wake_descriptor = -1
        try:
            self._map_queues(parameters)
            self._give_buffers()
            self.wake_descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._register(_REGISTER_EVENTFD, struct.pack("<i", self.wake_descriptor))
        except BaseException:
            self.close()
            raise

    def _map_queues(self, parameters: bytearray) -> None:
        submissions, completions = struct.unpack_from("<2I", parameters)
        _, tail, mask, _, flags, _, array = struct.unpack_from("<7I", parameters, 40)
        c_head, c_tail, c_mask, _, _, entries = struct.unpack_from("<6I", parameters, 80)
        size = max(array + submissions * 4, entries + completions * _COMPLETION_TYPE.itemsize)
        queue = mmap.mmap(self._descriptor, size)
        self._queued = mmap.mmap(
            self._descriptor, submissions * _SUBMISSION.size, offset=_OFFSET_SUBMISSIONS
        )
        words = memoryview(queue)[: size & ~3].cast("I")
        self._tail, self._flags = words[tail // 4 :], words[flags // 4 :]
        self._mask, self._done_mask = words[mask // 4], words[c_mask // 4]
        self._done_head, self._done_tail = words[c_head // 4 :], words[c_tail // 4 :]
        np.frombuffer(queue, np.uint32, submissions, array)[:] = np.arange(submissions)
        self._done = np.frombuffer(queue, _COMPLETION_TYPE, completions, entries)

    def _give_buffers(self) -> None:
        self.memory = mmap.mmap(-1, _BUFFERS * BUFFER_BYTES)
        given = mmap.mmap(-1, _BUFFERS * _BUFFER_TYPE.itemsize)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self._given = np.frombuffer(given, _BUFFER_TYPE)
        self._given["bytes"] = BUFFER_BYTES
        self._addresses = np.arange(_BUFFERS, dtype=np.uint64) * BUFFER_BYTES + begin
        self._given_tail = memoryview(given)[14:16].cast("H")
        self._given_count = 0
        address = ctypes.addressof(ctypes.c_char.from_buffer(given))
        self._register(_REGISTER_BUFFERS, struct.pack("<QI28x", address, _BUFFERS))
        self.give_back(np.arange(_BUFFERS, dtype=np.uint32))
        control = np.dtype(
            {
                "names": ["bytes", "type", "s", "ns"],
                "formats": ["<u4", *["<i8"] * 3],
                "offsets": [4, 24, 32, 40],
                "itemsize": BUFFER_BYTES,
            }
        )
        self._control = np.frombuffer(self.memory, control)
        # One for all: of struct msghdr only msg_namelen and msg_controllen are looked at.
        self._header = ctypes.create_string_buffer(struct.pack("<QI4x4QI4x", *[0] * 5, 32, 0))

    def _register(self, what: int, argument: bytes) -> None:
        _checked(_call(_SYS_REGISTER, self._descriptor, what, argument, 1), "io_uring_register")

    def receive(self, descriptor: int, key: int) -> None:
        """Receive from a socket from now on; what comes is told under the key."""
        header = ctypes.addressof(self._header)
        self._submit(
            _OP_RECVMSG, _SELECT_BUFFER, _MULTISHOT, descriptor, 0, header, 1, 0, key, 0, 0, 0
        )

    def cancel(self, key: int) -> None:
        """End a receive; when this returns the kernel holds its socket no longer.

        What had come before is still told, and then that it is over.
        """
        self._submit(_OP_CANCEL, 0, 0, -1, 0, key, 0, 0, 0, 0, 0, 0)

    def _submit(self, *fields: int) -> None:
        tail = self._tail[0]
        _SUBMISSION.pack_into(self._queued, (tail & self._mask) * _SUBMISSION.size, *fields)
        self._tail[0] = tail + 1 & 0xFFFFFFFF
        self._enter(1)

    def _enter(self, submitted: int) -> None:
        while _call(_SYS_ENTER, self._descriptor, submitted, 0, _ENTER_GETEVENTS, None, 0) < 0:
            if ctypes.get_errno() != errno.EINTR:
                _checked(-1, "io_uring_enter")

    @property
    def has_more(self) -> bool:
        """Whether another round would bring something."""
        return self._count > 0

    @property
    def may_have_more(self) -> bool:
        """Whether the kernel says that something waits for the next round.

        It sets the flag after it has handed over the work, so that it can be set though all is
        done; then it stays so until something else arrives.
        """
        return bool(self._flags[0] & _WORK_IS_WAITING)

    @property
    def _count(self) -> int:
        return self._done_tail[0] - self._done_head[0] & 0xFFFFFFFF

    def gather(self) -> Round:
        """Let the kernel copy what has arrived, as much as is good at once, and return it.

        Its bytes are in ``memory`` until they are given back, which ``give_back`` must do.
        """
        with contextlib.suppress(BlockingIOError):  # Woken by no event: more was waiting.
            os.eventfd_read(self.wake_descriptor)
        brought = True
        while brought and self._count < ROUND_COMPLETIONS:
            before = self._count
            self._enter(0)  # Each copies for some 20 sockets only.
            brought = self._count > before and self.may_have_more
        head, count = self._done_head[0], min(self._count, ROUND_COMPLETIONS)
        # Masked, not mode="wrap": that takes the queue's length off again and again.
        done = self._done[np.arange(head, head + count) & self._done_mask]
        self._done_head[0] = head + count & 0xFFFFFFFF
        flags, buffers = done["flags"], done["flags"] >> 16
        has_buffer = flags & _HAS_BUFFER != 0
        control = self._control
        stamps_ns = control["s"][buffers] * NS_PER_S + control["ns"][buffers]
        # Where nothing was said, as at the end, what the buffer held before is still there.
        told = has_buffer & (control["bytes"][buffers] == _CONTROL_BYTES)
        stamps_ns[~told | (control["type"][buffers] != _STAMP_TYPE)] = 0
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
        shape, strides = (_BUFFERS,), (BUFFER_BYTES,)
        frames = np.ndarray(shape, f"V{length}", self.memory, HEADER_BYTES, strides)
        frames = frames[came.starts // BUFFER_BYTES]
        repeated = np.zeros(lengths.size, bool)
        repeated[1:] = like[1:] & like[:-1] & (frames[1:] == frames[:-1])
        return repeated

    def give_back(self, numbers: npt.NDArray[np.uint32]) -> None:
        """Let the kernel write over buffers, given by their numbers, shape (n,)."""
        count = self._given_count
        at = np.arange(count, count + numbers.size) % _BUFFERS
        # Not whole rows: the first one's last two bytes are the kernel's count of all of them.
        self._given["address"][at] = self._addresses[numbers]
        self._given["number"][at] = numbers
        self._given["bytes"][at] = BUFFER_BYTES
        self._given_count = count + numbers.size & 0xFFFF
        self._given_tail[0] = self._given_count

    def close(self) -> None:
        """Give everything back to the kernel; receives that are still armed end."""
        os.close(self._descriptor)
        if self.wake_descriptor >= 0:
            os.close(self.wake_descriptor)
