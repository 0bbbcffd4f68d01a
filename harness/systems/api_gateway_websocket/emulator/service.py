"""What every connection of one emulator process shares: quotas, functions, table, counts."""

import random
from pathlib import Path

from harness.emulation.bus import Bus, Parts
from harness.emulation.connection_writer import ConnectionWriter
from harness.emulation.control import MARK, Control, GroundTruth
from harness.emulation.counters import SHARED_COUNTS, Counters
from harness.emulation.deliveries import Deliveries
from harness.emulation.faults import Faults
from harness.emulation.scheduler import Scheduler
from harness.emulation.worker import WorkerContext
from harness.systems.api_gateway_websocket.emulator.admission import Admission
from harness.systems.api_gateway_websocket.emulator.broadcast import BROADCAST_COUNTS, Broadcaster
from harness.systems.api_gateway_websocket.emulator.functions import FUNCTION_COUNTS, Functions
from harness.systems.api_gateway_websocket.emulator.management import Management
from harness.systems.api_gateway_websocket.emulator.metering import BILLED_COUNTS, Metering, bill
from harness.systems.api_gateway_websocket.emulator.table import ConnectionTable
from harness.systems.api_gateway_websocket.options import Options

COUNTS = (
    *SHARED_COUNTS,
    *BILLED_COUNTS,
    *BROADCAST_COUNTS,
    *FUNCTION_COUNTS,
    "connects.accepted",
    "connects.refused.unauthorized",
    "connects.refused.bad_request",
    "connects.refused.function",
    "subscribes.accepted",
    "subscribes.refused.function",
    "publishes.accepted",
    "publishes.refused.bad_request",
    "publishes.refused.function",
    "disconnects.idle",
    "disconnects.lifetime",
    "disconnects.too_large",
    "disconnects.deleted",  # by a call of @connections
    "disconnects.unnoticed",  # of all, those whose $disconnect never came
    "messages.received",
    "messages.throttled.quota",  # frames other than publishes, which are counted as such
    "messages.unrouted",  # answered Forbidden: no route matches, and there is no $default
    "calls.accepted",  # of @connections over HTTP
    "calls.throttled",
    "calls.refused",  # 403
)
"""What the emulator counts; a throttled connect or publish is not among those refused."""

TABLE = "connections.sqlite"


def make_files(folder: Path, processes: int) -> None:
    """Write what the processes share before they start."""
    Counters.make_table(folder / "counters", processes, len(COUNTS))
    Admission.make_files(folder, processes)
    ConnectionTable.make_file(folder / TABLE)


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
        admission: Quotas, and faults on the way in.
        metering: The bill.
        management: The ``@connections`` API.
        table: Who is in which channel.
        functions: What runs behind the API.
        broadcaster: Sends a message to a channel.
        control: Answers what the emulator did.
        rng: Decides whose $disconnect is lost.
    """

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        index, processes, folder = (
            worker_context.index,
            worker_context.processes,
            worker_context.folder,
        )
        self.options = options
        self.rng = random.Random(f"{options.seed}/{index}")
        self._bus = Bus(folder, index, processes, self._receive, worker_context.since_ns)
        scheduler = Scheduler()
        self.counters = Counters(folder / "counters", index, COUNTS)
        self.writer = ConnectionWriter(
            self.counters, options.subscriber_buffer_bytes, index=index, processes=processes
        )
        self.faults = Faults(
            self.writer, scheduler, self.counters, folder, index=index, seed=options.seed
        )
        self.admission = Admission(options.quotas, self.faults, self.counters, folder, index)
        self.metering = Metering(self.counters)
        deliveries = Deliveries(
            self.writer, self.faults, scheduler, index=index, processes=processes
        )
        self.management = Management(
            self.writer, deliveries, self._bus, scheduler, index=index, processes=processes
        )
        self.table = ConnectionTable(folder / TABLE, index)
        if worker_context.since_ns:
            self.table.note_all_left()
        self.functions = Functions(options.broadcast, scheduler, self.counters)
        self.broadcaster = Broadcaster(
            options.broadcast,
            self.functions,
            self.table,
            self.management,
            self.admission,
            scheduler,
            self.counters,
            self.rng,
        )
        self.control = Control(
            GroundTruth(
                self.counters,
                deliveries,
                self.faults,
                refresh=[self.metering.refresh],
                reset=[self.metering.reset, self.management.reset],
                report=lambda totals: {"billed": bill(totals)},
            ),
            folder,
            index,
            processes,
            self._bus.publish,
        )
        self.faults.play(options.faults, worker_context.started_s, "options")

    def _receive(self, parts: Parts) -> None:
        if parts[0] == MARK:
            self.control.receive(parts)
        else:
            self.management.receive(parts)

    def close(self) -> None:
        """Leave the bus, end what goes wrong, and let go of the files."""
        self.faults.close()
        self.table.close()
        self.admission.close()
        self._bus.close()
