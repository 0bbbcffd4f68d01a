import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import RemoteProtocolError
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.wire import EventResult, ServerMessage, WireError

AUTHORIZATION = {"host": "localhost:18080", "x-api-key": "da2-test"}
IDS = st.from_regex(r"[A-Za-z0-9_+-]{1,128}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_credentials_are_encoded_as_other_clients_encode_them():
    """The subprotocol equals the one a Go client was seen to send."""
    expected = "header-eyJob3N0IjoibG9jYWxob3N0OjE4MDgwIiwieC1hcGkta2V5IjoiZGEyLXRlc3QifQ"
    assert expected == wire.auth_subprotocol(AUTHORIZATION)


@given(st.dictionaries(st.text(), st.text(), max_size=5))
def test_credentials_survive_the_subprotocol(authorization):
    """Decoding an encoded authorization gives it back."""
    encoded = wire.auth_subprotocol(authorization)
    assert "=" not in encoded
    assert authorization == wire.parse_auth_subprotocol(encoded)


@pytest.mark.parametrize(
    "value",
    ["header-", "header-!!!!", "header-e30x", "header-W10", "header-eyJhIjoxfQ", "header-é", "e"],
)
def test_undecodable_credentials_are_refused_without_quoting_them(value):
    """What is not base64url of a JSON object of strings raises, and is not shown."""
    with pytest.raises(RemoteProtocolError) as caught:
        wire.parse_auth_subprotocol(value)
    assert "subprotocol header-…" == caught.value.where
    assert value.removeprefix("header-") not in caught.value.found or len(value) < 8


@given(st.text(max_size=60))
def test_any_text_as_credentials_gives_strings_or_a_protocol_error(text):
    """No subprotocol makes the parser fail otherwise."""
    try:
        decoded = wire.parse_auth_subprotocol("header-" + text)
    except RemoteProtocolError:
        return
    assert all(isinstance(value, str) for value in decoded.values())


def test_client_messages_have_the_documented_shape():
    """Each message is the JSON object of the protocol page."""
    assert {"type": "connection_init"} == json.loads(wire.CONNECTION_INIT)
    assert {
        "type": "subscribe",
        "id": "1",
        "channel": "/default/a",
        "authorization": AUTHORIZATION,
    } == json.loads(wire.subscribe("1", "/default/a", AUTHORIZATION))
    unsubscribe = wire.operation_message("unsubscribe", "1")
    assert {"type": "unsubscribe", "id": "1"} == json.loads(unsubscribe)
    assert {
        "type": "publish",
        "id": "2",
        "channel": "/default/a",
        "events": ['{"a":1}', '"é"'],
        "authorization": AUTHORIZATION,
    } == json.loads(wire.publish("2", "/default/a", ['{"a":1}', '"é"'.encode()], AUTHORIZATION))
    assert {"channel": "/default/a", "events": ["1"]} == json.loads(
        wire.http_publish_body("/default/a", [b"1"])
    )


def test_server_messages_have_the_documented_shape():
    """Each answer is the JSON object of the protocol page."""
    assert {"type": "connection_ack", "connectionTimeoutMs": 300000} == json.loads(
        wire.connection_ack(300_000)
    )
    assert {"type": "ka"} == json.loads(wire.KEEP_ALIVE)
    success = wire.operation_message("subscribe_success", "1")
    assert {"type": "subscribe_success", "id": "1"} == json.loads(success)
    success = wire.operation_message("unsubscribe_success", "1")
    assert {"type": "unsubscribe_success", "id": "1"} == json.loads(success)
    assert b'{"type":"data","id":"1","event":"{\\"a\\":1}"}' == wire.data("1", '{"a":1}')


def test_publish_answer_lists_what_succeeded_and_what_failed():
    """Both lists are always there, and a failure has its code."""
    too_large = WireError("EventTooLargeException", "too large")
    results = [EventResult("u0", 0), EventResult("u1", 1, too_large)]
    lists = {
        "successful": [{"identifier": "u0", "index": 0}],
        "failed": [
            {
                "identifier": "u1",
                "index": 1,
                "code": "EventTooLargeException",
                "message": "too large",
            }
        ],
    }
    assert {"type": "publish_success", "id": "p", **lists} == json.loads(
        wire.publish_success("p", results)
    )
    assert lists == json.loads(wire.http_publish_reply(results))
    assert {"successful": [], "failed": []} == json.loads(wire.http_publish_reply([]))


@pytest.mark.parametrize(
    "message_type", ["subscribe_error", "unsubscribe_error", "publish_error", "error"]
)
def test_errors_name_their_operation_and_leave_out_what_is_unknown(message_type):
    """An empty id, message or code has no key at all."""
    assert {
        "type": message_type,
        "id": "1",
        "errors": [{"errorType": "T", "errorCode": 401, "message": "m"}],
    } == json.loads(wire.error_message(message_type, "1", WireError("T", "m", 401)))
    assert {"type": message_type, "errors": [{"errorType": "T"}]} == json.loads(
        wire.error_message(message_type, "", WireError("T"))
    )


@given(IDS, JSON)
def test_event_survives_a_delivery(subscription_id, event):
    """What a subscriber reads is the text that was published, under the subscription's id."""
    text = json.dumps(event)
    message = wire.parse_server_message(wire.data(subscription_id, text))
    assert ("data", subscription_id, text, ()) == message[:4]


@given(IDS, st.text(), st.text(), st.none() | st.integers(0, 999))
def test_error_survives_its_message(operation_id, error_type, text, code):
    """A client reads back the error that was sent."""
    error = WireError(error_type, text, code)
    message = wire.parse_server_message(wire.error_message("publish_error", operation_id, error))
    assert ("publish_error", operation_id, None, (error,)) == message[:4]


def test_event_in_an_array_of_one_is_unwrapped():
    """Another emulator sends an array; its one element is the event."""
    assert "{}" == wire.parse_server_message(b'{"type":"data","id":"1","event":["{}"]}').event


def test_message_of_unknown_type_passes_through():
    """A type that does not concern us is no error."""
    message = wire.parse_server_message(b'{"type":"new","x":1}')
    assert ServerMessage("new", "", None, (), {"type": "new", "x": 1}) == message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"1",
        b"{}",
        b'{"type":1}',
        b'{"type":"data","id":7,"event":"1"}',
        b'{"type":"data","id":"1"}',
        b'{"type":"data","id":"1","event":{}}',
        b'{"type":"data","id":"1","event":["1","2"]}',
    ],
)
def test_malformed_server_message_is_a_protocol_error(payload):
    """What the service may not send is told apart from our own errors."""
    with pytest.raises(RemoteProtocolError):
        wire.parse_server_message(payload)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_payload_is_a_message_or_a_protocol_error(payload):
    """No bytes make the client's parser fail otherwise."""
    try:
        message = wire.parse_server_message(payload)
    except RemoteProtocolError:
        return
    assert isinstance(message.type, str)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (None, ()),
        ("x", ()),
        ([1, {}], (WireError(""),)),
        ([{"errorType": 1, "message": [], "errorCode": "4"}], (WireError(""),)),
        ([{"errorType": "T", "errorCode": 401}], (WireError("T", "", 401),)),
    ],
)
def test_malformed_errors_still_tell_that_something_failed(errors, expected):
    """Whatever can be read of an error is, and the rest does not hide it."""
    assert expected == wire.parse_errors({"errors": errors})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"successful":[],"failed":[]}', ("publish_success", ())),
        (200, b'{"errors":[{"errorType":"T"}]}', ("publish_error", (WireError("T"),))),
        (401, b'{"errors":[{"errorType":"T"}]}', ("publish_error", (WireError("T"),))),
        (502, b"<html>", ("publish_error", (WireError("HTTP 502", "<html>"),))),
        (200, b'{"errors":"no"}', ("publish_error", (WireError("HTTP 200", '{"errors":"no"}'),))),
        (500, b"[]", ("publish_error", (WireError("HTTP 500", "[]"),))),
    ],
)
def test_http_answer_becomes_success_or_error(status, body, expected):
    """Any status but 200 refuses, even when a gateway sent it."""
    message = wire.parse_http_reply(status, body)
    assert expected == (message.type, message.errors)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"{}", b'{"ok":true}'])
def test_http_success_without_a_list_of_events_is_a_protocol_error(body):
    """A 200 that is not the service's own is not taken for an acknowledgement."""
    with pytest.raises(RemoteProtocolError):
        wire.parse_http_reply(200, body)
