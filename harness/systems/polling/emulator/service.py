"""What every connection of one emulator process shares: the messages, the counts, the faults."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from harness.core.channels import channels_named
from harness.emulation.bus import Parts
from harness.emulation.connection_writer import ConnectionWriter
from harness.emulation.counters import SHARED_COUNTS
from harness.emulation.emulated_service import EmulatedService
from harness.emulation.quotas import Rate
from harness.emulation.worker import WorkerContext
from harness.systems.polling.emulator.store import Channel, Cursor, Message, newest_of
from harness.systems.polling.options import Options

EXPIRED = "deliveries.dropped.expired"

COUNTS = (
    *SHARED_COUNTS,
    "connects.accepted",
    "polls.answered",  # with messages, or with where to begin
    "polls.not_modified",
    "polls.throttled.quota",
    "polls.refused.unauthorized",
    "polls.refused.bad_request",
    "publishes.accepted",
    "publishes.refused.unauthorized",
    "publishes.refused.bad_request",
    "events.published",
    EXPIRED,  # requested when the channel no longer had room for them
)
"""What the emulator counts. A delivery is owed when a poll asks for it."""

_EVENT = b"event"
"""First part of messages between processes about a publish."""


class HttpWriter(ConnectionWriter):
    """The connections of one process."""

    def final_frame(self, _code: int) -> bytes:
        """Return nothing: HTTP closes a connection without a message."""
        return b""


class Service(EmulatedService[Options]):
    """One emulator process, seen from its connections.

    Attributes:
        processes: How many there are.
        quota: Of requests; None for no limit.
        edition: Changes whenever something is published.
    """

    OPTIONS = Options
    COUNTS = COUNTS
    WRITER = HttpWriter

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        self.processes = worker_context.processes
        self._index = worker_context.index
        # One that took a killed one's place must not give the same numbers again.
        self._number = worker_context.since_ns
        self._event_numbers = worker_context.numbers()
        self._channels: dict[str, Channel] = {}
        self.edition = 0
        rate_per_s = options.requests_per_s
        self.quota = Rate(worker_context, "requests", rate_per_s) if rate_per_s else None

    def channels_of(self, names: Sequence[str]) -> tuple[Sequence[Channel], Cursor]:
        """Return the channels that a poll names, and the cursor of who has seen all in them."""
        found = [self._channels[name] for name in channels_named(names, self._channels)]
        return found, newest_of(found, self.processes)

    def publish(self, name: str, body: bytes) -> None:
        """Keep a JSON message of a channel, named without its first slash, in all processes."""
        self._number += 1
        now_ns = time.monotonic_ns()
        message = Message(self._index, self._number, next(self._event_numbers), now_ns, body)
        self.counters.add("events.published")
        self._keep(name, message)
        self.bus.publish([_EVENT, orjson.dumps([name, *message[:-1]]), body])

    def receive(self, parts: Parts) -> None:
        """Keep a message of another process."""
        name, process, number, event, published_ns = orjson.loads(parts[1])
        self._keep(name, Message(process, number, event, published_ns, bytes(parts[2])))

    def report(self, totals: Mapping[str, int]) -> Mapping[str, Any]:
        """Return the bill."""
        return {"billed": {"polls": totals["polls.answered"] + totals["polls.not_modified"]}}

    def _keep(self, name: str, message: Message) -> None:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(self.processes, self.options.kept_messages)
        channel.add(message)
        self.edition += 1
