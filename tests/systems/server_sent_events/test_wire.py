"""The event-stream format against the standard's examples and a reader written from its text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import RemoteProtocolError
from harness.systems.server_sent_events import wire
from harness.systems.server_sent_events.wire import EventStreamParser, last_event_id_of


def read_at_once(stream: bytes):
    """Read a whole stream by the standard's steps, on text, with nothing clever."""
    text = stream.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events, data, kind, last_id, cursor = [], "", "", "", ""
    for line in text.split("\n")[:-1]:
        if line == "":
            cursor = last_id
            if data:
                events.append((kind or "message", data[:-1], cursor))
            data, kind = "", ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value
    return events, cursor


def told(parser, pieces):
    """Feed pieces and return what came out as text."""
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [(event.type, event.text, event.last_event_id.decode()) for event in events]


lines = st.lists(
    st.sampled_from(
        (
            *(b"data: a", b"data:b", b"data", b"data:  two", "data: ü€😀".encode(), b"Data: x"),
            *(b"event: e", b"event", b"id: 1", b"id", b"id: a\0b", b"retry: 10"),
            *(b": hb", b":", b"", b"", b""),
        )
    ),
    max_size=20,
)
ends = st.sampled_from([b"\n", b"\r", b"\r\n"])
streams = st.builds(
    lambda bom, rows: bom + b"".join(line + end for line, end in rows),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf"]),
    lines.flatmap(lambda rows: st.tuples(*(st.tuples(st.just(row), ends) for row in rows))),
)


@given(streams, st.lists(st.integers(0, 400), max_size=12))
def test_any_split_gives_the_events_of_the_whole(stream, cuts):
    """Where the network cuts a stream changes nothing."""
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[a:b] for a, b in pairwise(places)]
    parser = EventStreamParser()
    events, cursor = read_at_once(stream)
    assert told(parser, pieces) == events
    assert parser.last_event_id.decode() == cursor


@given(st.binary(max_size=200))
def test_any_bytes_are_read_one_by_one_as_at_once(stream):
    """Bytes that are no text at all are read alike in any portion."""
    by_byte = told_bytes(EventStreamParser(), [bytes((byte,)) for byte in stream])
    assert by_byte == told_bytes(EventStreamParser(), [stream])


def told_bytes(parser, pieces):
    """Feed pieces and return the events' data."""
    return [event.data for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", ["YHOO\n+2\n10"]),
        (b": test\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
         ["first", "second", " third"]),
        (b"data\n\ndata\ndata\n\ndata:", ["", "\n"]),
        (b"data:test\n\ndata: test\n\n", ["test", "test"]),
    ],
)  # fmt: skip
def test_the_standards_examples_give_the_standards_events(stream, expected):
    """The four examples of section 9.2.6."""
    assert [event.text for event in EventStreamParser().feed(stream)] == expected


def test_cr_at_the_end_dispatches_at_once_and_its_lf_does_not_dispatch_again():
    """A CR LF cut in two is one line end, and nobody waits for its second half."""
    parser = EventStreamParser()
    assert told(parser, [b"data: a\r\n\r"]) == [("message", "a", "")]
    assert told(parser, [b"\ndata: b\r"]) == []
    assert told(parser, [b"\n\r\n"]) == [("message", "b", "")]


def test_block_without_data_moves_the_cursor_and_yields_no_event():
    """A server may send the position alone."""
    parser = EventStreamParser()
    assert parser.feed(b"event: x\nid: 7\n\n") == []
    assert parser.last_event_id == b"7"


def test_id_of_a_block_that_never_ended_is_not_the_cursor():
    """What was not dispatched was not received."""
    parser = EventStreamParser()
    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert parser.last_event_id == b"1"
    assert not parser.idle


@pytest.mark.parametrize(("value", "expected"), [(b"250", 250), (b"1x", None), (b"-1", None)])
def test_retry_is_taken_only_from_digits(value, expected):
    """Anything but ASCII digits is ignored."""
    parser = EventStreamParser()
    parser.feed(b"retry: " + value + b"\n\n")
    assert parser.retry_ms == expected


def test_parser_is_idle_only_between_blocks():
    """The frame_cache of equal bytes relies on it."""
    parser = EventStreamParser()
    states = [parser.idle]
    for piece in (b"data: a\n\n", b"data: b\n", b"\r", b"\n", b": hb\n"):
        parser.feed(piece)
        states.append(parser.idle)
    assert states == [False, True, False, False, True, True]


def test_last_id_in_a_piece_of_stream_is_found_or_none():
    """An empty id resets the cursor; no id leaves it alone."""
    assert last_event_id_of(b"id: 5:0\ndata: a\n\n") == b"5:0"
    assert last_event_id_of(b"id\ndata: a\n\n") == b""
    assert last_event_id_of(b"data: a\n\n") is None


def test_endless_event_is_refused(monkeypatch):
    """A worker's memory is not the server's to fill."""
    monkeypatch.setattr(wire, "MAX_PENDING_BYTES", 100)
    with pytest.raises(RemoteProtocolError, match="an event must end"):
        EventStreamParser().feed(b"data: " + b"x" * 200)
