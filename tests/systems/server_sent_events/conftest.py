"""A running emulator and peers to drive it, none of which uses our own client."""

import contextlib
import http.client
import json

import pytest

from harness.systems.server_sent_events.emulator.process import ServerSentEventsEmulator
from harness.systems.server_sent_events.options import Options
from tests.support.waiting import PATIENCE_S

ROOM = "default/room-0"


class Stream:
    """One stream, read with the standard library's HTTP client."""

    def __init__(self, port, channel=ROOM, **headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self.connection.request("GET", f"/sub/{channel}", headers=headers)
        self.head = self.connection.getresponse()

    def block(self):
        """Return the lines of the next block."""
        lines = []
        while line := self.head.readline().rstrip(b"\n").decode():
            lines.append(line)
        return lines

    def event(self):
        """Return id and data of the next event; other blocks are passed over."""
        while True:
            block = self.block()
            if not block:
                raise EOFError
            fields = [line.partition(": ") for line in block]
            if any(name == "data" for name, _, _ in fields):
                ids = [value for name, _, value in fields if name == "id"]
                return ids[-1], "\n".join(value for name, _, value in fields if name == "data")

    def close(self):
        self.head.close()
        self.connection.close()


class Emulator:
    """A running emulator, and how to talk to it."""

    def __init__(self, processes, opened):
        self.processes = processes
        self._opened = opened
        self.port = processes.port

    def stream(self, channel=ROOM, **headers):
        """Open a stream and read its first block, which tells the reconnection time."""
        stream = Stream(self.processes.realtime_port or self.port, channel, **headers)
        self._opened.callback(stream.close)
        if stream.head.status == 200:
            assert ["retry: 3000"] == stream.block()
        return stream

    def request(self, method, path, body=None, **headers):
        """Return status and text of an answer; each request has a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def publish(self, data, channel=ROOM, **headers):
        """Publish an event; return its id."""
        status, text = self.request("POST", f"/pub/{channel}", data, **headers)
        assert 201 == status, text
        return json.loads(text)["id"]

    def set_faults(self, *faults):
        assert 200 == self.request("POST", "/_emulator/faults", json.dumps(faults))[0]

    def stats(self):
        return json.loads(self.request("GET", "/_emulator/stats")[1])

    def log(self):
        return json.loads(self.request("GET", "/_emulator/log")[1])


@pytest.fixture
def emulate():
    """Start emulators with options of the test's own; they end with it."""
    with contextlib.ExitStack() as running, contextlib.ExitStack() as opened:

        def started(**options):
            return Emulator(
                running.enter_context(ServerSentEventsEmulator.start(Options(**options))), opened
            )

        yield started


@pytest.fixture
def emulator(emulate):
    """An emulator with the options as they are."""
    return emulate()
