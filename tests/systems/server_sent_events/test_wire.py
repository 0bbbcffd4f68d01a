"""The event-stream format: examples of the standard, a reader written from its text, known cases.

The known cases are those of web-platform-tests, ``eventsource/``: what a server of theirs sends and
what a browser must make of it, named as theirs is without its ending. Those that only have meaning
over HTTP (``format-mime-*``, ``format-field-id``) are in ``client/test_api.py``.
"""

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import RemoteProtocolError
from harness.systems.server_sent_events.wire import EventStreamParser, last_event_id_of


def text_of(event):
    """Return the data as a browser would give it."""
    return event.data.decode("utf-8", "replace")


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
    return [(event.type, text_of(event), event.last_event_id.decode()) for event in events]


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
    assert [text_of(event) for event in EventStreamParser().feed(stream)] == expected


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
    monkeypatch.setattr("harness.core.peer_limits.MAX_MESSAGE_BYTES", 100)
    with pytest.raises(RemoteProtocolError, match="at most 100 bytes are taken"):
        EventStreamParser().feed(b"data: " + b"x" * 200)


BOM = b"\xef\xbb\xbf"
LONG = b"x" * 2048


class Case(NamedTuple):
    """A stream and what a browser makes of it.

    ``ids`` are the last event ids as they were when each event was dispatched, and ``cursor`` is
    what a reconnect would send as ``Last-Event-ID``.
    """

    name: str
    stream: bytes
    data: tuple[str, ...]
    ids: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    cursor: str = ""
    retry_ms: int | None = None


CASES = (
    Case("format-bom", BOM + b"data:1\n\n" + BOM + b"data:2\n\ndata:3\n\n", ("1", "3")),
    Case("format-bom-2", BOM + BOM + b"data:1\n\ndata:2\n\ndata:3\n\n", ("2", "3")),
    Case("bom alone", BOM, ()),
    Case("bom half", BOM[:2], ()),
    Case("bom in data", b"data:" + BOM + b"1\n\n", ("\ufeff1",)),
    Case(
        "format-comments",
        b"data:1\r:\0\n:\r\ndata:2\n:%s\rdata:3\n:data:fail\r:%s\ndata:4\n\n" % (LONG, LONG),
        ("1\n2\n3\n4",),
    ),
    Case(
        "format-data-before-final-empty-line",
        b"retry:1000\ndata:test1\n\nid:test\ndata:test2\n",
        ("test1",),
        retry_ms=1000,
    ),
    Case("format-field-data", b"data:\n\ndata\ndata\n\ndata:test\n\n", ("", "\n", "test")),
    Case("data twice", b"data:a\ndata:b\n\n", ("a\nb",)),
    Case(
        *("format-field-event", b"event:test\ndata:x\n\ndata:x\n\n"),
        *(("x", "x"), None, ("test", "message")),
    ),
    Case("format-field-event-empty", b"event: \ndata:data\n\n", ("data",), None, ("message",)),
    Case("event without data", b"event:x\n\ndata:a\n\n", ("a",), None, ("message",)),
    Case("event twice", b"event:x\nevent:y\ndata:a\n\n", ("a",), None, ("y",)),
    Case("event taken back", b"event:x\nevent\ndata:a\n\n", ("a",), None, ("message",)),
    Case("format-field-id", "id:…\ndata:hello\n\n".encode(), ("hello",), ("…",), cursor="…"),
    Case(
        "format-field-id-3, persists",
        b"id: 1\ndata: 1\n\ndata: 2\n\nid: 2\ndata: 3\n\ndata: 4\n\n",
        ("1", "2", "3", "4"),
        ("1", "1", "2", "2"),
        cursor="2",
    ),
    Case(
        "format-field-id-3, resets",
        b"id: 1\ndata: 1\n\nid:\ndata:2\n\ndata: 3\n\n",
        ("1", "2", "3"),
        ("1", "", ""),
    ),
    Case(
        "format-field-id-3, resets without colon",
        b"id: 1\ndata: 1\n\nid\ndata:2\n\ndata: 3\n\n",
        ("1", "2", "3"),
        ("1", "", ""),
    ),
    *(
        Case(
            f"format-field-id-null, {value!r}",
            b"id:" + value + b"\ndata:hello\n\n",
            ("hello",),
            ("",),
        )
        for value in (b"\0\0", b"x\0", b"\0x", b"x\0x", b" \0")
    ),
    Case("id with null keeps the one before", b"id:1\n\nid:\0\n\n", (), cursor="1"),
    Case(
        "format-field-parsing",
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\n"
        b"data:3\rdata:\r\n data:32\ndata:4\n\n",
        ("\0\n 2\n1\n3\n\n4",),
    ),
    Case("format-field-retry", b"retry:03000\ndata:x\n\n", ("x",), retry_ms=3000),
    Case("format-field-retry-bogus", b"retry:3000\nretry:1000x\ndata:x\n\n", ("x",), retry_ms=3000),
    Case("format-field-retry-empty", b"retry\ndata:test\n\n", ("test",)),
    Case("retry by itself", b"retry: 250\n", (), retry_ms=250),
    Case("retry with a space too many", b"retry:  250\n\n", ()),
    Case("retry with a sign", b"retry:+250\nretry:-250\nretry:2.5\n\n", ()),
    Case("retry in other digits", "retry:٣٠٠\n\n".encode(), ()),
    Case("retry with many zeros", b"retry:" + b"0" * 5000 + b"250\n\n", (), retry_ms=250),
    Case(
        "format-field-unknown",
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        ("test\n\ntest",),
    ),
    Case("format-leading-space", b"data:\ttest\rdata: \ndata:test\n\n", ("\ttest\n\ntest",)),
    Case("format-newlines", b"data:test\r\ndata\ndata:test\r\n\r\n", ("test\n\ntest",)),
    Case(
        "line ends of each kind", b"data:1\r\r\ndata:2\n\r\ndata:3\r\n\rdata:4\r\r", tuple("1234")
    ),
    Case("format-null-character", b"data:\0\n\n", ("\0",)),
    Case("format-utf-8", "data:ok…\n\n".encode(), ("ok…",)),
    Case("format-utf-8, invalid", b"data:\xff\xe2\x80\n\n", ("\ufffd\ufffd",)),
    Case(
        "event-data",
        b"data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\n"
        b"data\n\ndata:end\n\n",
        ("msg\nmsg", "", "end"),
    ),
    Case(
        "other line ends of Unicode",
        "data:a\u2028b\u0085c\x0bd\n\n".encode(),
        ("a\u2028b\x85c\x0bd",),
    ),
    Case("colon in the value", b"data:a:b: c\n\n", ("a:b: c",)),
    Case("end without an empty line", b"data:a\n\nid:1\ndata:b\n", ("a",)),
    Case("end in the middle of a line", b"data:a\n\ndata:b", ("a",)),
    Case("nothing", b"", ()),
    Case("empty lines only", b"\n\r\n\r\r\n\n", ()),
)


def ways_to_cut(stream: bytes) -> list[list[bytes]]:
    """Return the stream whole, byte by byte, and cut in two at each place."""
    places = range(len(stream) + 1)
    by_byte = [stream[place : place + 1] for place in places[:-1]]
    return [[stream], by_byte, *([stream[:place], stream[place:]] for place in places)]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_stream_gives_what_browsers_must_make_of_it_however_it_is_cut(case: Case) -> None:
    """Events with data, id and type; the cursor, and the reconnection time."""
    for pieces in ways_to_cut(case.stream):
        parser = EventStreamParser()
        events = [event for piece in pieces for event in parser.feed(piece)]
        assert case.data == tuple(text_of(event) for event in events)
        if case.ids is not None:
            assert case.ids == tuple(event.last_event_id.decode() for event in events)
        if case.types is not None:
            assert case.types == tuple(event.type for event in events)
        assert (case.cursor, case.retry_ms) == (parser.last_event_id.decode(), parser.retry_ms)
