"""Writes to all connections of an emulator process.

A connection writes at once, unless a stall holds it. What a client leaves unread is bounded here: a
connection with too much of it is aborted, and does not delay any other.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from harness.emulation.counters import CONNECTIONS, PENDING, SENT, Counters
from harness.emulation.sending import NO_SOCKET, Sender, plain_socket
from harness.emulation.websocket_frames import close_frame
from harness.emulation.worker import WorkerContext
from harness.scenario.faults import RESET

Transport = asyncio.WriteTransport

LINGER_NOT = struct.pack("ii", 1, 0)
"""Closing a socket with this option resets the connection."""

FEW = 64
"""Fewer transports than this cost less one by one."""


class Batch(NamedTuple):
    """Frames that leave together.

    Attributes:
        deliveries: Deliveries owed that they hold; 0 for a reply.
        copies: Further copies of these.
        malformed: Malformed frames among them.
        steps: Steps of metering of all of it.
    """

    frames: bytes
    deliveries: int = 0
    copies: int = 0
    malformed: int = 0
    steps: int = 0


class Connection:
    """One connection, as seen by everything that sends to it.

    Attributes:
        number: Counts connections, so that records can name it.
        descriptor: Of its socket; ``NO_SOCKET`` where only the transport may write to it.
        is_open: Whether it is still among the connections.
    """

    __slots__ = (
        "_held",
        "_reply_stalls",
        "_stalls",
        "_writer",
        "descriptor",
        "is_open",
        "number",
        "peer",
        "transport",
    )

    def __init__(self, writer: "ConnectionWriter", transport: Transport, number: int) -> None:
        self._writer = writer
        self._held: list[Batch] = []
        self._stalls = 0
        self._reply_stalls = 0
        self.transport = transport
        self.number = number
        self.descriptor = plain_socket(transport)
        self.is_open = True
        peer = transport.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""

    def reply(self, frame: bytes) -> None:
        """Send a reply, queued behind a stall that holds replies too."""
        self._send(frame, held=bool(self._reply_stalls))

    def keep_alive(self, frame: bytes) -> None:
        """Send a keep-alive, which any stall holds."""
        self._send(frame, held=bool(self._stalls))

    def _send(self, frame: bytes, *, held: bool) -> None:
        if held:
            self._held.append(Batch(frame))
        elif self._writer.is_listening(self) and not self._writer.is_stuck(self):
            self.transport.write(frame)
            self._writer.counters.add("bytes_out", len(frame))

    def deliver(self, batch: Batch) -> None:
        """Send deliveries, which any stall holds."""
        if self._stalls and self.is_open:
            self._writer.count_pending(batch.deliveries)
            self._writer.counters.add("deliveries.delayed.stall", batch.deliveries)
            self._held.append(batch)
        else:
            self._writer.write(self, batch)

    def stall(self, *, replies: bool) -> None:
        """Begin to hold what is sent; stalls may overlap."""
        self._stalls += 1
        self._reply_stalls += replies

    def end_stall(self, *, replies: bool) -> None:
        """End a stall that began likewise; with the last of them everything leaves in order."""
        self._stalls -= 1
        self._reply_stalls -= replies
        if self._held and not self._stalls:
            self._writer.write(self, self._take_held())

    def abandon(self) -> None:
        """Count what is still held as lost: the connection has gone."""
        self.is_open = False
        if self._held:
            lost = self._take_held().deliveries
            self._writer.counters.add("deliveries.dropped.closed", lost)

    def _take_held(self) -> Batch:
        frames, *numbers = zip(*self._held, strict=True)
        together = Batch(b"".join(frames), *map(sum, numbers))
        self._held.clear()
        self._writer.count_pending(-together.deliveries)
        return together


class Recipient(Protocol):
    """The receiver of deliveries."""

    connection: Connection


class Watcher(Protocol):
    """Is notified of connections that open and close."""

    def joined(self, connection: Connection) -> None:
        """Handle a new connection."""

    def left(self, connection: Connection) -> None:
        """Handle a closed connection."""


class ConnectionWriter:
    """All connections of one process, in the order they came.

    Args:
        context: Makes their numbers unique.
        buffer_limit_bytes: Bytes a client may leave unread, besides what the kernel holds.

    Attributes:
        pending: Deliveries of this process that are held back for now.
        watchers: Notified of each connection that opens or closes.
    """

    def __init__(self, context: WorkerContext, counters: Counters, buffer_limit_bytes: int) -> None:
        self.counters = counters
        self.buffer_limit_bytes = buffer_limit_bytes
        self.open: dict[Connection, None] = {}
        self.pending = 0
        self.watchers: list[Watcher] = []
        self._numbers = context.numbers()

    def add(self, transport: Transport) -> Connection:
        """Add a new connection."""
        connection = Connection(self, transport, next(self._numbers))
        self.open[connection] = None
        self.counters.add(CONNECTIONS)
        for watcher in self.watchers:
            watcher.joined(connection)
        return connection

    def remove(self, connection: Connection) -> None:
        """Remove a closed connection."""
        del self.open[connection]
        self.counters.add(CONNECTIONS, -1)
        for watcher in self.watchers:
            watcher.left(connection)
        connection.abandon()

    def count_pending(self, deliveries: int) -> None:
        """Add to the deliveries that are held back; a negative number subtracts."""
        if deliveries:
            self.pending += deliveries
            self.counters.add(PENDING, deliveries)

    def is_listening(self, connection: Connection) -> bool:
        """Return whether a client is still there."""
        return connection.is_open and not connection.transport.is_closing()

    def is_stuck(self, connection: Connection) -> bool:
        """Return whether a client has left too much unread; if so, it is cut off."""
        if connection.transport.get_write_buffer_size() <= self.buffer_limit_bytes:
            return False
        self.cut_slow(connection)
        return True

    def write(self, connection: Connection, batch: Batch) -> None:
        """Write a batch now, unless the client has gone or does not read."""
        frames, deliveries, copies, malformed, steps = batch
        count = self.counters.add
        if not self.is_listening(connection):
            count("deliveries.dropped.closed", deliveries)
        elif self.is_stuck(connection):
            count("deliveries.dropped.slow_subscriber", deliveries)
        else:
            connection.transport.write(frames)
            count(SENT, deliveries)
            count("deliveries.steps", steps)
            count("bytes_out", len(frames))
            if copies or malformed:
                count("deliveries.duplicated", copies)
                count("deliveries.malformed", malformed)

    def write_to_all(self, frames: bytes, group: Mapping[Transport, Recipient]) -> tuple[int, int]:
        """Write the same to all of a group who listen, without counting it.

        Returns:
            How many it was written to, and how many were aborted because they do not read.
        """
        limit = self.buffer_limit_bytes
        left = self._send_to_free(frames, group)
        written = len(group) - len(left)
        stuck = []
        for transport, rest in left.items():
            # A transport that is lost stays in its group until its session has noticed; writing
            # to it would raise and rob those who come after it.
            if transport.is_closing():
                continue
            if transport.get_write_buffer_size() > limit:
                stuck.append(transport)
            else:
                transport.write(rest)
                written += 1
        for transport in stuck:
            self.cut_slow(group[transport].connection)
        return written, len(stuck)

    def _send_to_free(
        self, frames: bytes, group: Mapping[Transport, Recipient]
    ) -> dict[Transport, bytes]:
        """Send past the transports that hold nothing; return what is left for which to write."""
        if len(group) < FEW or self._sender is None:
            return dict.fromkeys(group, frames)
        # A transport that is not closing owns its socket still.
        free = [
            recipient.connection
            for transport, recipient in group.items()
            if not transport.is_closing()
            and not transport.get_write_buffer_size()
            and recipient.connection.descriptor != NO_SOCKET
        ]
        sent = self._sender.send(frames, [connection.descriptor for connection in free])
        left = {}
        if len(free) < len(group):
            served = {connection.transport for connection in free}
            left = {transport: frames for transport in group if transport not in served}
        for place in np.flatnonzero(sent != len(frames)).tolist():
            # An error is the transport's to find as well: it knows what to do about it.
            left[free[place].transport] = frames[max(0, sent[place]) :]
        return left

    @cached_property
    def _sender(self) -> Sender | None:
        """What sends to many at once; None where the kernel does not allow it."""
        try:
            return Sender()
        except OSError:
            return None

    def cut_slow(self, connection: Connection) -> None:
        """Cut off a client that does not read."""
        self.counters.add("disconnects.slow_subscriber")
        connection.transport.abort()

    def cut(self, connection: Connection, code: int) -> None:
        """End a connection as a fault does, with a close code or by a reset."""
        self.counters.add("disconnects.fault")
        end_connection(connection.transport, None if code == RESET else self.final_frame(code))

    def close_all(self, code: int) -> None:
        """Close every connection without waiting for its client."""
        for connection in list(self.open):
            end_connection(connection.transport, self.final_frame(code))

    def final_frame(self, code: int) -> bytes:
        """Return the message that closes a connection with a code."""
        return close_frame(code)


def end_connection(transport: Transport, final_frame: bytes | None) -> None:
    """End a connection: after a final frame, or with a reset where there is none."""
    if transport.is_closing():
        return
    if final_frame is not None:
        transport.write(final_frame)
        transport.close()
        return
    connection = transport.get_extra_info("socket")
    with suppress(OSError):  # The client may have been faster.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    transport.abort()
