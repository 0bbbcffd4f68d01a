"""Raw peers of the AppSync Events emulator: ``websockets`` and ``http.client``; nothing of ours."""

import base64
import contextlib
import http.client
import json
from functools import partial
from typing import NamedTuple

import pytest

from tests.support import websocket_peers
from tests.support.waiting import PATIENCE_S
from tests.support.websocket_peers import authority, open_socket

MARKER = "aws-appsync-event-ws"
API_KEY = "da2-test"
KEY = {"host": "localhost", "x-api-key": API_KEY}

BAD_CHANNELS = [
    "/default/b/c/d/e/f",
    f"/default/{'x' * 51}",
    "/default/a_b",
    "/default/a.b",
    "/default/a b",
    "/default//a",
    "//default/a",
    "/default/a//",
    "/default/-a",
    "/default/a-",
    "/default/é",
    "/default/a\n",
    "",
    "/",
]
"""Outside the grammar, whatever is done with them."""

UNAUTHORIZED = {
    "errorType": "UnauthorizedException",
    "message": "You are not authorized to make this call.",
}


class Peer(websocket_peers.Peer):
    """One WebSocket connection and the operations on it."""

    def init(self):
        """Send connection_init; return the type of the answer."""
        return self.ask(type="connection_init")["type"]

    def subscribe(self, operation_id, channel, authorization=KEY):
        return self.ask(
            type="subscribe", id=operation_id, channel=channel, authorization=authorization
        )

    def publish(self, channel, *events, authorization=KEY):
        """Publish values as JSON texts; the answer comes before any delivery."""
        return self.publish_texts(channel, *map(json.dumps, events), authorization=authorization)

    def publish_texts(self, channel, *texts, authorization=KEY):
        """Publish texts as they are, which should be JSON."""
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

    def events_before_next_answer(self):
        """Return the events that come before the answer to a question asked now."""
        return [message["event"] for message in self.heard_before_next_answer()]

    def hear_nothing_more(self):
        """Fail if anything is left to hear: the answer to a question must come next."""
        assert [] == self.heard_before_next_answer()


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
    opened, emulator, authorization=KEY, *, subprotocols=None, headers=None, query="", **more
):
    """Connect one peer, which ``opened`` will close."""
    return Peer(
        open_socket(
            opened,
            emulator,
            f"/event/realtime{query}",
            subprotocols=subprotocols or [MARKER, header(authorization)],
            additional_headers=headers,
            **more,
        )
    )


@pytest.fixture
def connect():
    """Open connections to an emulator; they are closed after the test."""
    with contextlib.ExitStack() as opened:
        yield partial(open_peer, opened)


def request(emulator, method, path, body=None, headers=None, context=None):
    """Make one HTTP request with the standard library, over TLS where the emulator has it.

    Without a TLS context of its own, it trusts the emulator's authority.
    """
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=PATIENCE_S)
    if trust := authority(emulator):
        connection = http.client.HTTPSConnection(
            "localhost", emulator.port, timeout=PATIENCE_S, context=context or trust
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


def refusal(answer):
    """Return the error types of an answer behind its type or, over HTTP, its status."""
    if isinstance(answer, Answer):
        return answer.status, error_types(answer.body)
    return answer["type"], error_types(answer)


def stats(emulator):
    """Return what an emulator has counted."""
    return request(emulator, "GET", "/_emulator/stats").body


def issue_token(emulator, mode, **how):
    """Let the emulator's own issuer sign a token of a user pool or of OpenID Connect."""
    answer = request(emulator, "POST", "/_emulator/tokens", json.dumps({"mode": mode, **how}))
    return answer.body["token"]
