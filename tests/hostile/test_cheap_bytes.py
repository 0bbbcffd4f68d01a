"""Bytes that cost the sender little and a careless reader much: linear work, and an end to it."""

import time
import tracemalloc

import pytest

from harness.core import peer_limits
from harness.core.errors import RemoteProtocolError
from harness.core.peer_limits import MAX_MESSAGE_BYTES, HeldBytes
from harness.net.frames import FrameReader
from harness.systems.server_sent_events.wire import EventStreamParser
from tests.hostile.conftest import MOST_LAG_S, server_frame
from tests.support.listeners import wait_for

TEXT, CONTINUATION, CLOSE, PING = 1, 0, 8, 9
MOST_CPU_S = 5.0
"""Far more than linear work needs here, and far less than quadratic work."""

FRAME_ATTACKS = {
    "40,000 empty continuations": (
        server_frame(TEXT, b"", final=False) + 40_000 * server_frame(CONTINUATION, final=False),
        "flood",
    ),
    "40,000 continuations of one byte": (
        server_frame(TEXT, b"", final=False)
        + 40_000 * server_frame(CONTINUATION, b"x", final=False),
        "flood",
    ),
    "243,000 pings": (243_000 * server_frame(PING, b"x" * 100), "flood"),
    "a frame of 8 MB": (server_frame(TEXT, b"x" * 8_000_000), "oversize"),
    "a frame of 2^63 bytes": (b"\x81\x7f" + (2**63 - 1).to_bytes(8, "big"), "oversize"),
    "fragments of 5 MB in all": (
        server_frame(TEXT, b"", final=False)
        + 80 * server_frame(CONTINUATION, b"x" * 65_000, final=False),
        "oversize",
    ),
}
STREAM_ATTACKS = {
    "a line of 8 MB without an end": (8000 * [1000 * b"x"], "oversize"),
    "an id of 8 MB": ([b"id: " + b"7" * 8_000_000 + b"\n\n"], "oversize"),
    "data lines of 8 MB without an end": (8000 * [b"data: " + 993 * b"x" + b"\n"], "oversize"),
    "an event type of 8 MB": ([b"event: " + b"e" * 8_000_000], "oversize"),
    "a million comments": (100 * [10_000 * b":\n"], "flood"),
    "a million empty lines": (100 * [10_000 * b"\n"], "flood"),
}


def ends(client):
    """Wait for the end; return how often and under which name it was told."""
    wait_for(lambda: client.listener.ends)
    return [outcome for _, _, outcome in client.listener.ends]


@pytest.mark.parametrize(("sent", "name"), FRAME_ATTACKS.values(), ids=FRAME_ATTACKS)
def test_socket_that_costs_too_much_is_closed_once_and_named(
    server, socket_user, longest_stand_s, sent, name
):
    """Its bytes never keep the loop; what it did is the outcome."""
    server.then = [sent]
    socket_user.join()
    assert [name] == ends(socket_user)
    assert [("receive", name)] == socket_user.listener.refused_at
    assert longest_stand_s() < MOST_LAG_S


@pytest.mark.parametrize(("sent", "name"), STREAM_ATTACKS.values(), ids=STREAM_ATTACKS)
def test_stream_that_costs_too_much_is_closed_once_and_named(
    server, stream_user, longest_stand_s, sent, name
):
    """As on a socket."""
    server.then = sent
    stream_user.join()
    assert [name] == ends(stream_user)
    assert [("receive", name)] == stream_user.listener.refused_at
    assert longest_stand_s() < MOST_LAG_S


def test_frame_in_small_pieces_is_read_in_linear_time():
    """Four megabytes in 100-byte pieces arrive whole."""
    frame = server_frame(TEXT, b"x" * (MAX_MESSAGE_BYTES - 100))
    reader, messages, began_s = FrameReader(), [], time.process_time()
    for start in range(0, len(frame), 100):
        messages += reader.feed(frame[start : start + 100])
    assert [MAX_MESSAGE_BYTES - 100] == [len(message.payload) for message in messages]
    assert time.process_time() - began_s < MOST_CPU_S


def test_line_in_small_pieces_is_read_in_linear_time():
    """An event of almost four megabytes in 100-byte pieces is one event."""
    line = b"data: " + b"x" * (MAX_MESSAGE_BYTES - 100)
    parser, began_s = EventStreamParser(), time.process_time()
    for start in range(0, len(line), 100):
        assert [] == parser.feed(line[start : start + 100])
    assert [MAX_MESSAGE_BYTES - 100] == [len(event.data) for event in parser.feed(b"\n\n")]
    assert time.process_time() - began_s < MOST_CPU_S


def test_what_all_connections_hold_is_bounded(monkeypatch):
    """The connection that crosses the limit of the process fails; an end gives its bytes back."""
    held_bytes = HeldBytes.total
    monkeypatch.setattr(peer_limits, "MAX_HELD_BYTES", held_bytes + 2500)
    readers = [FrameReader() for _ in range(3)]
    half = server_frame(TEXT, b"x" * 2000)[:1000]
    for reader in readers[:2]:
        list(reader.feed(half))
    with pytest.raises(RemoteProtocolError, match="of all connections"):
        list(readers[2].feed(half))
    del reader, readers
    assert held_bytes == HeldBytes.total


def test_lines_of_data_are_not_kept_as_objects():
    """An event of many short lines takes little more memory than its bytes."""
    lines, parser = 3000 * b"data:\xc3\xa9\xc3\n", EventStreamParser()
    tracemalloc.start()
    for _ in range(50):
        assert [] == parser.feed(lines)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * 50 * len(lines)
    (event,) = parser.feed(b"\n")
    assert event.data == b"\n".join(50 * 3000 * [b"\xc3\xa9\xc3"])


def test_fragments_are_not_kept_as_objects():
    """A message of ten thousand fragments takes little more memory than its bytes."""
    fragments = 9999 * server_frame(CONTINUATION, b"x" * 10, final=False)
    tracemalloc.start()
    reader = FrameReader()
    assert [] == list(reader.feed(server_frame(TEXT, b"", final=False) + fragments))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4 * 9999 * 10


@pytest.mark.parametrize(
    "behind",
    [server_frame(CLOSE, b"\x03\xe9bye"), b"\xff" * 500, server_frame(PING), b"\x81"],
    ids=["a second close", "rubbish", "a ping", "half a frame"],
)
def test_close_ends_the_reading_once(server, socket_user, behind):
    """Whatever follows a close frame in the same bytes means nothing."""
    server.then = [server_frame(CLOSE, b"\x03\xe8bye") + behind]
    socket_user.join()
    wait_for(lambda: socket_user.listener.ends)
    assert [(1000, "bye", "")] == socket_user.listener.ends
    assert [] == socket_user.listener.refusals
