import contextlib
import json
import socket
import struct
import time

import pytest

from harness.emulation.options import EmulatorOptions
from harness.systems.appsync_events.emulator import start
from harness.systems.appsync_events.emulator_broadcast import Hub

FIRST = b'\x81\x25{"type":"data","id":"1","event":"{}"}'


class Transport:
    """Takes what is written and tells how much of it is still unsent."""

    def __init__(self, unsent_bytes=0, *, closing=False):
        self.unsent_bytes = unsent_bytes
        self.closing = closing
        self.written = []

    def is_closing(self):
        return self.closing

    def get_write_buffer_size(self):
        return self.unsent_bytes

    def write(self, data):
        self.written.append(data)


@pytest.fixture
def dropped():
    """Transports that the hub gave up."""
    return []


@pytest.fixture
def hub(dropped):
    """A hub that tolerates 100 unsent bytes."""
    return Hub(100, dropped.append)


def test_subscribers_with_one_id_share_one_frame(hub):
    """The same bytes object goes to all of them: nothing is built per subscriber."""
    transports = [Transport() for _ in range(3)]
    for transport in transports:
        hub.add(("default", "a"), "1", transport)
    assert 3 == hub.broadcast(("default", "a"), [b'"{}"'])
    assert [[FIRST]] * 3 == [transport.written for transport in transports]
    assert 1 == len({id(transport.written[0]) for transport in transports})


def test_events_of_a_batch_leave_in_one_write(hub):
    """Each event is a frame of its own, and all frames are written together."""
    transport = Transport()
    hub.add(("default", "a"), "1", transport)
    assert 2 == hub.broadcast(("default", "a"), [b'"{}"', b'"{}"'])
    assert [FIRST * 2] == transport.written


def test_subscriber_that_does_not_read_is_dropped_and_the_others_served(hub, dropped):
    """Past its limit a transport is given nothing more and handed over to be cut off."""
    full, past = Transport(100), Transport(101)
    hub.add(("default", "a"), "1", past)
    hub.add(("default", "a"), "1", full)
    assert 1 == hub.broadcast(("default", "a"), [b'"{}"'])
    assert ([past], [], [FIRST]) == (dropped, past.written, full.written)


def test_subscriber_that_has_just_gone_is_passed_over(hub, dropped):
    """A lost connection is neither written to nor counted, and those after it are served."""
    gone, stays = Transport(101, closing=True), Transport()
    hub.add(("default", "a"), "1", gone)
    hub.add(("default", "a"), "1", stays)
    assert 1 == hub.broadcast(("default", "a"), [b'"{}"'])
    assert ([], [], [FIRST]) == (dropped, gone.written, stays.written)


def test_removed_subscription_gets_nothing(hub):
    """Only the subscription that was removed ends."""
    transport = Transport()
    hub.add(("default", "*"), "1", transport)
    hub.add(("default", "a"), "2", transport)
    hub.remove(("default", "a"), "2", transport)
    assert 1 == hub.broadcast(("default", "a"), [b'"{}"'])
    hub.remove(("default", "*"), "1", transport)
    assert 0 == hub.broadcast(("default", "a"), [b'"{}"'])
    assert [FIRST] == transport.written


def subscribe_with_bare_socket(emulator, stack):
    """Join with a socket that reads its confirmation and then nothing more."""
    stuck = stack.enter_context(socket.create_connection(("127.0.0.1", emulator.port)))
    stuck.settimeout(10)
    stuck.sendall(
        b"GET /event/realtime HTTP/1.1\r\nHost: \r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nx-api-key: da2-test\r\n"
        b"Sec-WebSocket-Protocol: aws-appsync-event-ws\r\n\r\n"
    )
    text = json.dumps(
        {
            "type": "subscribe",
            "id": "1",
            "channel": "/default/a",
            "authorization": {"x-api-key": "da2-test"},
        }
    ).encode()
    # The mask is zero, so the text stands in the frame as it is.
    stuck.sendall(b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text)
    heard = b""
    while b"subscribe_success" not in heard:
        heard += stuck.recv(4096)
    return stuck


def test_subscriber_that_never_reads_is_disconnected_without_delaying_the_others(
    connect, options, stats
):
    """On a real socket: its buffer is bounded, it is cut off and counted, the others get all."""
    bounded = EmulatorOptions(**options, subscriber_buffer_bytes=200_000)
    with start(bounded) as emulator, contextlib.ExitStack() as stack:
        reader = connect(emulator)
        reader.subscribe("1", "/default/a")
        subscribe_with_bare_socket(emulator, stack)
        sent, slowest_s = 0, 0.0
        while stats(emulator)["slow_subscribers_dropped"] == 0:
            assert sent < 200
            before_s = time.monotonic()
            assert "publish_success" == reader.publish("/default/a", "x" * 200_000)["type"]
            assert "data" == reader.hear()["type"]
            slowest_s = max(slowest_s, time.monotonic() - before_s)
            sent += 1
        assert slowest_s < 2.0
        deadline_s = time.monotonic() + 10
        while stats(emulator)["connections"] != 1:
            assert time.monotonic() < deadline_s
        after = stats(emulator)
        assert (1, 1) == (after["slow_subscribers_dropped"], after["subscriptions"])
        assert "publish_success" == reader.publish("/default/a", 1)["type"]
        assert "1" == reader.hear()["event"]


def test_subscribers_that_break_off_rob_nobody_of_an_event(connect, options, stats, capfd):
    """While connections are reset between publishes, the others get every event."""
    with start(EmulatorOptions(**options)) as emulator, contextlib.ExitStack() as stack:
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
        deadline_s = time.monotonic() + 10
        while stats(emulator)["connections"] != 2:
            assert time.monotonic() < deadline_s
    assert ("", "") == capfd.readouterr()
