import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import RemoteProtocolError
from harness.core.outside_text import register_secret
from harness.core.peer_limits import MAX_MESSAGE_BYTES
from harness.net.http_stream import (
    ChunkedBody,
    PlainBody,
    ResponseHead,
    body_of,
    parse_response_head,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"


def chunked(parts, extension=b""):
    """Encode parts by RFC 9112, section 7.1."""
    chunks = [b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts]
    return b"".join(chunks) + b"0\r\nTrailer: x\r\n\r\n"


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.sampled_from([b"", b";a=b", b' ; q="x"']),
    st.lists(st.integers(0, 400), max_size=10),
)
def test_any_split_of_a_chunked_body_gives_the_body(parts, extension, cuts):
    """Where the network cuts changes nothing, and what follows the body is not part of it."""
    stream = chunked(parts, extension)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    body = ChunkedBody()
    assert b"".join([body.feed(stream[a:b]) for a, b in pairwise(places)]) == b"".join(parts)
    assert body.ended
    assert body.feed(b"HTTP/1.1 200") == b""


def test_chunked_body_is_idle_only_between_chunks():
    """The frame_cache of equal bytes relies on it."""
    body = ChunkedBody()
    states = [body.idle]
    for piece in (b"3", b"\r\nab", b"c", b"\r", b"\n", b"0\r\n"):
        body.feed(piece)
        states.append(body.idle)
    assert states == [True, False, False, False, False, True, False]


@pytest.mark.parametrize(
    "stream", [b"xyz\r\n", b"\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"3\r\nabc\n"]
)
def test_body_that_is_not_chunked_as_told_is_refused(stream):
    """A worker must not guess where a message ends."""
    body = ChunkedBody()
    with pytest.raises(RemoteProtocolError, match="chunked body"):
        b"".join(map(body.feed, (stream, b"")))


def test_endless_size_line_is_refused():
    """A worker's memory is not the server's to fill."""
    with pytest.raises(RemoteProtocolError, match="an endless line"):
        ChunkedBody().feed(b"1;" + b"x" * 20_000)


def test_head_gives_status_and_media_type_without_parameters():
    """Names are case-insensitive, parameters are ignored."""
    head = parse_response_head(HEAD + b"\r\n")
    assert (head.status, head.media_type) == (200, "text/event-stream")


def test_head_that_is_no_http_is_refused():
    """Something else may listen on the port."""
    with pytest.raises(RemoteProtocolError, match="SSH-2"):
        parse_response_head(b"SSH-2.0-OpenSSH\r\n\r\n")


def test_body_follows_the_head():
    """Chunked, with a length, or to the end of the connection."""
    in_chunks = parse_response_head(HEAD + b"Transfer-Encoding: Chunked\r\n\r\n")
    assert isinstance(body_of(in_chunks), ChunkedBody)
    sized = body_of(parse_response_head(HEAD + b"Content-Length: 3\r\n\r\n"))
    assert (sized.feed(b"abcdef"), sized.ended) == (b"abc", True)
    assert PlainBody().feed(b"abc") == b"abc"
    with pytest.raises(RemoteProtocolError, match="gzip"):
        body_of(parse_response_head(HEAD + b"Transfer-Encoding: gzip\r\n\r\n"))


def test_compressed_body_may_expand_to_what_its_reader_takes():
    """An answer to a poll may be longer than one message."""
    head = ResponseHead(200, {"content-length": "", "content-encoding": "gzip"})
    page = b"x" * (MAX_MESSAGE_BYTES + 1)
    assert page == body_of(head, len(page) + 1).feed(gzip.compress(page))


def test_answer_of_http_1_0_closes_unless_it_says_otherwise():
    """Only a later version keeps connections by itself."""
    for head, connection in (
        (b"HTTP/1.0 200 OK\r\n\r\n", "close"),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
    ):
        assert connection == parse_response_head(head).headers.get("connection", "")


KEY = "kq9Zt3Vb7Lw2Xn5Rf8Yc"


@pytest.mark.parametrize(
    "answer",
    [
        b"-" * 70 + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b"-" * 24 + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + b"-" * 24 + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"-" * 24 + KEY.encode(),
    ],
)
def test_an_error_that_cuts_the_answer_shows_no_part_of_a_secret(answer):
    """A server may repeat the key where the harness shows only the beginning."""
    register_secret("KEY", KEY)
    head, _, rest = answer.partition(b"\r\n\r\n")

    with pytest.raises(RemoteProtocolError) as broken:
        body_of(parse_response_head(head + b"\r\n\r\n")).feed(rest + b"\r\n")

    assert KEY[:6].lower() not in str(broken.value).lower()


@pytest.mark.parametrize("length", [b"3, 3", b"3,3", b"3 ,\t3"])
def test_repeated_length_is_one_length_however_it_is_written(length):
    """RFC 9112, section 6.3: equal values may stand in one header."""
    body = body_of(parse_response_head(HEAD + b"Content-Length: " + length + b"\r\n\r\n"))
    assert (b"abc", True) == (body.feed(b"abcd"), body.ended)


def test_lengths_that_differ_are_refused():
    """The end of the body is unknown."""
    with pytest.raises(RemoteProtocolError, match="3, 4"):
        body_of(parse_response_head(HEAD + b"Content-Length: 3,4\r\n\r\n"))
