"""The bus: what one process of an emulator publishes, each other one receives once.

Each process pulls from one socket of its own and pushes to one socket a peer, so nothing is
shared out between peers. Messages to a peer that is not up yet wait in the sender; one that
takes a killed peer's place ignores what was meant for its predecessor.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import zmq

Parts = Sequence[bytes]

_STAMP = struct.Struct("=q")  # When a message was sent: monotonic clock of this host, ns.


class Bus:
    """One process's place on the bus; must be made inside the running event loop.

    Args:
        folder: Where the sockets' files lie; the same for all processes, 90 characters at most.
        processes: How many there are; with one, nothing is opened.
        receive: Called in the event loop with each message of another process.
        since_ns: Messages sent before this instant of the monotonic clock are ignored.
    """

    def __init__(
        self,
        folder: Path,
        index: int,
        processes: int,
        receive: Callable[[Parts], None],
        since_ns: int = 0,
    ) -> None:
        self._receive = receive
        self._since_ns = since_ns
        self._context = zmq.Context()
        self._loop = asyncio.get_running_loop()
        peers = [peer for peer in range(processes) if peer != index]
        self._pushes = [self._socket(zmq.PUSH) for _ in peers]
        for push, peer in zip(self._pushes, peers, strict=True):
            push.connect(_address(folder, peer))
        self._pull = self._pull_socket(folder, index) if peers else None

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        opened: zmq.Socket[bytes] = self._context.socket(kind)
        # No limit: a message dropped here would look like a loss of the system emulated.
        opened.set_hwm(0)
        opened.setsockopt(zmq.LINGER, 0)
        return opened

    def _pull_socket(self, folder: Path, index: int) -> zmq.Socket[bytes]:
        pull = self._socket(zmq.PULL)
        pull.bind(_address(folder, index))
        self._loop.add_reader(pull.fileno(), self._drain, pull)
        # The descriptor signals changes only: what came before it was watched must be read now.
        self._loop.call_soon(self._drain, pull)
        return pull

    def publish(self, parts: Parts) -> None:
        """Send a message to every other process; returns at once."""
        stamped = [_STAMP.pack(time.monotonic_ns()), *parts]
        for push in self._pushes:
            push.send_multipart(stamped, zmq.DONTWAIT)

    def _drain(self, pull: zmq.Socket[bytes]) -> None:
        """Take all there is: the descriptor stays silent until it has been emptied."""
        while not pull.closed:
            try:
                stamp, *parts = pull.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            if _STAMP.unpack(stamp)[0] >= self._since_ns:
                self._receive(parts)

    def close(self) -> None:
        """Leave the bus; what is still unsent is dropped."""
        if self._pull is not None:
            self._loop.remove_reader(self._pull.fileno())
            self._pull.close()
        for push in self._pushes:
            push.close()
        self._context.term()


def _address(folder: Path, index: int) -> str:
    return f"ipc://{folder}/bus-{index}"
