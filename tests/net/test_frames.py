import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from harness.core.errors import RemoteProtocolError
from harness.net.frames import (
    CLOSE,
    NO_STATUS,
    PING,
    TEXT,
    FrameReader,
    client_frame,
    close_frame,
    parse_close,
)

PAYLOADS = st.one_of(
    st.binary(max_size=200), st.integers(65_530, 65_545).map(lambda size: b"x" * size)
)


def server_frame(opcode, payload, *, final=True):
    """A frame as a server sends it, made by the websockets library."""
    return Frame(Opcode(opcode), payload, fin=final).serialize(mask=False)


def read(chunks):
    reader = FrameReader()
    return [tuple(message) for chunk in chunks for message in reader.feed(chunk)], reader


@given(st.lists(PAYLOADS, max_size=4), st.lists(st.integers(0, 70_000), max_size=6))
def test_any_split_of_any_frames_gives_the_same_messages(payloads, cuts):
    """Where the network cuts the bytes does not matter, 16- and 64-bit lengths included."""
    data = b"".join(server_frame(TEXT, payload) for payload in payloads)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found, reader = read([data[a:b] for a, b in itertools.pairwise(edges)])
    assert [(TEXT, payload) for payload in payloads] == found
    assert reader.idle


@given(st.lists(st.binary(max_size=20), min_size=2, max_size=5))
def test_fragments_are_joined_around_control_frames(parts):
    """A ping between the fragments of a message is delivered at once and disturbs nothing."""
    frames = [server_frame(TEXT, parts[0], final=False)]
    frames += [server_frame(0, part, final=False) for part in parts[1:-1]]
    frames += [server_frame(PING, b"hi"), server_frame(0, parts[-1])]
    assert [(PING, b"hi"), (TEXT, b"".join(parts))] == read(frames)[0]


@given(st.binary(max_size=300))
def test_hostile_bytes_raise_only_our_error(data):
    """Garbage is a protocol error of the other side and never a crash."""
    try:
        read([data])
    except RemoteProtocolError as error:
        assert str(error).startswith("WebSocket frame: found ")  # noqa: PT017  both ends are right


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\xc1\x00", "reserved bits set"),
        (b"\x83\x00", "opcode 3"),
        (b"\x81\x80\x00\x00\x00\x00", "a masked frame"),
        (b"\x80\x00", "a continuation frame"),
        (b"\x01\x00\x81\x00", "a new message"),
        (b"\x09\x00", "a fragmented or oversize control frame"),
        (b"\x89\x7e\x00\x7e" + bytes(126), "a fragmented or oversize control frame"),
        (b"\x81\x7f" + b"\x7f" * 8, "a frame of"),
    ],
)
def test_each_breach_of_the_protocol_is_named(data, found):
    """The error says which rule the server broke."""
    with pytest.raises(RemoteProtocolError, match=found):
        read([data])


def test_incomplete_frame_is_kept_for_the_next_bytes():
    """Half a frame is not idle, and not lost."""
    frame = server_frame(TEXT, b"whole")
    found, reader = read([frame[:3]])
    assert ([], False) == (found, reader.idle)
    assert [(TEXT, b"whole")] == [tuple(message) for message in reader.feed(frame[3:])]


def test_close_frame_gives_code_and_reason():
    """The reason is text even when the server's bytes are not UTF-8."""
    assert (1001, "bye") == parse_close(b"\x03\xe9bye")
    assert (NO_STATUS, "") == parse_close(b"")
    assert (1000, "\ufffd") == parse_close(b"\x03\xe8\xff")


def test_client_frames_are_masked():
    """A server must refuse unmasked frames of a client."""
    assert client_frame(TEXT, b"x")[1] & 0x80
    assert close_frame(1000)[0] & 0x0F == CLOSE
