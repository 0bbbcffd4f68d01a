"""What every connection of one emulator process shares: listeners, counts, events, servers."""

import hmac
import socket
from pathlib import Path

from harness.emulation.bus import Bus, Parts
from harness.emulation.control import MARK, Control, GroundTruth
from harness.emulation.counters import SHARED_COUNTS, Counters
from harness.emulation.deliveries import Deliveries
from harness.emulation.faults import Faults
from harness.emulation.scheduler import Scheduler
from harness.emulation.worker import WorkerContext
from harness.systems.server_sent_events.emulator.broadcast import REPLAYED, Hub, chunk
from harness.systems.server_sent_events.emulator.events import EventLog
from harness.systems.server_sent_events.emulator.lanes import DELAYED, Lane, QueuedWriter
from harness.systems.server_sent_events.emulator.servers import ARRIVED, ASKED, Fleet
from harness.systems.server_sent_events.options import Options

DOOR_FILE = "servers-door"
"""Holds the descriptor of the socket in front of the servers, where there are any."""

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


def make_files(options: Options, folder: Path, processes: int) -> None:
    """Write what the processes share before they start."""
    Counters.make_table(folder / "counters", processes, len(COUNTS))
    EventLog.make_log(folder)
    if options.servers is not None:
        Fleet.make_table(folder, options.servers, options.scaling.servers)


class Service:
    """One emulator process, seen from its connections; made inside the running event loop.

    Args:
        options: How the emulator is set up.
        worker_context: The place of this process among those that make up the emulator.

    Attributes:
        options: As given.
        counters: Row of ``COUNTS`` of this process.
        writer: Its connections.
        faults: What goes wrong on purpose.
        hub: Its listeners.
        fleet: Its servers; None where nothing is limited.
        control: Answers what the emulator did.
    """

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        index, processes = worker_context.index, worker_context.processes
        self.options = options
        self._token = options.token.encode()
        self._log = EventLog(worker_context.folder)
        self._bus = Bus(
            worker_context.folder, index, processes, self._receive, worker_context.since_ns
        )
        scheduler = Scheduler()
        self.counters = Counters(worker_context.folder / "counters", index, COUNTS)
        self.writer = QueuedWriter(
            self.counters, options.subscriber_buffer_bytes, index=index, processes=processes
        )
        self.faults = Faults(
            self.writer,
            scheduler,
            self.counters,
            worker_context.folder,
            index=index,
            seed=options.seed,
        )
        self._deliveries = Deliveries(
            self.writer,
            self.faults,
            scheduler,
            index=index,
            processes=processes,
            malformed_frames=MALFORMED_CHUNKS,
        )
        self.hub = Hub(options, self.writer, self._deliveries)
        self.fleet = self._make_fleet(worker_context)
        self.control = Control(
            GroundTruth(
                self.counters,
                self._deliveries,
                self.faults,
                refresh=[self.fleet.note] if self.fleet else [],
                reset=[self.hub.reset],
                report=lambda _: {"fleet": self.fleet.report()} if self.fleet else {},
            ),
            worker_context.folder,
            index,
            processes,
            self._bus.publish,
        )
        self.faults.play(options.faults, worker_context.started_s, "options")
        for event in self._log.read():
            self.hub.keep(event)

    def _make_fleet(self, worker_context: WorkerContext) -> Fleet | None:
        limits = self.options.servers
        if limits is None:
            return None
        return Fleet(
            self.options,
            limits,
            worker_context,
            socket.socket(fileno=int((worker_context.folder / DOOR_FILE).read_text("ascii"))),
            lambda rate: Lane(self.writer, rate, self._deliveries.delays),
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
        self._bus.publish([_MORE])
        return number

    def _read_on(self) -> None:
        for event in self._log.read():
            self.hub.broadcast(event)

    def _receive(self, parts: Parts) -> None:
        if parts[0] == MARK:
            self.control.receive(parts)
        else:
            self._read_on()

    def close(self) -> None:
        """Leave the bus, and end what goes wrong."""
        self.faults.close()
        self._bus.close()
        self._log.close()
