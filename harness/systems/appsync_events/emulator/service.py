"""What every connection of one emulator process shares: rules, subscriptions, counts, broadcast."""

import random
from collections.abc import Mapping, Sequence
from operator import methodcaller
from typing import Any

import orjson

from harness.emulation.bus import Parts
from harness.emulation.counters import SHARED_COUNTS
from harness.emulation.emulated_service import EmulatedService
from harness.emulation.scheduler import Intervals
from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import Segments
from harness.systems.appsync_events.emulator.access import Access
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
"""First part of messages between processes about a publish."""


class Service(EmulatedService[Options]):
    """One emulator process, seen from its connections.

    Attributes:
        options: As given, or as last reloaded.
        keep_alive: Sends sessions their keep-alive messages.
        lifetime: Closes sessions at their greatest age.
    """

    OPTIONS = Options
    COUNTS = COUNTS

    access: Access
    handlers: Handlers
    namespaces: Mapping[str, Namespace]

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        self._rng = random.Random(f"{options.seed}/shuffle/{worker_context.index}")
        self.use(options)
        self.admission = Admission(options.quotas, self.faults, self.counters, worker_context)
        self.metering = Metering(self.counters, options.undocumented)
        self.deliveries.outbound = self.admission.outbound
        self.deliveries.overflow = options.undocumented.outbound_overflow
        settle_s = options.subscribe_settle_ms / 1000
        self.hub = Hub(worker_context, self.writer, self.deliveries, settle_s)
        self.keep_alive = Intervals[Any](options.keep_alive_s, methodcaller("keep_alive"))
        self.lifetime = Intervals[Any](options.connection_lifetime_s, methodcaller("end_of_life"))

    def use(self, options: Options) -> None:
        """Apply the options that a running emulator can change, and leave the others.

        Raises:
            HarnessError: If the user's own code cannot be loaded; then nothing has changed.
        """
        access, handlers = Access(options, self.worker_context.folder), Handlers(options)
        # The old handlers still finish what they began.
        self.access, self.handlers = access, handlers
        changed = {name: getattr(options, name) for name in Options.RELOADABLE}
        self.options = self.options.model_copy(update=changed)
        self.namespaces = {namespace.name: namespace for namespace in options.namespaces}

    def broadcast(self, segments: Segments, events: Sequence[str]) -> None:
        """Deliver events to all subscribers of all processes.

        The event loop sends what was written in one turn in no certain order: a publisher's reply
        is to be written in another.
        """
        if not events:
            return
        self.counters.add(PUBLISHED, len(events))
        encoded = [wire.encode_event(event) for event in events]
        if self.options.undocumented.shuffle_deliveries:
            self._rng.shuffle(encoded)
        numbers = self.hub.number_events(len(encoded))
        self.hub.broadcast(segments, encoded, numbers)
        self.bus.publish([_EVENTS, orjson.dumps([numbers, segments]), *encoded])

    def receive(self, parts: Parts) -> None:
        """Deliver what was published in another process."""
        numbers, segments = orjson.loads(parts[1])
        self.hub.broadcast(tuple(segments), parts[2:], numbers)

    def refresh(self) -> None:
        """Bring the bill up to now."""
        self.metering.refresh()

    def reset(self) -> None:
        """Bill, and number events, from the beginning again."""
        self.metering.reset()
        self.hub.reset()

    def report(self, totals: Mapping[str, int]) -> Mapping[str, Any]:
        """Return the bill."""
        return {"billed": bill(totals)}

    def close(self) -> None:
        """End the faults, what handlers still do, and leave the bus."""
        self.handlers.close()
        super().close()
