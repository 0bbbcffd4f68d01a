"""The same bytes to many sockets at once: hundreds of sends cost one system call.

Only what a socket takes at once is sent. The rest is for its transport, whose buffer must be empty
before, or what it holds would be overtaken.

Sources: io_uring_enter(2), on IORING_OP_SEND; send(2).
"""

import contextlib
import ctypes
import errno
import socket
import weakref
from asyncio import BaseTransport
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.core.io_uring import SUBMISSION, IoUring

Int32Array = npt.NDArray[np.int32]

_OP_SEND = 26
_AT_ONCE, _COMPLETIONS = 512, 1024
NO_SOCKET: Final = -1


def plain_socket(transport: BaseTransport) -> int:
    """Return the descriptor of a transport's socket, ``NO_SOCKET`` where TLS is in between."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("sslcontext") is not None:
        return NO_SOCKET
    descriptor: int = connection.fileno()
    return descriptor


class Sender:
    """Sends through io_uring; to be used by the thread that made it.

    Raises:
        OSError: Where the kernel will not have it.
    """

    def __init__(self) -> None:
        self._io = IoUring(_AT_ONCE, _COMPLETIONS)
        weakref.finalize(self, self._io.close)
        self._requests = np.zeros(_AT_ONCE, SUBMISSION)
        self._requests["operation"] = _OP_SEND
        # The kernel never waits for a socket then: all is done when it has taken the requests.
        self._requests["message_flags"] = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        self._requests["key"] = np.arange(_AT_ONCE)

    def send(self, data: bytes, descriptors: Sequence[int]) -> Int32Array:
        """Send the same to each of these sockets, as much as it takes at once.

        Returns:
            How many bytes each took, or the number of its error below 0, shape (n,).
        """
        self._requests["address"] = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
        self._requests["bytes"] = len(data)
        results = np.full(len(descriptors), -errno.EAGAIN, np.int32)
        to = np.array(descriptors, np.int32)
        for begin in range(0, to.size, _AT_ONCE):
            some = slice(begin, begin + _AT_ONCE)
            self._send(to[some], results[some])
        return results

    def _send(self, to: Int32Array, results: Int32Array) -> None:
        requests = self._requests[: to.size]
        requests["descriptor"] = to
        # Short of memory, or after a fork: to those who were not served their transports write.
        with contextlib.suppress(OSError):
            taken = self._io.submit(requests)
            while self._io.count < taken:
                self._io.work(taken)
            done = self._io.take(taken)
            results[done["key"]] = done["result"]
