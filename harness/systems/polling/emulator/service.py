"""What every connection of one emulator process shares: the messages, the counts, the faults."""

import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from harness.core.channels import channels_named
from harness.emulation.bus import Bus, Parts
from harness.emulation.connection_writer import ConnectionWriter
from harness.emulation.control import MARK, Control, GroundTruth
from harness.emulation.counters import SHARED_COUNTS, Counters
from harness.emulation.deliveries import Deliveries
from harness.emulation.faults import Faults
from harness.emulation.quotas import Rate
from harness.emulation.scheduler import Scheduler
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
    EXPIRED,  # asked for when the channel had no longer room for them
)
"""What the emulator counts. A delivery is owed when a poll asks for it."""

_EVENT = b"event"
"""First part of what processes tell each other of a publish."""


def make_files(folder: Path, processes: int) -> None:
    """Write what the processes share before they start."""
    Counters.make_table(folder / "counters", processes, len(COUNTS))
    Rate.make_table(folder / "requests", processes)


def no_close_frame(_code: int) -> bytes:
    """Return what is said before a connection is closed: nothing, in HTTP."""
    return b""


class Service:
    """One emulator process, seen from its connections; made inside the running event loop.

    Args:
        options: How the emulator is set up.
        worker_context: The place of this process among those that make up the emulator.

    Attributes:
        options: As given.
        processes: How many there are.
        counters: Row of ``COUNTS`` of this process.
        writer: Its connections.
        faults: What goes wrong on purpose.
        scheduler: What is to be done later.
        deliveries: How late they left that were delayed.
        quota: Of requests; None for no limit.
        control: Answers what the emulator did.
        edition: Changes whenever something is published.
    """

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        index = worker_context.index
        self.options = options
        self.processes = worker_context.processes
        self._index = index
        # One that took a killed one's place must not give the same numbers again.
        self._number = worker_context.since_ns
        self._events = index
        self._channels: dict[str, Channel] = {}
        self.edition = 0
        self.scheduler = Scheduler()
        self.counters = Counters(worker_context.folder / "counters", index, COUNTS)
        self.writer = ConnectionWriter(
            self.counters,
            options.subscriber_buffer_bytes,
            index=index,
            processes=worker_context.processes,
            closing=no_close_frame,
        )
        self.faults = Faults(
            self.writer,
            self.scheduler,
            self.counters,
            worker_context.folder,
            index=index,
            seed=options.seed,
        )
        self.deliveries = Deliveries(self.writer, self.faults, self.scheduler)
        rate_per_s = options.requests_per_s
        self.quota = (
            Rate(worker_context.folder / "requests", index, rate_per_s) if rate_per_s else None
        )
        self._bus = Bus(
            worker_context.folder,
            index,
            worker_context.processes,
            self._receive,
            worker_context.since_ns,
        )
        self.control = Control(
            GroundTruth(
                self.counters,
                self.deliveries,
                self.faults,
                report=lambda totals: {
                    "billed": {"polls": totals["polls.answered"] + totals["polls.not_modified"]}
                },
            ),
            worker_context.folder,
            index,
            worker_context.processes,
            self._bus.publish,
        )
        self.faults.play(options.faults, worker_context.started_s, "options")

    def channels_of(self, names: Sequence[str]) -> tuple[Sequence[Channel], Cursor]:
        """Return the channels that a poll asks for, and the cursor of who has seen all in them.

        Args:
            names: As the poll names them; wildcards may be among them.
        """
        found = [self._channels[name] for name in channels_named(names, self._channels)]
        return found, newest_of(found, self.processes)

    def publish(self, name: str, body: bytes) -> None:
        """Keep a message, here and in all other processes.

        Args:
            name: The channel, without a slash at its start.
            body: Its JSON.
        """
        self._number += 1
        now_ns = time.monotonic_ns()
        message = Message(self._index, self._number, self._events, now_ns, body)
        self._events += self.processes
        self.counters.add("events.published")
        self._keep(name, message)
        self._bus.publish([_EVENT, orjson.dumps([name, *message[:-1]]), body])

    def _receive(self, parts: Parts) -> None:
        if parts[0] == MARK:
            self.control.receive(parts)
            return
        name, process, number, event, published_ns = orjson.loads(parts[1])
        self._keep(name, Message(process, number, event, published_ns, bytes(parts[2])))

    def _keep(self, name: str, message: Message) -> None:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(self.processes, self.options.kept_messages)
        channel.add(message)
        self.edition += 1

    def close(self) -> None:
        """Leave the bus, and end what goes wrong."""
        self.faults.close()
        self._bus.close()
