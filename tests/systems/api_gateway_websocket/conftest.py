"""A running emulator and peers to drive it, none of which uses our own client."""

import contextlib
import json
import ssl

import pytest
from websockets.sync.client import connect as websocket_connect

from harness.systems.api_gateway_websocket.emulator.process import ApiGatewayEmulator
from harness.systems.api_gateway_websocket.options import Options
from tests.support.waiting import PATIENCE_S

ROOM = "/default/room-0"


class Peer:
    """A client made of the ``websockets`` library and hand-written JSON."""

    def __init__(self, socket):
        self.socket = socket

    def say(self, **message):
        self.socket.send(json.dumps(message))

    def hear(self, timeout=PATIENCE_S):
        return json.loads(self.socket.recv(timeout=timeout))

    def ask(self, **message):
        self.say(**message)
        return self.hear()

    def join(self, channel=ROOM):
        assert {"action": "join", "channel": channel} == self.ask(action="join", channel=channel)
        return self

    @property
    def id(self):
        """What the service calls this connection: its error frames tell."""
        return self.ask(action="no such route")["connectionId"]


@pytest.fixture(scope="session")
def shared_emulator():
    """One emulator of one process for all tests that leave nothing behind in it."""
    with ApiGatewayEmulator.start(Options()) as emulator:
        yield emulator


@pytest.fixture
def connect():
    """Open connections to an emulator; they are closed after the test."""
    with contextlib.ExitStack() as opened:

        def open_connection(emulator, *, ca_file=None, query="", **arguments):
            if ca_file is not None:
                arguments["ssl"] = ssl.create_default_context(cafile=ca_file)
            scheme = "ws" if ca_file is None else "wss"
            arguments.setdefault("max_size", None)
            connection = websocket_connect(
                f"{scheme}://localhost:{emulator.port}/production{query}",
                open_timeout=PATIENCE_S,
                close_timeout=PATIENCE_S,
                proxy=None,
                **arguments,
            )
            return Peer(opened.enter_context(connection))

        yield open_connection
