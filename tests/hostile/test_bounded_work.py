"""Bytes that mean much work: there is an end to it, and what was good before counts."""

import contextlib
import gzip
import ssl
import time
import tracemalloc

import pytest

from harness.core.errors import RemoteProtocolError
from harness.core.json_rules import read_json, text_at
from harness.core.message_token import TOKEN_BYTES, MessageToken, needle_of
from harness.core.peer_limits import MAX_OTHER_MESSAGES_PER_S, EmptyUnits
from harness.measure import message_tracker
from harness.measure.ledger import SubscriberLedger
from harness.measure.message_tracker import MOST_IN_ONE, MessageTracker
from harness.net.http_stream import ChunkedBody, body_of, parse_response_head, retry_after_s
from harness.systems.api_gateway_websocket import wire
from harness.systems.polling import wire as polling
from harness.systems.server_sent_events.wire import MAX_FIELDS, EventStreamParser
from tests.hostile.conftest import STREAM_HEAD, server_frame
from tests.support.listeners import wait_for
from tests.support.tls_sessions import tls_session

RUN = "run"
NEEDLE = needle_of(RUN)
LAYOUT = polling.Layout()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
TEXT, PING = 1, 9
MOST_CPU_S = 10.0
"""Far more than linear work needs on a busy machine, and less than quadratic work."""


def message(number, size=66):
    """Return a message of the run."""
    return MessageToken(0, number, 1, 2, size).to_bytes(NEEDLE)


@pytest.fixture
def ledger():
    """One subscriber that is owed everything."""
    made = SubscriberLedger(MessageTracker(RUN))
    made.owed_from_ns = 0
    return made


@pytest.mark.parametrize("between", [b"", b" "], ids=["without", "with spaces"])
def test_beginnings_of_messages_are_counted_and_few_of_them_read(ledger, between):
    """Megabytes of them are malformed, or altered where they look like tokens."""
    count = 300_000
    began_s = time.process_time()
    ledger.event((NEEDLE + between) * count, 1)
    assert count == ledger.malformed + ledger.altered
    assert MOST_IN_ONE >= ledger.altered
    assert time.process_time() - began_s < MOST_CPU_S


def test_good_messages_before_a_flood_of_beginnings_are_delivered(ledger):
    """They are read first."""
    ledger.event(message(0) + b" " + message(1) + b" " + (NEEDLE + b" ") * 100_000, 1)
    assert (2, 100_000) == (ledger.delivered_count, ledger.malformed)


def test_length_that_a_token_claims_takes_no_memory(ledger):
    """A thousand tokens that claim a megabyte each, and bring no filler."""
    claims = b" ".join(message(number, 1_000_000)[:TOKEN_BYTES] for number in range(1000))
    tracemalloc.start()
    ledger.event(claims, 1)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 1000 == ledger.altered
    assert held < 5_000_000


def test_frames_of_one_message_that_are_all_different_are_not_all_kept(ledger, monkeypatch):
    """Each is a delivery all the same, and an end of the message makes room again."""
    monkeypatch.setattr(message_tracker, "MOST_CACHED_BYTES", 1000)
    cache = ledger.tracker.frame_cache
    for number in range(50):
        frame = message(0) + b"%d" % number
        cache[frame] = ledger.event(frame, 1)
    assert (1, 49) == (ledger.delivered_count, ledger.duplicated)
    assert sum(map(len, cache)) <= 1000
    ledger.tracker.retire(everything=True)
    assert not cache
    cache[message(1)] = ledger.event(message(1), 1)
    assert 1 == len(cache)


def test_messages_that_are_no_delivery_end_a_socket_when_they_are_too_many(server, socket_user):
    """Empty text frames cost two bytes each."""
    server.then = [server_frame(TEXT) * (10 * MAX_OTHER_MESSAGES_PER_S)]
    socket_user.listener.event = lambda *_: None
    socket_user.join()
    wait_for(lambda: socket_user.listener.ends)
    assert ["flood"] == [outcome for _, _, outcome in socket_user.listener.ends]


def test_units_of_another_second_begin_again():
    """The bound is one of each second."""
    units = EmptyUnits(2)
    for second in range(3):
        units.add(2, second * 10**9, "units")
    with pytest.raises(RemoteProtocolError, match="more than 2 in a second"):
        units.add(1, 2 * 10**9, "units")


def test_pings_to_a_client_whose_answers_wait_are_answered_once(server, socket_user):
    """RFC 6455, section 5.5.3, allows it; otherwise each would copy all that waits."""
    socket_user.join()
    stream = socket_user._client._stream
    stream.unsent = b"waits"
    for number in range(500):
        socket_user._client.arrived(server_frame(PING, b"p" * 100), number * 10**9)
    assert b"waits" == stream.unsent
    stream.unsent = b""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"x\n" * 100_000, "lines in one piece"),
        (b"id: 1\n" * (MAX_FIELDS + 1), "fields"),
        (b"data: a\n" + b"other\n" * (MAX_FIELDS + 1), "fields"),
    ],
    ids=["lines", "ids", "fields beside data"],
)
def test_lines_that_say_nothing_are_a_flood(body, found):
    """Compressed, a kilobyte holds a million of them."""
    with pytest.raises(RemoteProtocolError, match=found) as caught:
        EventStreamParser().feed(body)
    assert "flood" == caught.value.code


@pytest.mark.parametrize(
    ("bad", "code"),
    [(b"zzz\r\n", "protocol_error"), (b"0\r\n" + b"a: b\r\n" * 5000, "oversize")],
    ids=["size", "trailer"],
)
def test_what_was_good_before_a_broken_chunk_in_the_same_bytes_is_delivered(
    server, stream_user, bad, code
):
    """The stream ends after it, and not in place of it."""
    server.answer = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    server.then = [b"d\r\ndata: hello\n\n\r\n" + bad]
    stream_user.join()
    wait_for(lambda: stream_user.listener.ends)
    assert ["hello"] == stream_user.listener.events
    assert [("receive", code)] == stream_user.listener.refused_at


def test_what_was_good_before_a_flood_of_fields_is_delivered(server, stream_user):
    """Events are delivered as they are read."""
    server.answer, server.then = STREAM_HEAD, [b"data: hello\n\n" + b"id: 1\n" * 1000]
    stream_user.join()
    wait_for(lambda: stream_user.listener.ends)
    assert ["hello"] == stream_user.listener.events
    assert ["flood"] == [outcome for _, _, outcome in stream_user.listener.ends]


def test_members_of_a_compressed_stream_follow_each_other():
    """RFC 1952, section 2.2; some servers compress each event for itself."""
    body = body_of(parse_response_head(OK + b"Content-Encoding: gzip\r\n\r\n"))
    sent = b"".join(gzip.compress(b"data: %d\n\n" % number) for number in range(3))
    pieces = [sent[start : start + 7] for start in range(0, len(sent), 7)]
    assert b"data: 0\n\ndata: 1\n\ndata: 2\n\n" == b"".join(map(body.feed, pieces))


def test_endless_trailer_is_refused():
    """It would be read for as long as the server likes."""
    body = ChunkedBody()
    with pytest.raises(RemoteProtocolError, match="trailer"):
        body.feed(b"0\r\n" + b"a: b\r\n" * 10_000)


def test_folded_lines_and_lone_line_ends_in_a_head_give_no_header_of_their_own():
    """RFC 9112, section 5.2, and RFC 9110, section 5.5."""
    head = parse_response_head(
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\n Content-Length: 5\r\nETag: a\rb\0c\nX-B: 2\r\n\r\n"
    )
    assert {"x-a": "1 Content-Length: 5", "etag": "a b c", "x-b": "2"} == head.headers


def test_header_that_stands_ten_thousand_times_is_read_in_linear_time():
    """Each value is copied once."""
    began_s = time.process_time()
    head = parse_response_head(b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * 300_000 + b"\r\n")
    assert 300_000 == head.headers["a"].count("b")
    assert time.process_time() - began_s < MOST_CPU_S


def test_event_of_a_poll_that_is_nested_too_deep_costs_no_other():
    """What is in it is found all the same."""
    deep = b"[" * 300 + b'"deep"' + b"]" * 300
    page = polling.parse_page(b'{"messages":["a",%s,"b"]}' % deep, LAYOUT)
    assert (b"a", b"deep", b"b") == page.events


def test_frame_of_many_small_values_is_no_json_and_costs_little():
    """Each would be an object of its own, and the message behind them is found without them."""
    lists = b"[" + b"[]," * 1_300_000 + message(0) + b"]"
    began_s = time.process_time()
    with pytest.raises(ValueError, match="values"):
        read_json(lists)
    assert wire.parse(lists) is None
    assert time.process_time() - began_s < MOST_CPU_S


@pytest.mark.parametrize("depth", [300, 1000])
def test_refusal_nested_deeper_than_json_is_written_has_a_text(depth):
    """A server may put anything there."""
    deep = read_json(b'{"message":' + b"[" * depth + b"]" * depth + b"}")
    assert "a value that cannot be shown" == text_at(deep, "message")
    assert "cannot be shown" in wire.words_of('{"message":' + "[" * depth + "]" * depth + "}")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"messages":[' + b"0," * 60_000 + b"0]}", "flood"),
        (b'{"messages":[],"more":[' + b"0," * 2_000_000 + b"0]}", "protocol_error"),
        (b'{"messages":[],"next":"' + b"7" * 10_000 + b'"}', "oversize"),
    ],
    ids=["messages", "values", "a cursor"],
)
def test_answer_to_a_poll_with_too_much_in_it_is_refused(body, code):
    """Its time, and the requests that would carry it, are ours."""
    with pytest.raises(RemoteProtocolError) as caught:
        polling.parse_page(body, LAYOUT)
    assert code == caught.value.code


def test_interval_that_a_service_names_is_a_day_at_most():
    """Otherwise its users would be gone without a word."""
    page = polling.parse_page(b'{"messages":[],"poll_after_ms":1e300}', LAYOUT)
    assert polling.LONGEST_WAIT_S == page.interval_s


@pytest.mark.parametrize("value", ["Mon, 99999999999999999999 Jan 2020 00:00:00 GMT", "²"])
def test_retry_after_that_is_no_date_is_none(value):
    """Whatever stands there."""
    assert retry_after_s(value, 0.0) is None


def test_messages_of_a_poll_that_are_no_delivery_are_bounded(server, poll_user):
    """The rest of such an answer is not read."""
    entries = ",".join(["0"] * (2 * MAX_OTHER_MESSAGES_PER_S)).encode()
    body = b'{"messages":[%s],"next":"1"}' % entries
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    poll_user.listener.event = lambda *_: None
    poll_user.join()
    assert ("poll", "flood") in poll_user.listener.refused_at


class Ended:
    """Receives what a TLS stream passes on."""

    def __init__(self):
        self.got = []

    def arrived(self, data, _):
        self.got.append(data)

    def broken(self, error):
        self.got.append(type(error))


def ended_session(session):
    """End a session in order, without waiting for the answer."""
    with contextlib.suppress(ssl.SSLWantReadError):
        session.unwrap()
    return b""


def broken_record(_):
    """Return a record that nobody encrypted."""
    return b"\x17\x03\x03\x00\x20" + b"x" * 32


@pytest.mark.parametrize(
    ("last_words", "end"),
    [(ended_session, b""), (broken_record, ssl.SSLError)],
    ids=["an end of the session", "a broken record"],
)
def test_message_and_end_in_the_same_bytes_of_tls_are_both_told(last_words, end):
    """The server keeps the socket open: no end of the connection would follow."""
    receiver = Ended()
    with tls_session() as (stream, server):
        stream.read_to(receiver)
        server.session.write(b"hello")
        rest = last_words(server.session)
        server.peer.sendall(server.written() + rest)
        wait_for(lambda: len(receiver.got) >= 2)
    assert [b"hello", end] == receiver.got
