"""Raw peers of the emulator: ``websockets``, ``http.client`` and JSON; nothing of ours."""

import base64
import contextlib
import http.client
import json
import ssl
from typing import NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket_connect

from tests.support.waiting import PATIENCE_S

MARKER = "aws-appsync-event-ws"
API_KEY = "da2-test"
KEY = {"host": "localhost", "x-api-key": API_KEY}

UNAUTHORIZED = {
    "errorType": "UnauthorizedException",
    "message": "You are not authorized to make this call.",
}


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

    def subscribe(self, operation_id, channel, authorization=KEY):
        return self.ask(
            type="subscribe", id=operation_id, channel=channel, authorization=authorization
        )

    def publish(self, channel, *events, authorization=KEY):
        """Publish values as JSON texts; the answer comes before any delivery."""
        texts = [json.dumps(event) for event in events]
        return self.ask(
            type="publish", id="p", channel=channel, events=texts, authorization=authorization
        )

    def heard_before_next_answer(self):
        """Return all that comes before the answer to a question asked now."""
        self.say(type="unsubscribe", id="nobody")
        heard = []
        while (message := self.hear())["type"] != "unsubscribe_error":
            heard.append(message)
        return heard

    def hear_nothing_more(self):
        """Fail if anything is left to hear: the answer to a question must come next."""
        assert [] == self.heard_before_next_answer()

    def close_code(self):
        """Return the code with which the server closes; nothing else may come before."""
        with pytest.raises(ConnectionClosed) as caught:
            self.hear()
        return caught.value.rcvd and caught.value.rcvd.code


class Answer(NamedTuple):
    """The answer to one HTTP request."""

    status: int
    body: dict[str, object] | None
    headers: http.client.HTTPMessage


def header(authorization):
    """Encode credentials for the subprotocol, with the standard library alone."""
    text = json.dumps(authorization).encode()
    return "header-" + base64.urlsafe_b64encode(text).decode().rstrip("=")


def open_peer(
    opened,
    emulator,
    authorization=KEY,
    *,
    subprotocols=None,
    headers=None,
    ca_file=None,
    query="",
    **more,
):
    """Connect one peer, which ``opened`` will close; over TLS where it is given whom to trust."""
    scheme = "ws" if ca_file is None else "wss"
    if ca_file is not None:
        more["ssl"] = ssl.create_default_context(cafile=ca_file)
    connection = websocket_connect(
        f"{scheme}://localhost:{emulator.port}/event/realtime{query}",
        subprotocols=subprotocols or [MARKER, header(authorization)],
        additional_headers=headers,
        open_timeout=PATIENCE_S,
        close_timeout=PATIENCE_S,
        proxy=None,
        **more,
    )
    return Peer(opened.enter_context(connection))


def request(emulator, method, path, body=None, headers=None, context=None):
    """Make one HTTP request with the standard library, over TLS where the emulator has it.

    Without a TLS context of its own, it trusts the emulator's authority.
    """
    ca_file = emulator.folder / "ca.pem"
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=PATIENCE_S)
    if ca_file.exists():
        context = context or ssl.create_default_context(cafile=ca_file)
        connection = http.client.HTTPSConnection(
            "localhost", emulator.port, timeout=PATIENCE_S, context=context
        )
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        return Answer(answer.status, json.loads(text) if text else None, answer.headers)


def body(channel, *events):
    """Return the body of an HTTP publish of values as JSON texts."""
    return {"channel": channel, "events": [json.dumps(event) for event in events]}


def post(emulator, body, headers=None):
    """Publish over HTTP, with the API key unless other headers are given."""
    text = body if isinstance(body, bytes) else json.dumps(body)
    headers = {"x-api-key": API_KEY} if headers is None else headers
    return request(emulator, "POST", "/event", text, headers)


def error_types(answer):
    return [error["errorType"] for error in answer["errors"]]


def stats(emulator):
    """Return what an emulator has counted."""
    return request(emulator, "GET", "/_emulator/stats").body


def issue_token(emulator, mode, **how):
    """Let the emulator's own issuer sign a token of a user pool or of OpenID Connect."""
    answer = request(emulator, "POST", "/_emulator/tokens", json.dumps({"mode": mode, **how}))
    return answer.body["token"]
