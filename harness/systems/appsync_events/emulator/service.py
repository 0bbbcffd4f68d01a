"""What every connection of one emulator process shares: rules, subscriptions, counts, broadcast."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from harness.emulation.bus import Bus, Parts
from harness.emulation.connection_writer import ConnectionWriter
from harness.emulation.control import MARK, Control, GroundTruth
from harness.emulation.counters import SHARED_COUNTS, Counters
from harness.emulation.deliveries import Deliveries
from harness.emulation.faults import Faults
from harness.emulation.scheduler import Scheduler
from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import Segments
from harness.systems.appsync_events.emulator.access import Access, prepare
from harness.systems.appsync_events.emulator.admission import Admission
from harness.systems.appsync_events.emulator.broadcast import Hub
from harness.systems.appsync_events.emulator.metering import BILLED_COUNTS, Metering, bill
from harness.systems.appsync_events.handlers.handlers import Handlers
from harness.systems.appsync_events.options import Namespace, Options

PUBLISHED = "events.published"

COUNTS = (
    *SHARED_COUNTS,
    *BILLED_COUNTS,
    "connects.accepted",
    "connects.refused.unauthorized",
    "connects.refused.bad_request",
    "subscribes.accepted",
    "subscribes.refused.unauthorized",
    "subscribes.refused.bad_request",
    "subscribes.refused.handler",
    "subscribes.refused.duplicate",
    "subscribes.refused.too_many",
    "publishes.accepted",
    "publishes.refused.unauthorized",
    "publishes.refused.bad_request",
    "publishes.refused.handler",
    PUBLISHED,  # of publishes that were accepted, those that were broadcast
    "events.filtered",  # left out by a handler
    "events.failed.handler",  # reported as failed by a handler
    "events.failed.too_large",
    "disconnects.lifetime",
    "messages.malformed",  # answered with an error and otherwise ignored
)
"""What the emulator counts; a throttled connect or publish is not among those refused."""

_EVENTS = b"events"
"""First part of what processes tell each other of a publish."""


def make_files(options: Options, folder: Path, processes: int) -> None:
    """Write what the processes share before they start."""
    Counters.make_table(folder / "counters", processes, len(COUNTS))
    Admission.make_tables(folder, processes)
    prepare(options, folder)


class Service:
    """One emulator process, seen from its connections; made inside the running event loop.

    Args:
        options: How the emulator is set up.
        worker_context: The place of this process among those that make up the emulator.

    Attributes:
        options: As given, or as last reloaded.
        counters: Row of ``COUNTS`` of this process.
        writer: Its connections.
        faults: What goes wrong on purpose.
        admission: Quotas, and faults on the way in.
        metering: The bill.
        hub: Its subscriptions.
        access: Who may do what.
        handlers: The user's own code.
        control: Answers what the emulator did.
    """

    access: Access
    handlers: Handlers
    namespaces: Mapping[str, Namespace]

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        index, processes = worker_context.index, worker_context.processes
        self._folder = worker_context.folder
        self._rng = random.Random(f"{options.seed}/shuffle/{index}")
        self._bus = Bus(
            worker_context.folder, index, processes, self._receive, worker_context.since_ns
        )
        self.options = options
        self.use(options)
        scheduler = Scheduler()
        self.counters = Counters(worker_context.folder / "counters", index, COUNTS)
        self.writer = ConnectionWriter(
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
        self.admission = Admission(
            options.quotas, self.faults, self.counters, worker_context.folder, index
        )
        self.metering = Metering(self.counters, options.undocumented)
        deliveries = Deliveries(
            self.writer,
            self.faults,
            scheduler,
            outbound=self.admission.outbound,
            overflow=options.undocumented.outbound_overflow,
            index=index,
            processes=processes,
        )
        settle_s = options.subscribe_settle_ms / 1000
        self.hub = Hub(self.writer, deliveries, settle_s=settle_s, index=index, processes=processes)
        self.control = Control(
            GroundTruth(
                self.counters,
                deliveries,
                self.faults,
                refresh=[self.metering.refresh],
                reset=[self.metering.reset, self.hub.reset],
                report=lambda totals: {"billed": bill(totals)},
            ),
            worker_context.folder,
            index,
            processes,
            self._bus.publish,
        )
        self.faults.play(options.faults, worker_context.started_s, "options")

    def use(self, options: Options) -> None:
        """Apply the options that a running emulator can change, and leave the others.

        Raises:
            HarnessError: If the user's own code cannot be loaded; then nothing has changed.
        """
        access, handlers = Access(options, self._folder), Handlers(options)
        # The old handlers still finish what they were asked.
        self.access, self.handlers = access, handlers
        changed = {name: getattr(options, name) for name in Options.RELOADABLE}
        self.options = self.options.model_copy(update=changed)
        self.namespaces = {namespace.name: namespace for namespace in options.namespaces}

    def broadcast(self, segments: Segments, events: Sequence[str]) -> None:
        """Hand events to all subscribers of all processes.

        The event loop sends what was written in one turn in no certain order: a publisher's reply
        is to be written in another.
        """
        if not events:
            return
        self.counters.add(PUBLISHED, len(events))
        encoded = [wire.encode_event(event) for event in events]
        if self.options.undocumented.shuffle_deliveries:
            self._rng.shuffle(encoded)
        number = self.hub.number_events(len(encoded))
        self.hub.broadcast(segments, encoded, number)
        self._bus.publish([_EVENTS, orjson.dumps([number, segments]), *encoded])

    def _receive(self, parts: Parts) -> None:
        if parts[0] == MARK:
            self.control.receive(parts)
            return
        number, segments = orjson.loads(parts[1])
        self.hub.broadcast(tuple(segments), parts[2:], number)

    def close(self) -> None:
        """Leave the bus, and end what goes wrong and what handlers still do."""
        self.faults.close()
        self.handlers.close()
        self._bus.close()
