"""A running emulator and peers to drive it, none of which uses our own client."""

import contextlib

import pytest

from harness.systems.api_gateway_websocket.emulator.process import ApiGatewayEmulator
from harness.systems.api_gateway_websocket.options import Options
from tests.support import websocket_peers
from tests.support.websocket_peers import open_socket

ROOM = "/default/room-0"


class Peer(websocket_peers.Peer):
    """A client in the channels of the backend."""

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

        def open_connection(emulator, *, query="", **how):
            how = {"max_size": None, **how}
            return Peer(open_socket(opened, emulator, f"/production{query}", **how))

        yield open_connection
