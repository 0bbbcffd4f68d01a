"""What every connection of one emulator process shares: listeners, counts, events, servers."""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.emulation.bus import Parts
from harness.emulation.counters import SHARED_COUNTS
from harness.emulation.emulated_service import EmulatedService
from harness.emulation.worker import WorkerContext
from harness.systems.server_sent_events.emulator.broadcast import REPLAYED, Hub, chunk
from harness.systems.server_sent_events.emulator.events import EventLog
from harness.systems.server_sent_events.emulator.lanes import DELAYED, Lane, QueuedWriter
from harness.systems.server_sent_events.emulator.servers import ARRIVED, ASKED, Fleet
from harness.systems.server_sent_events.options import Options

COUNTS = (
    *SHARED_COUNTS,
    REPLAYED,  # written besides to clients that came back, not among owed or sent
    DELAYED,  # waited for a server to come to them
    "connects.accepted",
    "connects.refused.unauthorized",
    "connects.refused.bad_request",
    "subscribes.accepted",
    "publishes.accepted",
    "publishes.refused.unauthorized",
    "publishes.refused.bad_request",
    "events.published",
    "events.failed.too_large",
    ASKED,
    ARRIVED,
)
"""What the emulator counts; a throttled connect or publish is not among those refused."""

_MORE = b"more"
"""First part of what processes tell each other when there is a new event."""

MALFORMED_CHUNKS = {
    "not_json": chunk(b'data: {"type":"data"\n\n'),
    "not_a_message": chunk(b"data: []\n\n"),
    "unknown_type": chunk(b'event: no such type\ndata: {"type":"no such type"}\n\n'),
    "binary": chunk(b"data: \x00\x01\x02\x03\n\n"),
    "bad_utf8": chunk(b"data: \xff\n\n"),
    "reserved_bits": b"no size\r\n",
}
"""A chunk of each form that the fault ``malformed`` knows; the last breaks the chunked coding."""


class Service(EmulatedService[Options]):
    """One emulator process, seen from its connections.

    Attributes:
        hub: Its listeners.
        fleet: Its servers; None where nothing is limited.
    """

    OPTIONS = Options
    COUNTS = COUNTS
    MALFORMED_FRAMES = MALFORMED_CHUNKS
    WRITER = QueuedWriter

    writer: QueuedWriter

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        self._token = options.token.encode()
        self._log = EventLog(worker_context.folder)
        self.hub = Hub(options, self.writer, self.deliveries)
        self.fleet = self._make_fleet(worker_context)
        for event in self._log.read():
            self.hub.keep(event)

    @classmethod
    def make_files(cls, options: Options, folder: Path, processes: int) -> None:
        """Write what the processes share before they start."""
        super().make_files(options, folder, processes)
        EventLog.make_log(folder)
        if options.servers is not None:
            Fleet.make_table(folder, options.servers, options.scaling.servers)

    @classmethod
    def accept_queue(cls, options: Options) -> int | None:
        """Return the accept queue in front of the servers; None where there are none."""
        return None if options.servers is None else options.servers.accept_queue

    def _make_fleet(self, worker_context: WorkerContext) -> Fleet | None:
        limits, listener = self.options.servers, worker_context.shared_listener
        if limits is None or listener is None:
            return None
        return Fleet(
            self.options,
            limits,
            worker_context,
            listener,
            lambda rate: Lane(self.writer, rate, self.deliveries.delays),
            self.counters,
            self.faults.log,
        )

    def lets_in(self, authorization: str) -> bool:
        """Say whether this header shows the right token, and has not been told to expire."""
        is_expired = self.faults.on_credentials()
        scheme, _, shown = authorization.partition(" ")
        is_right = scheme.lower() == "bearer" and hmac.compare_digest(
            shown.strip().encode(errors="replace"), self._token
        )
        return not is_expired and (is_right or not self._token)

    def publish(self, channel: str, data: bytes) -> int:
        """Hand an event to all who listen, in whichever process; return its number."""
        number = self._log.append(channel, data)
        self.counters.add("events.published")
        self._read_on()
        self.bus.publish([_MORE])
        return number

    def _read_on(self) -> None:
        for event in self._log.read():
            self.hub.broadcast(event)

    def receive(self, _parts: Parts) -> None:
        """Broadcast what was published in another process."""
        self._read_on()

    def refresh(self) -> None:
        """Bring the figures of the servers up to now."""
        if self.fleet:
            self.fleet.note()

    def reset(self) -> None:
        """Number events from the beginning again."""
        self.hub.reset()

    def report(self, _totals: Mapping[str, int]) -> Mapping[str, Any]:
        """Return how each server is doing."""
        return {"fleet": self.fleet.report()} if self.fleet else {}

    def close(self) -> None:
        """End the faults, leave the bus and close the log of events."""
        super().close()
        self._log.close()
