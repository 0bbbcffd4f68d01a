"""Write capacity of a server: deliveries above its rate wait in a queue, and are counted.

An overloaded server falls behind, and all its subscribers are served later and later. What waits
for one subscriber is bounded like what it leaves unread: above that the connection is aborted.
"""

import asyncio
import time
from collections import deque

from hdrh.histogram import HdrHistogram

from harness.emulation.connection_writer import Batch, Connection, ConnectionWriter
from harness.emulation.counters import Counters
from harness.emulation.worker import WorkerContext

TICK_S = 0.01
"""How often a server that is behind writes, and the time whose capacity it can save up."""

DELAYED = "deliveries.delayed.capacity"


class QueuedWriter(ConnectionWriter):
    """The connections of one process, some of them on servers with a limited rate."""

    def __init__(self, context: WorkerContext, counters: Counters, buffer_limit_bytes: int) -> None:
        super().__init__(context, counters, buffer_limit_bytes)
        self.queues: dict[Connection, WriteQueue] = {}

    def final_frame(self, _code: int) -> bytes:
        """Return the end of a body: HTTP has no close codes."""
        return b"0\r\n\r\n"

    def write(self, connection: Connection, batch: Batch) -> None:
        """Write a batch now or when its server comes to it."""
        queue = self.queues.get(connection)
        if queue is None:
            self.write_now(connection, batch)
        else:
            queue.put(connection, batch)

    def write_now(self, connection: Connection, batch: Batch) -> None:
        """Write a batch at once, unless the client has gone or does not read."""
        super().write(connection, batch)


class WriteQueue:
    """What one server has to write, in order; made inside the running event loop.

    Args:
        delays: Records in microseconds how long deliveries waited.
    """

    def __init__(self, writer: QueuedWriter, deliveries_per_s: float, delays: HdrHistogram) -> None:
        self._writer = writer
        self._per_s = deliveries_per_s
        self._delays = delays
        self._most = max(1.0, deliveries_per_s * TICK_S)
        self._tokens = self._most
        self._filled_s = time.monotonic()
        self._waiting: deque[tuple[Connection, Batch, float]] = deque()
        self._waiting_bytes: dict[Connection, int] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def waiting(self) -> int:
        """Deliveries that wait for this server."""
        return len(self._waiting)

    def put(self, connection: Connection, batch: Batch) -> None:
        """Take a batch: it leaves now, or behind those that wait."""
        if not self._waiting:
            self._fill()
            if self._tokens >= 1:
                self._tokens -= batch.deliveries
                self._writer.write_now(connection, batch)
                return
            self._loop.call_later(TICK_S, self._write)
        waiting_bytes = self._waiting_bytes.get(connection, 0)
        unread_bytes = connection.transport.get_write_buffer_size()
        if waiting_bytes + unread_bytes > self._writer.buffer_limit_bytes:
            self._writer.counters.add("deliveries.dropped.slow_subscriber", batch.deliveries)
            if self._writer.is_listening(connection):
                self._writer.cut_slow(connection)
            return
        self._waiting_bytes[connection] = waiting_bytes + len(batch.frames)
        self._waiting.append((connection, batch, time.monotonic()))
        self._writer.count_pending(batch.deliveries)
        self._writer.counters.add(DELAYED, batch.deliveries)

    def _fill(self) -> None:
        now_s = time.monotonic()
        self._tokens = min(self._most, self._tokens + (now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s

    def _write(self) -> None:
        """Write what there is capacity for; a closed connection takes none."""
        self._fill()
        while self._waiting and self._tokens >= 1:
            connection, batch, queued_s = self._waiting.popleft()
            left_bytes = self._waiting_bytes.pop(connection) - len(batch.frames)
            if left_bytes:
                self._waiting_bytes[connection] = left_bytes
            if self._writer.is_listening(connection):
                self._tokens -= batch.deliveries
                self._delays.record_value(max(1, round((time.monotonic() - queued_s) * 1e6)))
            self._writer.count_pending(-batch.deliveries)
            self._writer.write_now(connection, batch)
        if self._waiting:
            self._loop.call_later(TICK_S, self._write)
