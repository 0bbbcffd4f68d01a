"""Requests and answers of polling, against written examples."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import RemoteProtocolError
from harness.net.http_stream import retry_after_s
from harness.systems.polling import wire
from harness.systems.polling.wire import Layout, Page, Place

YOUTUBE = Layout("items", "nextPageToken", "pollingIntervalMillis")
"""Google's LiveChatMessages.list, read November 2026."""

NOW_S = 1_800_000_000.0


def test_head_of_a_request_names_cursor_and_validators():
    """The bytes are those of RFC 9112, line by line."""
    place = Place("12-7", '"12-7"', "Mon, 23 Nov 2026 22:17:28 GMT")
    path = wire.with_cursor("/poll/default/room-0?v=1", "after", place.cursor)
    assert wire.head(path, place, ["Host: example.org"]) == (
        b"GET /poll/default/room-0?v=1&after=12-7 HTTP/1.1\r\n"
        b"Host: example.org\r\n"
        b'If-None-Match: "12-7"\r\n'
        b"If-Modified-Since: Mon, 23 Nov 2026 22:17:28 GMT\r\n"
    )


def test_first_request_names_neither():
    """Where nothing has been seen, nothing is said of it."""
    path = wire.with_cursor("/poll/a", "after", "")
    assert wire.head(path, Place(), ["Host: h"]) == b"GET /poll/a HTTP/1.1\r\nHost: h\r\n"


def test_cursor_is_escaped():
    """A cursor of someone else's may hold anything."""
    assert wire.with_cursor("/p", "pageToken", "a&b=c/d") == "/p?pageToken=a%26b%3Dc%2Fd"


def test_page_in_the_layout_of_a_real_service():
    """Nested keys, an interval in milliseconds, and what else there is left alone."""
    body = json.dumps(
        {
            "kind": "youtube#liveChatMessageListResponse",
            "nextPageToken": "QURTSl",
            "pollingIntervalMillis": 2500,
            "items": [
                {"id": "1", "snippet": {"displayMessage": "hello"}},
                {"id": "2", "snippet": {"displayMessage": "grüße"}},
            ],
        }
    ).encode()
    page = wire.parse_page(body, YOUTUBE)
    texts = [json.loads(event)["snippet"]["displayMessage"] for event in page.events]
    assert (["hello", "grüße"], "QURTSl", 2.5) == (texts, page.cursor, page.interval_s)


@pytest.mark.parametrize("interval", [None, "5000", 0, -1, True, [5]])
def test_interval_that_is_none_is_left_out(interval):
    """Nobody polls without a pause because a server was careless."""
    body = json.dumps({"messages": [], "poll_after_ms": interval}).encode()
    assert Page((), "", None) == wire.parse_page(body, Layout())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"messages":{}}', b'"messages"'])
def test_body_that_is_no_page_is_the_servers_mistake(body):
    """Each is named as what it is."""
    with pytest.raises(RemoteProtocolError, match="answer to a poll"):
        wire.parse_page(body, Layout())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(JSON.filter(lambda value: not isinstance(value, str)), max_size=5), st.text())
def test_page_that_was_encoded_is_read_back(messages, cursor):
    """Whatever JSON the messages are, each comes out as the same JSON."""
    bodies = [json.dumps(message).encode() for message in messages]
    page = wire.parse_page(wire.encode_page(bodies, cursor, 5.0), Layout())
    assert messages == [json.loads(event) for event in page.events]
    assert (cursor, 5.0) == (page.cursor, page.interval_s)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_page_or_a_protocol_error(body):
    """No other error comes of them."""
    with contextlib.suppress(RemoteProtocolError):
        assert isinstance(wire.parse_page(body, Layout()), Page)


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (format_datetime(datetime.fromtimestamp(NOW_S, UTC) + timedelta(seconds=30), True), 30.0),
        (format_datetime(datetime.fromtimestamp(NOW_S, UTC) - timedelta(seconds=30), True), 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, expected_s):
    """Both forms of RFC 9110, section 10.2.3; a date that has passed asks for no wait."""
    assert expected_s == retry_after_s(value, NOW_S)
