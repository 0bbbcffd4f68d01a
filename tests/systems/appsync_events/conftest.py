"""A running emulator and peers to drive it, none of which uses our own client."""

import base64
import contextlib
import json
import logging
import ssl
import urllib.request
from functools import partial

import pytest
from websockets.sync.client import connect as websocket_connect

from harness.systems.appsync_events.emulator import start
from harness.systems.appsync_events.options import Options
from tests.systems.appsync_events.handler_stand import Stand

KEY = {"host": "localhost", "x-api-key": "da2-test"}
MARKER = "aws-appsync-event-ws"
TIMEOUT_S = 10


class Peer:
    """A client made of the ``websockets`` library and hand-written JSON."""

    def __init__(self, socket):
        self.socket = socket

    def say(self, **message):
        self.socket.send(json.dumps(message))

    def hear(self):
        return json.loads(self.socket.recv(timeout=TIMEOUT_S))

    def ask(self, **message):
        self.say(**message)
        return self.hear()

    def subscribe(self, operation_id, channel, authorization=KEY):
        return self.ask(
            type="subscribe", id=operation_id, channel=channel, authorization=authorization
        )

    def publish(self, channel, *events, authorization=KEY):
        """Publish values as JSON texts; return the answer, which comes before any delivery."""
        texts = [json.dumps(event) for event in events]
        return self.ask(
            type="publish", id="p", channel=channel, events=texts, authorization=authorization
        )

    def hear_nothing_more(self):
        """Fail if anything is left to hear: the answer to a question must come next."""
        answer = self.ask(type="unsubscribe", id="nothing-more")
        assert "unsubscribe_error" == answer["type"], answer


def header(authorization):
    """Encode credentials for the subprotocol, with the standard library alone."""
    text = json.dumps(authorization).encode()
    return "header-" + base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.fixture(scope="session")
def options():
    """Options every emulator of these tests shares unless it says otherwise."""
    return {"api_keys": ("da2-other", "da2-test"), "namespaces": ("default", "second")}


@pytest.fixture(scope="session")
def shared_emulator(options):
    """One emulator of one process for all tests that leave nothing behind in it."""
    with start(Options(**options)) as emulator:
        yield emulator


def open_connection(
    opened, emulator, authorization=KEY, *, subprotocols=None, ca_file=None, query="", **arguments
):
    """Connect one peer, which ``opened`` will close."""
    if ca_file is not None:
        arguments["ssl"] = ssl.create_default_context(cafile=ca_file)
    scheme = "ws" if ca_file is None else "wss"
    connection = websocket_connect(
        f"{scheme}://localhost:{emulator.port}/event/realtime{query}",
        subprotocols=subprotocols or [MARKER, header(authorization)],
        open_timeout=TIMEOUT_S,
        close_timeout=TIMEOUT_S,
        proxy=None,
        **arguments,
    )
    return Peer(opened.enter_context(connection))


@pytest.fixture(scope="session")
def impatient_emulator(options):
    """An emulator whose keep-alive is due soon."""
    with start(Options(**options, keep_alive_s=0.4)) as emulator:
        yield emulator


@pytest.fixture
def connect():
    """Open connections to an emulator; they are closed after the test."""
    with contextlib.ExitStack() as opened:
        yield partial(open_connection, opened)


@pytest.fixture
def peer(connect, shared_emulator):
    """One connection to the shared emulator."""
    return connect(shared_emulator)


@pytest.fixture
def stats():
    """Read an emulator's counts over HTTP."""

    def read(emulator):
        with urllib.request.urlopen(f"http://127.0.0.1:{emulator.port}/_emulator/stats") as answer:
            return json.loads(answer.read())

    return read


@pytest.fixture
def javascript(tmp_path):
    """Make handlers of JavaScript code."""
    stands = []

    def make(code, **namespace):
        file = tmp_path / f"handlers-{len(stands)}.js"
        file.write_text(code, encoding="utf-8")
        stands.append(Stand(code=str(file), **namespace))
        return stands[-1]

    yield make
    for made in stands:
        made.__exit__()


@pytest.fixture
def evaluate(javascript):
    """Return the value that an expression has in a handler."""

    def value_of(expression, **context):
        code = f"""
            export const onPublish = (ctx) =>
                ctx.events.map(({{ id }}) => ({{ id, payload: {expression} }}))
        """
        (value,) = javascript(code).broadcast(None, **context)
        return value

    return value_of


@pytest.fixture
def handlers_said(caplog):
    """Return what handlers have told the log, as levels and texts."""
    caplog.set_level(logging.INFO, logger="harness.handlers")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]
