"""Forms of HTTP, of frames and of event streams that few servers send, and their outcomes."""

import gzip

import pytest

from harness.net.client import JoinError
from tests.hostile.conftest import server_frame
from tests.support.listeners import wait_for

TEXT, CONTINUATION, BINARY, PING, PONG = 1, 0, 2, 9, 10
TYPE = b"Content-Type: text/event-stream\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + TYPE
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EVENT = b"data: hello\n\n"
CHUNK = b"d\r\n" + EVENT + b"\r\n"

READ_STREAMS = {
    "HTTP/1.0 without a length": b"HTTP/1.0 200 OK\r\n" + TYPE + b"\r\n" + EVENT,
    "no reason in the status line": b"HTTP/1.1 200\r\n" + TYPE + b"\r\n" + EVENT,
    "a length and chunks": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK,
    "extensions of a chunk": CHUNKED + b'd;a=1;b="x;y"\r\n' + EVENT + b"\r\n",
    "leading zeros of a size": CHUNKED + b"000000000d\r\n" + EVENT + b"\r\n",
    "chunks of one byte": CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in EVENT),
    "a thousand headers": OK + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n" + EVENT,
    "a header of 60 KB": OK + b"X: " + b"y" * 60_000 + b"\r\n\r\n" + EVENT,
    "a NUL in a header": OK + b"X: a\0b\r\n\r\n" + EVENT,
    "a lone CR in a header": OK + b"X: a\rb\r\n\r\n" + EVENT,
    "a folded type": b"HTTP/1.1 200 OK\r\nContent-Type:\r\n text/event-stream\r\n\r\n" + EVENT,
    "a byte order mark": OK + b"\r\n\xef\xbb\xbf" + EVENT,
    "CR as the end of lines": OK + b"\r\ndata: hello\r\r",
    "CR LF as the end of lines": OK + b"\r\ndata: hello\r\n\r\n",
    "all ends of lines": OK + b"\r\n:\r:\n:\r\ndata: hello\r\n\n",
    "ids and fields that mean nothing": OK + b"\r\nid: \xff\xfe\nfoo\nretry: 1e9\n" + EVENT,
    "chunks, compressed": OK
    + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n%s\r\n" % (len(gzip.compress(EVENT)), gzip.compress(EVENT)),
}
REFUSED_STREAMS = {
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "204"),
    "304": (b"HTTP/1.1 304 Not Modified\r\n\r\n", "304"),
    "206": (b"HTTP/1.1 206 Partial\r\n" + TYPE + b"\r\n", "206"),
    "chunked twice": (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n", "chunked, chunked"),
    "gzip as a transfer coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "gzip"),
    "compressed twice": (OK + b"Content-Encoding: gzip, gzip\r\n\r\n", "gzip, gzip"),
    "a header of 1 MB": (OK + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n", "endless"),
    "HTTP/3": (b"HTTP/3 200 OK\r\n" + TYPE + b"\r\n", "HTTP/3"),
    "no HTTP": (b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n", "HTTP/1.1 was needed"),
}
ENDED_STREAMS = {
    "an infinite chunk": (CHUNKED + CHUNK + b"f" * 16 + b"\r\n", "protocol_error"),
    "a negative chunk": (CHUNKED + CHUNK + b"-5\r\n", "protocol_error"),
    "trailers": (CHUNKED + CHUNK + b"0\r\nX-Sum: 1\r\n\r\n", "stream_end"),
    "an endless extension": (CHUNKED + CHUNK + b"5;" + b"x" * 70_000, "oversize"),
    "compressed, and then not": (
        OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(EVENT) + EVENT,
        "protocol_error",
    ),
}
READ_FRAMES = {
    "the longest form of the length": b"\x81\x7f" + (5).to_bytes(8, "big") + b"hello",
    "binary": server_frame(BINARY, b"hello"),
    "fragments with pings between": server_frame(TEXT, b"he", final=False)
    + server_frame(PING, b"x")
    + server_frame(CONTINUATION, b"l", final=False)
    + server_frame(PONG)
    + server_frame(CONTINUATION, b"lo"),
    "pongs that nobody waits for": 100 * server_frame(PONG, b"x") + server_frame(TEXT, b"hello"),
    "an empty last fragment": server_frame(TEXT, b"hello", final=False)
    + server_frame(CONTINUATION),
}
BROKEN_FRAMES = {
    "compressed without being asked": b"\xc1\x05hello",
    "reserved bits": b"\xb1\x05hello",
    "masked": b"\x81\x85\0\0\0\0hello",
    "2^63 bytes": b"\x81\x7f" + (2**63).to_bytes(8, "big"),
    "a control frame of 126 bytes": b"\x89\x7e\x00\x7e" + b"x" * 126,
    "a control frame in fragments": b"\x09\x00",
    "an unknown opcode": b"\x83\x00",
    "a continuation of nothing": b"\x80\x00",
    "a message within a message": server_frame(TEXT, b"a", final=False) + server_frame(TEXT, b"b"),
}


@pytest.fixture(autouse=True)
def no_traceback(capfd):
    """Nothing that a server sends is a fault of ours."""
    yield
    printed = "".join(capfd.readouterr())
    assert "Traceback" not in printed


@pytest.mark.parametrize("answer", READ_STREAMS.values(), ids=READ_STREAMS)
def test_stream_in_an_odd_form_is_read(server, stream_user, answer):
    """Its event arrives, once."""
    server.answer = answer
    stream_user.join()
    wait_for(lambda: stream_user.listener.heard)
    assert ["hello"] == stream_user.listener.heard


@pytest.mark.parametrize(("answer", "named"), REFUSED_STREAMS.values(), ids=REFUSED_STREAMS)
def test_answer_that_is_no_stream_is_a_failed_join(server, stream_user, answer, named):
    """With its cause."""
    server.answer = answer
    with pytest.raises(JoinError) as caught:
        stream_user.join()
    assert named in caught.value.message


@pytest.mark.parametrize(("answer", "name"), ENDED_STREAMS.values(), ids=ENDED_STREAMS)
def test_stream_that_breaks_or_ends_behind_an_event_delivers_it_and_ends(
    server, stream_user, answer, name
):
    """Once, and under a name."""
    head, _, body = answer.partition(b"\r\n\r\n")
    server.answer, server.then = head + b"\r\n\r\n", [body]
    stream_user.join()
    wait_for(lambda: stream_user.listener.ends)
    assert [name] == [outcome for _, _, outcome in stream_user.listener.ends]
    assert ["hello"] == stream_user.listener.heard


@pytest.mark.parametrize("sent", READ_FRAMES.values(), ids=READ_FRAMES)
def test_frames_in_an_odd_form_are_read(server, socket_user, sent):
    """The message arrives, once, and the connection stays."""
    server.then = [sent]
    socket_user.join()
    wait_for(lambda: socket_user.listener.heard)
    assert (["hello"], []) == (socket_user.listener.heard, socket_user.listener.ends)


@pytest.mark.parametrize("sent", BROKEN_FRAMES.values(), ids=BROKEN_FRAMES)
def test_frames_that_break_the_protocol_end_the_connection_behind_what_was_good(
    server, socket_user, sent
):
    """In the same bytes; once."""
    server.then = [server_frame(TEXT, b"hello") + sent + server_frame(TEXT, b"too late")]
    socket_user.join()
    wait_for(lambda: socket_user.listener.ends)
    assert ["hello"] == socket_user.listener.heard
    assert [1002] == [code for code, _, _ in socket_user.listener.ends]
