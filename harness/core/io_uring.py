"""An io_uring instance: the two queues it shares with the kernel, and the call that works on them.

What is asked of the kernel is written to one queue, and what became of it is read from the other;
thousands of sockets are served by one system call. Nothing here knows what the requests are for.

Sources: io_uring_setup(2), io_uring_enter(2), io_uring_register(2), and the structures in
``linux/io_uring.h``. Needs Linux 6.1 (``IORING_SETUP_DEFER_TASKRUN``); containers often forbid it
(their seccomp profile), which shows as an OSError from the constructor.
"""

import ctypes
import errno
import mmap
import os
import struct
from typing import Final

import numpy as np
import numpy.typing as npt

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
_ENTER_GETEVENTS, _ENTER_EXTENDED_ARGUMENT = 1 << 0, 1 << 3
_WORK_IS_WAITING = 1 << 2  # IORING_SQ_TASKRUN

SUBMISSION: Final = np.dtype(
    [
        ("operation", "u1"),
        ("flags", "u1"),
        ("priority", "<u2"),
        ("descriptor", "<i4"),
        ("offset", "<u8"),
        ("address", "<u8"),
        ("bytes", "<u4"),
        ("message_flags", "<u4"),
        ("key", "<u8"),
        ("buffer_group", "<u2"),
        ("personality", "<u2"),
        ("file_index", "<i4"),
        ("rest", "V16"),
    ]
)
"""struct io_uring_sqe; ``key`` is its ``user_data``, which comes back with the completion."""
_WHOLE = np.dtype(f"V{SUBMISSION.itemsize}")
"""The same as plain bytes, which NumPy copies nine times as fast as field by field."""
COMPLETION: Final = np.dtype([("key", "<u8"), ("result", "<i4"), ("flags", "<u4")])
"""struct io_uring_cqe."""

_call = ctypes.CDLL(None, use_errno=True).syscall
_call.restype = ctypes.c_long

_AT_ONCE = ctypes.create_string_buffer(bytes(16))
"""struct __kernel_timespec of zero."""
_ARGUMENT_BYTES = 24
_WITHOUT_WAITING = ctypes.create_string_buffer(
    struct.pack("<QIIQ", 0, 0, 0, ctypes.addressof(_AT_ONCE)), _ARGUMENT_BYTES
)
"""struct io_uring_getevents_arg: no signal mask, and a time to wait of zero."""


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number).lower()}")
    return result


class IoUring:
    """One instance; to be used by the thread that made it.

    Args:
        submissions: Requests that can be written before the kernel takes them; a power of two.
        completions: Results that wait to be read; a power of two, more than requests.

    Raises:
        OSError: Where the kernel will not have it.
    """

    def __init__(self, submissions: int, completions: int) -> None:
        parameters = bytearray(struct.pack("<4I", submissions, completions, _SETUP_FLAGS, 0))
        parameters += bytes(120 - len(parameters))
        holder = (ctypes.c_char * 120).from_buffer(parameters)
        self._descriptor = _checked(_call(_SYS_SETUP, submissions, holder), "io_uring_setup")
        try:
            self._map_queues(parameters)
        except BaseException:
            self.close()
            raise

    def _map_queues(self, parameters: bytearray) -> None:
        submissions, completions = struct.unpack_from("<2I", parameters)
        _, tail, mask, _, flags, _, array = struct.unpack_from("<7I", parameters, 40)
        c_head, c_tail, c_mask, _, _, entries = struct.unpack_from("<6I", parameters, 80)
        size = max(array + submissions * 4, entries + completions * COMPLETION.itemsize)
        queue = mmap.mmap(self._descriptor, size)
        queued = mmap.mmap(
            self._descriptor, submissions * SUBMISSION.itemsize, offset=_OFFSET_SUBMISSIONS
        )
        words = memoryview(queue)[: size & ~3].cast("I")
        self._tail, self._flags = words[tail // 4 :], words[flags // 4 :]
        self._mask, self._done_mask = words[mask // 4], words[c_mask // 4]
        self._done_head, self._done_tail = words[c_head // 4 :], words[c_tail // 4 :]
        np.frombuffer(queue, np.uint32, submissions, array)[:] = np.arange(submissions)
        self._queued = np.frombuffer(queued, _WHOLE)
        self._done = np.frombuffer(queue, COMPLETION, completions, entries)

    def register(self, what: int, argument: bytes) -> None:
        """Make something known to the kernel, see io_uring_register(2); raises OSError."""
        _checked(_call(_SYS_REGISTER, self._descriptor, what, argument, 1), "io_uring_register")

    def submit(self, requests: npt.NDArray[np.void]) -> int:
        """Hand requests to the kernel, shape (n,) of ``SUBMISSION``, no more than fit its queue.

        Returns:
            How many it took, of the first ones; fewer than all only where memory is short.

        Raises:
            OSError: If it took none.
        """
        tail, count = self._tail[0], requests.size
        self._queued[np.arange(tail, tail + count) & self._mask] = requests.view(_WHOLE)
        self._tail[0] = tail + count & 0xFFFFFFFF
        taken = 0
        try:
            taken = self._enter(count, 0, _ENTER_GETEVENTS, None)
        finally:
            # What it did not take it would find at the next call, when it is no longer wanted.
            self._tail[0] = tail + taken & 0xFFFFFFFF
        return taken

    def work(self, completions: int) -> None:
        """Let the kernel do what waits to be done, for so many completions at most."""
        flags = _ENTER_GETEVENTS | _ENTER_EXTENDED_ARGUMENT
        # Asked to wait for them it does as much as that brings at once, else for 20 sockets only.
        self._enter(0, completions, flags, _WITHOUT_WAITING)

    def _enter(self, submitted: int, wanted: int, flags: int, argument: object) -> int:
        size = ctypes.c_size_t(_ARGUMENT_BYTES if argument is not None else 0)
        while True:
            done: int = _call(
                _SYS_ENTER, self._descriptor, submitted, wanted, flags, argument, size
            )
            if done >= 0:
                return done
            number = ctypes.get_errno()
            if number == errno.ETIME:
                return 0
            if number != errno.EINTR:
                _checked(-1, "io_uring_enter")

    @property
    def count(self) -> int:
        """How many completions there are to take."""
        return self._done_tail[0] - self._done_head[0] & 0xFFFFFFFF

    @property
    def work_is_waiting(self) -> bool:
        """Whether the kernel says that it has something to do.

        It sets the flag after it has handed over the work, so that it can be set though all is
        done; then it stays so until something else arrives.
        """
        return bool(self._flags[0] & _WORK_IS_WAITING)

    def take(self, most: int) -> npt.NDArray[np.void]:
        """Return completions in order, shape (n,) of ``COMPLETION``, ``most`` of them at most."""
        head, count = self._done_head[0], min(self.count, most)
        begin = head & self._done_mask
        done: npt.NDArray[np.void] = self._done[begin : begin + count].copy()
        if done.size < count:
            done = np.concatenate((done, self._done[: count - done.size]))
        self._done_head[0] = head + count & 0xFFFFFFFF
        return done

    def close(self) -> None:
        """Give everything back to the kernel; what it has not done yet is not done."""
        os.close(self._descriptor)
