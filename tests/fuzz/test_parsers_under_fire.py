"""Every parser takes any bytes: it returns, or raises the one error it promises."""

import contextlib
import json

import pytest
from hypothesis import strategies as st

from harness.core.errors import RemoteProtocolError
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import ChannelError, normalise_channel, path
from harness.systems.appsync_events.operations import (
    RejectedMessageError,
    checked_channel,
    checked_events,
    parse_client_message,
    parse_object,
)
from tests.fuzz.wire_shapes import (
    AUTHORIZATIONS,
    BODIES,
    CHANNELS,
    DEEP,
    HEADER_VALUES,
    JSON_VALUES,
    MESSAGE_TEXTS,
    MESSAGES,
    header,
)

pytestmark = pytest.mark.fuzz

UNREADABLE = "subprotocol header-…: {}, base64url of a JSON object of strings required"
TEXTS = MESSAGE_TEXTS | DEEP.map(str.encode)


def test_client_messages(rounds):
    """A message is understood, or refused in words that are JSON."""

    def body(text):
        try:
            message = parse_client_message(text)
        except RejectedMessageError as error:
            rejected = error
        else:
            assert all(isinstance(value, str) for value in message.authorization.values())
            return
        assert json.loads(rejected.payload())["errors"]

    rounds(body, text=TEXTS)


def test_publish_bodies(rounds):
    """A body is an object or refused; its channel and events are sound or refused."""

    def body(text):
        with contextlib.suppress(RejectedMessageError):
            request = parse_object(text, "Body")
            for flag in (True, False):
                checked_channel(request, wildcard_allowed=flag)
                checked_events(request, over_http=flag)

    rounds(body, text=TEXTS | (BODIES | MESSAGES).map(lambda value: json.dumps(value).encode()))


def test_channels(rounds):
    """A name is refused, or its normal form is a name with the same normal form."""

    def body(name):
        with contextlib.suppress(ChannelError):
            segments = normalise_channel(name)
            assert segments == normalise_channel(path(segments))

    rounds(body, name=CHANNELS | st.text(max_size=200))


def test_credentials_in_a_subprotocol(rounds):
    """They are an object of strings, or refused without being quoted."""

    def body(value):
        try:
            found = wire.parse_auth_subprotocol(value)
        except RemoteProtocolError as error:
            said = str(error)
        else:
            assert all(isinstance(item, str) for item in found.values())
            return
        assert said in {UNREADABLE.format("something else"), UNREADABLE.format("other JSON")}

    encoded = AUTHORIZATIONS.map(header) | HEADER_VALUES.map(lambda raw: raw.decode("latin-1"))
    rounds(body, value=encoded | st.text(max_size=60).map("header-".__add__))


def test_server_messages(rounds):
    """What a service sends is understood, or its fault."""

    def body(text, status):
        for parse in (wire.parse_server_message, lambda raw: wire.parse_http_reply(status, raw)):
            with contextlib.suppress(RemoteProtocolError):
                assert isinstance(parse(text).type, str)

    replies = st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["data", "publish_success", "error"]) | JSON_VALUES,
            "id": JSON_VALUES,
            "event": JSON_VALUES,
            "errors": JSON_VALUES,
        },
    )
    texts = TEXTS | replies.map(lambda value: json.dumps(value).encode())
    rounds(body, text=texts, status=st.sampled_from([200, 400, 401, 429, 502]))
