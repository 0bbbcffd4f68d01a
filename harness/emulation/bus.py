"""The bus: what one process of an emulator publishes, each other one receives once.

Each process pulls from one socket of its own and pushes to one socket a peer, so nothing is
shared out between peers. Messages to a peer that is not up yet wait in the sender; one that
takes a killed peer's place ignores what was meant for its predecessor.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Sequence

import zmq

from harness.emulation.worker import WorkerContext

Parts = Sequence[bytes]

_STAMP = struct.Struct("=q")  # When a message was sent: monotonic clock of this host, ns.


class Bus:
    """One process's place on the bus; must be made inside the running event loop.

    Args:
        context: Its folder holds the sockets' files and has 90 characters at most. In an emulator
            of one process nothing is opened.
        receive: Called in the event loop with each message of another process.
    """

    def __init__(self, context: WorkerContext, receive: Callable[[Parts], None]) -> None:
        self._receive = receive
        self._since_ns = context.since_ns
        self._folder = context.folder
        self._context = zmq.Context()
        self._loop = asyncio.get_running_loop()
        peers = [peer for peer in range(context.processes) if peer != context.index]
        self._pushes = [self._socket(zmq.PUSH) for _ in peers]
        for push, peer in zip(self._pushes, peers, strict=True):
            push.connect(self._address(peer))
        self._pull = self._pull_socket(context.index) if peers else None

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        opened: zmq.Socket[bytes] = self._context.socket(kind)
        # No limit: a message dropped here would look like a loss of the system emulated.
        opened.set_hwm(0)
        opened.setsockopt(zmq.LINGER, 0)
        return opened

    def _pull_socket(self, index: int) -> zmq.Socket[bytes]:
        pull = self._socket(zmq.PULL)
        pull.bind(self._address(index))
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

    def _address(self, index: int) -> str:
        return f"ipc://{self._folder}/bus-{index}"
