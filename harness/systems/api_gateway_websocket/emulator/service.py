"""What every connection of one emulator process shares: quotas, functions, table, counts."""

import random
from collections.abc import Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any

from harness.emulation.bus import Parts
from harness.emulation.counters import SHARED_COUNTS
from harness.emulation.emulated_service import EmulatedService
from harness.emulation.scheduler import Intervals
from harness.emulation.worker import WorkerContext
from harness.systems.api_gateway_websocket.emulator.admission import Admission
from harness.systems.api_gateway_websocket.emulator.functions import Functions
from harness.systems.api_gateway_websocket.emulator.management import Management
from harness.systems.api_gateway_websocket.emulator.metering import BILLED_COUNTS, Metering, bill
from harness.systems.api_gateway_websocket.emulator.table import ConnectionTable
from harness.systems.api_gateway_websocket.options import Options

COUNTS = (
    *SHARED_COUNTS,
    *BILLED_COUNTS,
    "deliveries.dropped.throttled",  # every attempt was answered 429
    "deliveries.dropped.function_timeout",  # the function was ended before it could post
    "deliveries.dropped.function_throttled",  # no function could be started for them
    "posts.attempted",  # calls that broadcasts made
    "posts.throttled",  # of these, answered 429
    "posts.gone",  # of these, answered 410: the row was stale and is deleted
    "broadcasts.started",
    "broadcasts.ended",
    "broadcasts.timed_out",
    "functions.started",
    "functions.cold_starts",
    "functions.throttled",
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


class Service(EmulatedService[Options]):
    """One emulator process, seen from its connections.

    Attributes:
        rng: Decides whose $disconnect is lost, and how long calls and waits of a broadcast are.
        idle: Closes sessions after too long a silence.
        lifetime: Closes sessions at their greatest age.
    """

    OPTIONS = Options
    COUNTS = COUNTS

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        quotas, index = options.quotas, worker_context.index
        self.rng = random.Random(f"{options.seed}/{index}")
        self.admission = Admission(quotas, self.faults, worker_context)
        self.metering = Metering(self.counters)
        self.management = Management(self)
        self.table = ConnectionTable(worker_context.folder / TABLE, index)
        if worker_context.since_ns:
            self.table.note_all_left()
        self.functions = Functions(options.broadcast, self.scheduler, self.counters)
        idle_s, lifetime_s = (quotas.idle_s, quotas.lifetime_s) if quotas.enabled else (0.0, 0.0)
        self.idle = Intervals[Any](idle_s, methodcaller("close", "idle"))
        self.lifetime = Intervals[Any](lifetime_s, methodcaller("close", "lifetime"))

    @classmethod
    def make_files(cls, options: Options, folder: Path, processes: int) -> None:
        """Write what the processes share before they start."""
        super().make_files(options, folder, processes)
        ConnectionTable.make_file(folder / TABLE)

    def receive(self, parts: Parts) -> None:
        """Handle calls of other processes, and their answers to ours."""
        self.management.receive(parts)

    def refresh(self) -> None:
        """Bring the bill up to now."""
        self.metering.refresh()

    def reset(self) -> None:
        """Bill, and number messages, from the beginning again."""
        self.metering.reset()
        self.management.reset()

    def report(self, totals: Mapping[str, int]) -> Mapping[str, Any]:
        """Return the bill."""
        return {"billed": bill(totals)}

    def close(self) -> None:
        """End the faults, leave the bus and close the files."""
        super().close()
        self.table.close()
        self.admission.close()
