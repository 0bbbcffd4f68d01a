import asyncio
import contextlib
import json
import socket
import struct
import time

import pytest

from harness.systems.appsync_events.emulator.broadcast import Hub
from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options, Quotas
from tests.fuzz.wire_shapes import frame, header, upgrade
from tests.support.appsync_peers import KEY, MARKER
from tests.support.emulator_process import Stand, Transport, until
from tests.support.http_requests import stats
from tests.support.waiting import PATIENCE_S, wait_for

FIRST = b'\x81\x25{"type":"data","id":"1","event":"{}"}'
CHANNEL = ("default", "a")


@pytest.fixture
def make_hub(tmp_path):
    """Make a hub that tolerates 1,000 unsent bytes, and the process around it."""
    with contextlib.ExitStack() as made:

        def make(*, index=0, processes=1, **arguments):
            stand = made.enter_context(Stand(tmp_path, index=index, processes=processes))
            return Hub(stand.worker_context, stand.writer, stand.deliveries, **arguments), stand

        yield make


def join(hub, stand, pattern=CHANNEL, operation_id="1", unsent_bytes=0):
    """Subscribe a new connection; return its transport."""
    transport = Transport(unsent_bytes=unsent_bytes)
    hub.add(pattern, operation_id, stand.writer.add(transport))
    return transport


def broadcast(hub, segments, events):
    """Deliver events that are numbered from 0."""
    hub.broadcast(segments, events, range(len(events)))


def sent(stand):
    return stand.truth()["deliveries"]["sent"]


async def test_subscribers_with_one_id_share_one_frame(make_hub):
    """The same bytes object goes to all of them: nothing is built per subscriber."""
    hub, stand = make_hub()
    transports = [join(hub, stand) for _ in range(3)]
    broadcast(hub, CHANNEL, [b'"{}"'])
    assert 3 == sent(stand)
    assert [[FIRST]] * 3 == [transport.written for transport in transports]
    assert 1 == len({id(transport.written[0]) for transport in transports})


async def test_events_of_a_batch_leave_in_one_write(make_hub):
    """Each event is a frame of its own, and all frames are written together."""
    hub, stand = make_hub()
    transport = join(hub, stand)
    broadcast(hub, CHANNEL, [b'"{}"', b'"{}"'])
    assert [FIRST * 2] == transport.written
    truth = stand.truth()
    assert (2, 2) == (truth["deliveries"]["sent"], truth["deliveries"]["steps"])
    assert 2 * len(FIRST) == truth["bytes_out"]


async def test_delivery_is_metered_in_steps_of_5_kb(make_hub):
    """12 KB to ten subscribers are 30 steps."""
    hub, stand = make_hub()
    for _ in range(10):
        join(hub, stand)
    broadcast(hub, CHANNEL, [b'"%b"' % (b"x" * 12 * 1024)])
    assert 30 == stand.truth()["deliveries"]["steps"]


async def test_subscriber_that_does_not_read_is_dropped_and_the_others_served(make_hub):
    """Past its limit a transport is given nothing more and cut off; the delivery was owed."""
    hub, stand = make_hub()
    past, full = (join(hub, stand, unsent_bytes=unsent) for unsent in (1001, 1000))
    broadcast(hub, CHANNEL, [b'"{}"'])
    assert ("aborted", [], [FIRST]) == (past.ended, past.written, full.written)
    truth = stand.truth()
    assert 1 == truth["disconnects"]["slow_subscriber"]
    assert 1 == truth["deliveries"]["dropped"]["slow_subscriber"]
    assert 2 == truth["deliveries"]["owed"]


async def test_subscriber_that_has_just_gone_is_passed_over(make_hub):
    """A lost connection is neither written to nor owed anything, and those after it are served."""
    hub, stand = make_hub()
    gone, stays = (join(hub, stand, unsent_bytes=unsent) for unsent in (1001, 0))
    gone.closing = True
    broadcast(hub, CHANNEL, [b'"{}"'])
    assert ("", [], [FIRST]) == (gone.ended, gone.written, stays.written)
    assert 1 == stand.truth()["deliveries"]["owed"]


async def test_removed_subscription_gets_nothing(make_hub):
    """Only the subscription that was removed ends."""
    hub, stand = make_hub()
    transport = Transport()
    connection = stand.writer.add(transport)
    hub.add(("default", "*"), "1", connection)
    hub.add(CHANNEL, "2", connection)
    assert 2 == stand.truth()["subscriptions"]
    hub.remove(CHANNEL, "2", connection)
    broadcast(hub, CHANNEL, [b'"{}"'])
    hub.remove(("default", "*"), "1", connection)
    broadcast(hub, CHANNEL, [b'"{}"'])
    assert [FIRST] == transport.written
    assert 0 == stand.truth()["subscriptions"]


async def test_subscription_is_owed_nothing_until_it_has_settled(make_hub):
    """What passes it by is counted apart; ended before, it never gets anything."""
    hub, stand = make_hub(settle_s=0.05)
    waits = join(hub, stand)
    connection = stand.writer.add(Transport())
    hub.add(("default", "*"), "1", connection)
    hub.remove(("default", "*"), "1", connection)
    broadcast(hub, CHANNEL, [b'"{}"', b'"{}"'])
    broadcast(hub, ("default", "b"), [b'"{}"'])
    truth = stand.truth()
    assert (2, 0) == (truth["deliveries"]["settling"], truth["deliveries"]["owed"])
    assert 1 == truth["subscriptions"]
    due_s = time.monotonic() + 0.05
    await until(lambda: time.monotonic() >= due_s)
    broadcast(hub, CHANNEL, [b'"{}"'])
    assert [FIRST] == waits.written
    assert (2, 1) == (stand.truth()["deliveries"]["settling"], sent(stand))


async def test_events_are_numbered_without_asking_other_processes(make_hub):
    """Process 1 of 3 numbers its own events 1, 4, 7; a fault finds them by these numbers."""
    hub, stand = make_hub(processes=3, index=1)
    transport = join(hub, stand)
    assert [[1], [4, 7], [10]] == [hub.number_events(count) for count in (1, 2, 1)]
    stand.tell({"kind": "drop", "deliveries": [[7, 1]]})
    hub.broadcast(CHANNEL, [b'"{}"', b'"no"', b'"{}"'], numbers=(4, 7, 10))
    assert [FIRST, FIRST] == transport.written
    hub.reset()
    assert [1] == hub.number_events(1)


async def test_fault_hits_single_deliveries_of_a_broadcast(make_hub):
    """Of two subscribers and a batch of two events, one delivery is dropped; the log says which."""
    hub, stand = make_hub()
    first, second = join(hub, stand), join(hub, stand)
    stand.tell({"kind": "drop", "deliveries": [[1, 1]]})
    broadcast(hub, CHANNEL, [b'"{}"', b'"{\\"a\\":1}"'])
    assert 2 == first.got.count(b"data") == 1 + second.got.count(b"data")
    (entry,) = stand.log("dropped")
    assert (1, 1, '{"a":1}') == (entry["event"], entry["subscription"], entry["text"])


class Reader(asyncio.Protocol):
    """Takes what comes and notes when."""

    def __init__(self):
        self.at_s = []
        self.size_bytes = 0
        self.lost = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.size_bytes += len(data)
        self.at_s.append(time.monotonic())

    def connection_lost(self, error):
        self.lost = True


async def have_read(readers, size_bytes):
    await until(lambda: min(reader.size_bytes for reader in readers) > size_bytes)


class Acceptor(asyncio.Protocol):
    """Subscribes whoever connects."""

    def __init__(self, hub, stand):
        self.hub, self.stand = hub, stand

    def connection_made(self, transport):
        self.connection = self.stand.writer.add(transport)
        self.hub.add(CHANNEL, "1", self.connection)

    def connection_lost(self, error):
        self.hub.remove(CHANNEL, "1", self.connection)
        self.stand.writer.remove(self.connection)


async def test_slow_client_costs_a_fixed_amount_of_memory_and_delays_nobody(make_hub):
    """On real sockets: its buffer never holds more than the limit and one broadcast."""
    limit_bytes, event_bytes = 300_000, 50_000
    hub, stand = make_hub()
    stand.writer.buffer_limit_bytes = limit_bytes
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Acceptor(hub, stand), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    readers = [(await loop.create_connection(Reader, *address))[1] for _ in range(5)]
    slow = (await loop.create_connection(Reader, *address))[1]
    slow.transport.pause_reading()
    await until(lambda: len(stand.writer.open) == 6)
    largest_bytes = broadcasts = 0
    while len(stand.writer.open) == 6:
        broadcast(hub, CHANNEL, [b'"%b"' % (b"x" * event_bytes)])
        broadcasts += 1
        unsent = [connection.transport.get_write_buffer_size() for connection in stand.writer.open]
        largest_bytes = max(largest_bytes, *unsent)
        await have_read(readers, broadcasts * event_bytes)
        assert broadcasts < 1000
    assert limit_bytes < largest_bytes <= limit_bytes + event_bytes + 100
    truth = stand.truth()
    assert (5, 5) == (truth["connections"], truth["subscriptions"])
    assert 1 == truth["disconnects"]["slow_subscriber"]
    for one in (*readers, slow):
        one.transport.abort()
    server.close()
    await until(lambda: not stand.writer.open)


async def test_reset_reaches_the_client_as_a_reset(make_hub):
    """On real sockets: its read fails with ECONNRESET, not with the end of the stream."""
    hub, stand = make_hub()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Acceptor(hub, stand), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.settimeout(PATIENCE_S)
        await until(lambda: stand.writer.open)
        (connection,) = stand.writer.open
        assert f"127.0.0.1:{client.getsockname()[1]}" == connection.peer
        stand.tell({"kind": "disconnect"})
        await until(lambda: not stand.writer.open)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    server.close()


def subscribe_with_bare_socket(emulator, stack):
    """Join with a socket that reads its confirmation and then nothing more."""
    stuck = stack.enter_context(socket.create_connection(("127.0.0.1", emulator.port)))
    stuck.settimeout(PATIENCE_S)
    message = {"type": "subscribe", "id": "1", "channel": "/default/a", "authorization": KEY}
    subprotocols = f"{MARKER}, {header(KEY)}".encode()
    stuck.sendall(upgrade(subprotocols=subprotocols) + frame(json.dumps(message).encode()))
    heard = b""
    while b"subscribe_success" not in heard:
        heard += stuck.recv(4096)
    return stuck


def test_subscriber_that_never_reads_is_disconnected_without_delaying_the_others(connect, options):
    """On a real socket: its buffer is bounded, it is cut off and counted, the others get all."""
    bounded = Options(**options, subscriber_buffer_bytes=200_000)
    with AppSyncEventsEmulator.start(bounded) as emulator, contextlib.ExitStack() as stack:
        reader = connect(emulator)
        reader.subscribe("1", "/default/a")
        subscribe_with_bare_socket(emulator, stack)
        sent = 0
        while stats(emulator)["disconnects"]["slow_subscriber"] == 0:
            assert sent < 200
            assert "publish_success" == reader.publish("/default/a", "x" * 200_000)["type"]
            assert "data" == reader.hear()["type"]
            sent += 1
        wait_for(lambda: stats(emulator)["connections"] == 1)
        after = stats(emulator)
        assert (1, 1) == (after["disconnects"]["slow_subscriber"], after["subscriptions"])
        assert "publish_success" == reader.publish("/default/a", 1)["type"]
        assert "1" == reader.hear()["event"]


def test_subscribers_that_break_off_rob_nobody_of_an_event(connect, options, capfd):
    """While connections are reset between publishes, the others get every event."""
    unlimited = Options(**options, quotas=Quotas(enabled=False))
    with AppSyncEventsEmulator.start(unlimited) as emulator, contextlib.ExitStack() as stack:
        leaving = [subscribe_with_bare_socket(emulator, stack) for _ in range(60)]
        reader, publisher = connect(emulator), connect(emulator)
        reader.subscribe("1", "/default/a")
        # Two publishes that arrive together are fanned out before a reset in between is noticed.
        publish = {"type": "publish", "id": "p", "channel": "/default/a", "events": ["1"] * 5}
        for subscriber in leaving:
            subscriber.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for _ in range(2):
                publisher.say(**publish, authorization={"x-api-key": "da2-test"})
            subscriber.close()
        assert {"publish_success"} == {publisher.hear()["type"] for _ in range(120)}
        assert ["1"] * 600 == [reader.hear()["event"] for _ in range(600)]
        wait_for(lambda: stats(emulator)["connections"] == 2)
    assert ("", "") == capfd.readouterr()
