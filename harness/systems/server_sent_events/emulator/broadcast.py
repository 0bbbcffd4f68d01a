"""Fan-out inside one process: who listens to which channel, and one chunk for all of them.

As with every emulator a delivery costs one write to a transport; only where a fault or a server's
capacity may touch a broadcast is each of its deliveries looked at by itself.
"""

import time
from collections.abc import Sequence

import orjson

from harness.core.channels import channels_named, names_of
from harness.emulation.connection_writer import Batch, Connection, Transport
from harness.emulation.counters import OWED
from harness.emulation.deliveries import Deliveries, Frame, Subscription
from harness.systems.server_sent_events import wire
from harness.systems.server_sent_events.emulator.events import Event, History
from harness.systems.server_sent_events.emulator.write_queues import QueuedWriter
from harness.systems.server_sent_events.options import Options

REPLAYED = "deliveries.replayed"

_Group = dict[Transport, Subscription]


class Hub:
    """The listeners of one process, and what can be replayed to those who come back."""

    def __init__(self, options: Options, writer: QueuedWriter, deliveries: Deliveries) -> None:
        self._options = options
        self._writer = writer
        self._deliveries = deliveries
        self._groups: dict[str, _Group] = {}
        self._histories: dict[str, History] = {}
        self._last_number = self._base_number = 0

    def reset(self) -> None:
        """Number events for faults from the beginning again; their ids go on."""
        self._base_number = self._last_number

    def add(self, names: Sequence[str], connection: Connection) -> None:
        """Deliver to a connection, once each, what is published to any of these channels."""
        subscription = self._deliveries.subscribe(connection)
        for name in names:
            self._groups.setdefault(name, {})[connection.transport] = subscription

    def remove(self, names: Sequence[str], connection: Connection) -> None:
        """End what ``add`` began."""
        ended = [self._leave(name, connection) for name in names]
        self._deliveries.unsubscribe(ended[0])

    def _leave(self, name: str, connection: Connection) -> Subscription:
        group = self._groups[name]
        subscription = group.pop(connection.transport)
        if not group:
            del self._groups[name]
        return subscription

    def replay(self, names: Sequence[str], last_event_id: str) -> bytes:
        """Return what a client has missed since the event with this id, and count it.

        Ids rise over all channels, so those of several are put in one order by them. An id that is
        none of ours, or that is no number, replays nothing.
        """
        if not last_event_id.isdecimal():
            return b""
        number = int(last_event_id)
        histories = [self._histories[each] for each in channels_named(names, self._histories)]
        missed = sorted(event for history in histories for event in history.after(number))
        self._deliveries.counters.add(REPLAYED, len(missed))
        return b"".join(map(_encoded, missed))

    def keep(self, event: Event) -> None:
        """Note an event for those who come back."""
        self._last_number = event.number
        history = self._histories.get(event.channel)
        if history is None:
            history = History(self._options.replay_events, self._options.replay_age_s)
            self._histories[event.channel] = history
        history.add(event)

    def broadcast(self, event: Event) -> None:
        """Deliver an event to all who listen to its channel."""
        self.keep(event)
        group = self._listeners(event.channel)
        if not group:
            return
        frames = chunk(_encoded(event))
        number = event.number - 1 - self._base_number
        if not self._deliveries.all_pass((number,), len(group), 0):
            text = orjson.dumps(event.data.decode("utf-8", "replace"))
            frame = Frame(number, Batch(frames, deliveries=1), text)
            now_s = time.monotonic()
            for subscription in group.values():
                self._deliveries.send(subscription, (frame,), now_s)
        elif self._writer.queues:
            self._queue(frames, group)
        else:
            self._write(frames, group)

    def _listeners(self, channel: str) -> _Group:
        """Return who listens to a channel by any of its names, each connection once."""
        found = [self._groups[name] for name in names_of(channel) if name in self._groups]
        if len(found) == 1:
            return found[0]
        return {transport: one for group in found for transport, one in group.items()}

    def _queue(self, frames: bytes, group: _Group) -> None:
        """Leave the deliveries to the servers of those who listen."""
        batch = Batch(frames, deliveries=1)
        connections = [subscription.connection for subscription in group.values()]
        listening = [
            connection for connection in connections if self._writer.is_listening(connection)
        ]
        self._deliveries.counters.add(OWED, len(listening))
        for connection in listening:
            connection.deliver(batch)

    def _write(self, frames: bytes, group: _Group) -> None:
        """Write an event as it is to all of a group, and count that."""
        written, stuck = self._writer.write_to_all(frames, group)
        self._deliveries.count_written(written, stuck, written * len(frames))


def _encoded(event: Event) -> bytes:
    return wire.encode_event(event.data, b"%d" % event.number)


def chunk(data: bytes) -> bytes:
    """Return data as one chunk of a body in the chunked coding (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
