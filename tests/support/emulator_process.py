"""An emulator process without sockets: all that faults pass through, and fake connections."""

import asyncio
import time

import uvloop
from pydantic import TypeAdapter

from harness.emulation.connection_writer import Batch, ConnectionWriter
from harness.emulation.counters import OWED, SHARED_COUNTS, Counters, nested
from harness.emulation.deliveries import Deliveries, Frame
from harness.emulation.fault_log import read_fault_logs
from harness.emulation.faults import Faults
from harness.emulation.scheduler import Scheduler
from harness.emulation.worker import WorkerContext
from harness.scenario.faults import Faults as FaultModels
from tests.support.waiting import PATIENCE_S


def run(main):
    """Run a test's coroutine on the loop that emulators use."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(main, PATIENCE_S))


async def until(condition):
    """Wait until a condition holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.001)


class Socket:
    """Takes the options that a reset sets."""

    def __init__(self):
        self.options = []

    def fileno(self):
        return -1

    def setsockopt(self, *option):
        self.options.append(option)


class Transport(asyncio.WriteTransport):
    """Takes what is written, one byte an event, and tells how much of it is still unsent."""

    def __init__(self, port=0, unsent_bytes=0):
        self.port = port
        self.unsent_bytes = unsent_bytes
        self.closing = False
        self.ended = ""
        self.socket = Socket()
        self.written = []

    @property
    def got(self):
        return b"".join(self.written)

    def is_closing(self):
        return self.closing

    def get_write_buffer_size(self):
        return self.unsent_bytes

    def write(self, data):
        self.written.append(data)

    def abort(self):
        self.closing, self.ended = True, "aborted"

    def close(self):
        self.closing, self.ended = True, "closed"

    def get_extra_info(self, name, default=None):
        return {"peername": ("127.0.0.1", self.port), "socket": self.socket}.get(name, default)


class Stand:
    """One process, to which connections come and whose events are single bytes."""

    def __init__(self, folder, *, index=0, processes=1, seed=0, outbound=None, overflow="delay"):
        self.folder = folder
        self.worker_context = WorkerContext(folder, index, processes)
        self.counters = Counters(self.worker_context, SHARED_COUNTS)
        self.writer = ConnectionWriter(self.worker_context, self.counters, 1000)
        self.scheduler = Scheduler()
        self.faults = Faults(self.worker_context, self.writer, self.scheduler, seed)
        self.deliveries = Deliveries(self.worker_context, self.writer, self.faults, self.scheduler)
        self.deliveries.outbound, self.deliveries.overflow = outbound, overflow
        self.subscriptions = []
        self.events = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.faults.close()

    def join(self, count=1):
        """Open connections with one subscription each; return the transports."""
        transports = [Transport(port=1000 + len(self.subscriptions) + n) for n in range(count)]
        for transport in transports:
            self.subscriptions.append(self.deliveries.subscribe(self.writer.add(transport)))
        return transports

    def tell(self, *faults, label="test"):
        """Play these faults from now on."""
        self.faults.play(TypeAdapter(FaultModels).validate_python(faults), time.monotonic(), label)

    def broadcast(self, *events, steps=1):
        """Deliver a batch of events to every subscription, as an emulator does."""
        first, count = self.events, len(events)
        self.events += count
        reached = len(self.subscriptions)
        frames = [
            Frame(first + place, Batch(event, deliveries=1, steps=steps), b'"%b"' % event)
            for place, event in enumerate(events)
        ]
        numbers = range(first, first + count)
        passes = self.deliveries.all_pass(numbers, reached * count, reached * count * steps)
        for subscription in self.subscriptions:
            if passes:
                self.counters.add(OWED, count)
                for frame in frames:
                    subscription.connection.deliver(frame.batch)
            else:
                self.deliveries.send(subscription, frames, time.monotonic())

    def broadcast_each(self, *events):
        """Deliver events one after the other."""
        for event in events:
            self.broadcast(event)

    def truth(self, gone=()):
        """Return the counts as tables, having checked that no delivery is unaccounted for."""
        deliveries = nested(self.counters.totals(gone))["deliveries"]
        known = deliveries["sent"] + sum(deliveries["dropped"].values()) + deliveries["pending"]
        assert deliveries["owed"] == known
        return nested(self.counters.totals(gone))

    def counted(self, *names):
        """Return these counts of deliveries."""
        deliveries = self.truth()["deliveries"]
        return tuple(deliveries[name] for name in names)

    def log(self, what):
        """Return the entries of one kind."""
        return [entry for entry in read_fault_logs(self.folder) if entry["what"] == what]
