"""Raw WebSocket peers of an emulator: ``websockets`` and JSON; nothing of ours."""

import json
import ssl

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.waiting import PATIENCE_S


class Peer:
    """One WebSocket connection and the questions asked on it."""

    def __init__(self, socket):
        self.socket = socket

    def say(self, **message):
        self.socket.send(json.dumps(message))

    def hear(self):
        return json.loads(self.socket.recv(timeout=PATIENCE_S))

    def ask(self, **message):
        self.say(**message)
        return self.hear()

    def close_code(self):
        """Return the code with which the server closes; nothing else may come before."""
        with pytest.raises(ConnectionClosed) as caught:
            self.hear()
        return caught.value.rcvd and caught.value.rcvd.code


def authority(emulator):
    """Return a TLS context that trusts an emulator's authority; none where it speaks no TLS."""
    ca_file = emulator.folder / "ca.pem"
    return ssl.create_default_context(cafile=ca_file) if ca_file.exists() else None


def open_socket(opened, emulator, path, **how):
    """Return a connection that ``opened`` will close, over TLS where the emulator has it."""
    trust = authority(emulator)
    connection = connect(
        f"{'wss' if trust else 'ws'}://localhost:{emulator.port}{path}",
        ssl=trust,
        open_timeout=PATIENCE_S,
        close_timeout=PATIENCE_S,
        proxy=None,
        **how,
    )
    return opened.enter_context(connection)
