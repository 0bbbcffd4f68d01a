"""Good messages among arbitrary others, however the bytes are cut: each is counted, once.

Each test writes the same messages in one protocol's way, with anything that the protocol allows
between them, and reads what arrives as a worker does.
"""

import gzip
import json

import pytest
from hypothesis import strategies as st

from harness.core.message_token import TOKEN_BYTES, MessageToken, needle_of
from harness.measure.ledger import SubscriberLedger
from harness.measure.message_tracker import MessageTracker
from harness.net.frames import BINARY, CONTINUATION, PING, PONG, TEXT, FrameReader
from harness.net.http_stream import body_of, parse_response_head
from harness.systems.polling.client.answers import AnswerReader
from harness.systems.polling.wire import Layout
from harness.systems.server_sent_events.wire import EventStreamParser
from tests.fuzz.wire_shapes import JSON_VALUES
from tests.support.tls_sessions import tls_session

pytestmark = pytest.mark.fuzz

RUN = "run"
COUNT = 20
MESSAGES = [
    MessageToken(0, number, 1, 2 + number, 66 + 30 * number).to_bytes(needle_of(RUN))
    for number in range(COUNT)
]
ODD = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(str.encode),
    st.sampled_from([b"", needle_of(RUN), needle_of(RUN)[:6], b"\xef\xbb\xbf", b"{" * 300]),
    st.integers(1, TOKEN_BYTES - 1).map(lambda size: MESSAGES[0][:size]),
)
UNITS = st.lists(st.integers(0, COUNT - 1) | ODD, max_size=40)
"""Each is the number of a good message, or something else."""
CUTS = st.lists(st.integers(1, 400), min_size=1, max_size=10)
"""Sizes of pieces, used in turn."""


def pieces(data, cuts):
    """Yield bytes in pieces of these sizes, in turn."""
    start = turn = 0
    while start < len(data):
        size = cuts[turn % len(cuts)]
        yield data[start : start + size]
        start, turn = start + size, turn + 1


def payload(unit):
    """Return the bytes of a unit."""
    return MESSAGES[unit] if isinstance(unit, int) else unit


class Subscriber(SubscriberLedger):
    """A ledger that checks what it got."""

    def __init__(self):
        super().__init__(MessageTracker(RUN))
        self.owed_from_ns = 0

    def check(self, units):
        """Fail unless each good message of the units was counted, and each copy of it."""
        good = [unit for unit in units if isinstance(unit, int)]
        counted = self.delivered_count, self.duplicated, self.altered
        assert (len(set(good)), len(good) - len(set(good)), 0) == counted


def frame(opcode, data, *, final=True):
    """Return a server's frame, with the longest form of the length."""
    first = opcode | (0x80 if final else 0)
    return bytes((first, 127)) + len(data).to_bytes(8, "big") + data


def in_frames(units, cuts, controls):
    """Return units as messages in fragments, with control frames between those."""
    written = []
    for number, unit in enumerate(units):
        control = frame(PING if number % 2 else PONG, controls[number % len(controls)])
        parts = list(pieces(payload(unit), cuts)) or [b""]
        for place, part in enumerate(parts):
            opcode = CONTINUATION if place else (TEXT if number % 3 else BINARY)
            written += [frame(opcode, part, final=place == len(parts) - 1), control]
    return b"".join(written)


def in_events(units):
    """Return units as events; what is not good stands there as it is, up to an empty line."""
    written = [b"\n\n"]
    for unit in units:
        is_good = isinstance(unit, int)
        written.append(b"data: " + MESSAGES[unit] + b"\n\n" if is_good else unit + b"\n\n")
    return b"".join(written)


def in_chunks(data, cuts):
    """Return a body in the chunked coding."""
    chunks = (b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in pieces(data, cuts))
    return b"".join(chunks)


CONTROLS = st.lists(st.binary(max_size=125), min_size=1, max_size=5)


def test_in_frames(rounds):
    """Fragments, control frames between them, any payloads."""

    def body(units, fragments, cuts, controls):
        reader, subscriber = FrameReader(), Subscriber()
        for part in pieces(in_frames(units, fragments, controls), cuts):
            for opcode, found in reader.feed(part):
                if opcode in (TEXT, BINARY):
                    subscriber.event(found, 1)
        subscriber.check(units)

    rounds(body, units=UNITS, fragments=CUTS, cuts=CUTS, controls=CONTROLS)


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
def test_in_event_streams(rounds, is_compressed):
    """Chunks that end anywhere, and members of gzip too."""
    coding = b"Content-Encoding: gzip\r\n" if is_compressed else b""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n" % coding

    def body(units, members, chunks, cuts):
        sent = in_events(units)
        if is_compressed:
            sent = b"".join(map(gzip.compress, pieces(sent, members)))
        read, parser = body_of(parse_response_head(head)), EventStreamParser()
        subscriber = Subscriber()
        for part in pieces(in_chunks(sent, chunks), cuts):
            for event in parser.read(read.feed(part)):
                subscriber.event(event.data, 1)
            read.feed(b"")
        subscriber.check(units)

    rounds(body, units=UNITS, members=CUTS, chunks=CUTS, cuts=CUTS)


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
def test_in_answers_to_polls(rounds, is_compressed):
    """Any JSON between the messages, and interim answers before them."""
    coding = b"Content-Encoding: gzip\r\n" if is_compressed else b""
    heads = b"HTTP/1.1 103 Hm\r\n\r\n" * 2 + b"HTTP/1.1 200 OK\r\n" + coding

    def body(units, cuts, chunks):
        entries = [MESSAGES[unit].decode() if type(unit) is int else [unit] for unit in units]
        page = json.dumps({"messages": entries, "next": "1"}, allow_nan=False).encode()
        page = gzip.compress(page) if is_compressed else page
        if chunks:
            sent = heads + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(page, chunks)
            sent += b"0\r\n\r\n"
        else:
            sent = heads + b"Content-Length: %d\r\n\r\n%s" % (len(page), page)
        reader, subscriber = AnswerReader(), Subscriber()
        for part in pieces(sent, cuts):
            assert not reader.complete
            reader.feed(part)
        for event in reader.answer(Layout()).events:
            subscriber.event(event, 1)
        subscriber.check([unit for unit in units if type(unit) is int])

    others = JSON_VALUES.filter(_is_written)
    units = st.lists(st.integers(0, COUNT - 1) | others.map(lambda value: [value]), max_size=30)
    rounds(body, units=units, cuts=CUTS, chunks=st.just([]) | CUTS)


def _is_written(value):
    """Whether JSON, and its fast parser, know a value."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return "\\ud" not in text


class Framed:
    """Receives plain text from a stream, and counts the messages in its frames."""

    def __init__(self):
        self.reader, self.subscriber = FrameReader(), Subscriber()

    def arrived(self, data, kernel_ns):
        for opcode, found in self.reader.feed(data):
            if opcode in (TEXT, BINARY):
                self.subscriber.event(found, kernel_ns)

    def broken(self, error):
        raise error


def test_over_tls(rounds):
    """Records that end anywhere, read in pieces that end anywhere."""
    with tls_session() as (stream, server):

        def body(units, records, cuts):
            receiver = Framed()
            stream._receiver = receiver
            for record in pieces(in_frames(units, [1000], [b""]), records):
                server.session.write(record)
            for part in pieces(server.written(), cuts):
                stream.arrived(part, 1)
            receiver.subscriber.check(units)

        rounds(body, units=UNITS, records=CUTS, cuts=CUTS)
