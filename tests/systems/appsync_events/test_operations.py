import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.systems.appsync_events.operations import (
    ClientMessage,
    RejectedMessageError,
    checked_channel,
    checked_events,
    event_error,
    parse_client_message,
    parse_object,
)
from harness.systems.appsync_events.wire import MAX_EVENT_BYTES, MAX_REQUEST_BYTES, WireError


def rejection(payload):
    with pytest.raises(RejectedMessageError) as caught:
        parse_client_message(payload)
    return caught.value


@pytest.mark.parametrize("message_type", ["subscribe", "unsubscribe", "publish"])
def test_operation_keeps_its_id_and_its_body(message_type):
    """A sound operation is returned whole, unknown keys included."""
    body = {"payload": {}, "id": "aZ0-_+", "type": message_type}
    assert ClientMessage(message_type, "aZ0-_+", body) == parse_client_message(json.dumps(body))


@pytest.mark.parametrize("message_type", ["connection_init", "ka"])
def test_message_without_operation_needs_no_id(message_type):
    """Some clients send ``ka``; like ``connection_init`` it has no id."""
    payload = json.dumps({"type": message_type, "payload": {"data": {}}})
    assert (message_type, "") == parse_client_message(payload)[:2]


NO_JSON = [b"", b"{", b"\xff\xfe", b"NaN", b'{"a":NaN}']
NO_OBJECT = [b"[]", b"1", b'"subscribe"', b"null"]


@pytest.mark.parametrize("payload", NO_JSON + NO_OBJECT)
def test_message_that_is_no_json_object_is_a_bad_request(payload):
    """It is answered without an id."""
    assert "error" == rejection(payload).message_type
    assert "" == rejection(payload).operation_id
    assert "BadRequestException" == rejection(payload).error.error_type


@pytest.mark.parametrize("message_type", [None, 1, [], "start", "data", ""])
def test_unknown_type_is_unsupported_and_keeps_its_id(message_type):
    """The answer to an unknown type carries the client's id, where that is valid."""
    assert {
        "type": "error",
        "id": "7",
        "errors": [{"errorType": "UnsupportedOperation", "message": "Operation not supported."}],
    } == json.loads(rejection(json.dumps({"type": message_type, "id": "7"})).payload())


@pytest.mark.parametrize("found_id", [None, 1, "", "a b", "a/b", "é", "x" * 129, "a\n"])
@pytest.mark.parametrize("message_type", ["subscribe", "unsubscribe", "publish"])
def test_missing_or_invalid_id_is_answered_with_the_matching_error(message_type, found_id):
    """The answer is of the operation's own error type and has no id."""
    answer = json.loads(rejection(json.dumps({"type": message_type, "id": found_id})).payload())
    assert f"{message_type}_error" == answer["type"]
    assert "id" not in answer
    assert ["BadRequestException"] == [error["errorType"] for error in answer["errors"]]


def test_rejection_says_what_it_answers():
    """The sentence of a rejection holds type and reason."""
    error = RejectedMessageError(WireError("T", "why"), "publish_error", "1")
    assert "publish_error: T: why" == str(error)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_payload_is_a_message_or_a_rejection(payload):
    """No bytes and no text make the emulator's parser fail otherwise."""
    try:
        answered = parse_client_message(payload).type
    except RejectedMessageError as rejected:
        answered = json.loads(rejected.payload())["type"]
    assert answered


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ({"x-api-key": "k", "n": 1}, {"x-api-key": "k"}),
        (None, {}),
        ("k", {}),
        ([["x-api-key", "k"]], {}),
    ],
)
def test_authorization_of_another_form_is_empty(authorization, expected):
    """Only names with strings count as credentials."""
    assert expected == ClientMessage("publish", "1", {"authorization": authorization}).authorization


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_http_body_that_is_no_json_object_is_a_bad_request(body):
    """An HTTP publish is one JSON object."""
    with pytest.raises(RejectedMessageError) as caught:
        parse_object(body, "Body")
    assert "BadRequestException" == caught.value.error.error_type


@pytest.mark.parametrize("channel", [None, 1, "", "/default/a_b", "/default/*/a"])
def test_bad_channel_is_a_bad_request(channel):
    """A channel that is missing or breaks the grammar is refused."""
    refused = checked_channel({"channel": channel}, wildcard_allowed=True)
    assert "BadRequestException" == refused.error_type


def test_wildcard_is_for_subscribing_only():
    """The same channel is refused to a publisher and allowed to a subscriber."""
    body = {"channel": "/default/*"}
    assert ("default", "*") == checked_channel(body, wildcard_allowed=True)
    assert "BadRequestException" == checked_channel(body, wildcard_allowed=False).error_type


@pytest.mark.parametrize(
    ("over_http", "expected"),
    [
        (True, WireError("BadRequestException", "Input exceeded 5 event limit")),
        (False, WireError("InvalidInputError", "input exceeded 5 event limit")),
    ],
)
def test_six_events_are_refused_as_the_service_does(over_http, expected):
    """Each transport has its own error type and its own capital letter."""
    assert expected == checked_events({"events": ["1"] * 6}, over_http=over_http)


@pytest.mark.parametrize(
    ("over_http", "expected"), [(True, "BadRequestException"), (False, "InvalidInputError")]
)
def test_no_events_and_too_many_bytes_break_a_limit(over_http, expected):
    """The other limits use the same two error types."""
    assert expected == checked_events({"events": []}, over_http=over_http).error_type
    big = ['"' + "x" * (MAX_REQUEST_BYTES // 5 - 2) + '"'] * 5
    assert big == checked_events({"events": big}, over_http=over_http)
    bigger = [*big[:4], big[4] + "  "]
    assert expected == checked_events({"events": bigger}, over_http=over_http).error_type


@pytest.mark.parametrize("events", [None, "1", {}, [1], [{}], ["{"], ["1", ""], ["NaN"]])
def test_events_that_are_no_list_of_json_texts_are_a_bad_request(events):
    """One bad event fails the whole request."""
    assert "BadRequestException" == checked_events({"events": events}, over_http=False).error_type


def test_event_is_too_large_from_one_byte_past_the_limit():
    """Bytes are counted as UTF-8, not as characters."""
    assert event_error("x" * MAX_EVENT_BYTES) is None
    assert event_error("é" * (MAX_EVENT_BYTES // 2)) is None
    expected = WireError("EventTooLargeException", "Transformed event is larger than 240KB")
    assert expected == event_error("x" * (MAX_EVENT_BYTES + 1))
    assert expected == event_error("é" * (MAX_EVENT_BYTES // 2) + "x")
