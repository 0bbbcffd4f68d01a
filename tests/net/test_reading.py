"""Reading many sockets in rounds: what arrives is handed over once, whole, and to its own taker."""

import _socket
import os
import socket
import time

import gevent
import pytest
from gevent import get_hub

from harness.net.reading import RECEIVE_BYTES, Reader
from harness.net.stream import TcpStream, open_socket

WITHIN_S = 10.0


class Taker:
    """Keeps what it is given, and then does as it is told."""

    def __init__(self, then=lambda: None):
        self.chunks = []
        self.errors = []
        self.then = then

    def arrived(self, data, kernel_ns):
        self.chunks.append(data)
        self.then()

    def broken(self, error):
        self.errors.append(error)
        self.then()


@pytest.fixture
def connect():
    """Return a function that connects a stream to a new peer."""
    opened = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pair():
            stream = TcpStream(open_socket(listener.getsockname(), time.monotonic() + WITHIN_S))
            peer = listener.accept()[0]
            opened.extend((stream, peer))
            return stream, peer

        yield pair
        for one in opened:
            one.close()


def wait_for(condition):
    """Let the loop run until the condition holds."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        gevent.sleep(0.005)


def let_loop_run():
    """Give the loop several rounds."""
    for _ in range(5):
        gevent.sleep(0.002)


def test_bytes_and_the_end_behind_them_both_arrive(connect):
    """A peer that sends and closes at once is read twice, though the kernel tells of it once."""
    stream, peer = connect()
    taker = Taker()
    taker.then = lambda: taker.chunks[-1] or stream.close()
    peer.sendall(b"last words")
    peer.close()
    stream.read_to(taker)
    wait_for(lambda: b"" in taker.chunks)
    assert [b"last words", b""] == taker.chunks


def test_more_than_one_read_holds_arrives_whole(connect):
    """A read that filled its buffer is followed by another, without anything new arriving."""
    stream, peer = connect()
    sent = os.urandom(3 * RECEIVE_BYTES + 1)
    taker = Taker()
    stream.read_to(taker)
    gevent.get_hub().threadpool.spawn(peer.sendall, sent)
    wait_for(lambda: sum(map(len, taker.chunks)) == len(sent))
    assert sent == b"".join(taker.chunks)


def test_stream_closed_by_another_in_the_same_round_is_not_read(connect):
    """Whoever comes first closes both; the other's bytes are nobody's any more."""
    (first, one), (second, other) = connect(), connect()
    both = Taker(lambda: (first.close(), second.close()))
    first.read_to(both)
    second.read_to(both)
    one.sendall(b"a")
    other.sendall(b"a")
    wait_for(lambda: both.chunks)
    let_loop_run()
    assert [b"a"] == both.chunks


def test_taker_that_fails_starves_no_other(connect, capsys):
    """Its error is reported, and the sockets behind it in the round are read all the same."""
    takers = [Taker(lambda: 1 / 0), Taker(), Taker(lambda: 1 / 0), Taker()]
    peers = []
    for taker in takers:
        stream, peer = connect()
        stream.read_to(taker)
        peers.append(peer)
    for peer in peers:
        peer.sendall(b"x")
    wait_for(lambda: all(taker.chunks for taker in takers))
    assert [[b"x"]] * 4 == [taker.chunks for taker in takers]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_what_arrives_during_a_pause_comes_after_it(connect):
    """Nothing is handed over while paused, and nothing is lost by it."""
    stream, peer = connect()
    taker = Taker()
    stream.read_to(taker)
    stream.pause(paused=True)
    peer.sendall(b"meanwhile")
    let_loop_run()
    before = list(taker.chunks)
    stream.pause(paused=False)
    wait_for(lambda: taker.chunks)
    assert ([], [b"meanwhile"]) == (before, taker.chunks)


def test_end_of_a_pause_begins_no_reading_before_its_time(connect):
    """While a join's greenlet still reads by itself, nobody else does."""
    stream, peer = connect()
    stream.pause(paused=False)
    peer.sendall(b"an answer")
    let_loop_run()
    data, kernel_ns = stream.receive()
    assert b"an answer" == data
    assert abs(time.time_ns() - kernel_ns) < WITHIN_S * 1e9


def test_reset_is_told_as_an_error(connect):
    """A connection that is reset did not end: the taker hears why."""
    stream, peer = connect()
    taker = Taker(stream.close)
    stream.read_to(taker)
    peer.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    wait_for(lambda: taker.errors)
    assert [ConnectionResetError] == list(map(type, taker.errors))


def test_nothing_is_left_open_when_nobody_reads(connect, monkeypatch):
    """The last stream that closes takes the reader's own descriptor and watcher with it."""
    reader = Reader()  # One of its own: what other tests left in the hub's is not in question.
    monkeypatch.setattr("harness.net.stream.reader", lambda: reader)
    watched = get_hub().loop.activecnt
    streams = [connect() for _ in range(3)]
    for stream, _ in streams:
        stream.read_to(Taker())
    epoll = reader._epoll
    assert not epoll.closed
    for stream, peer in streams:
        stream.close()
        peer.close()
    assert epoll.closed
    assert {-1} == {stream.sock.fileno() for stream, _ in streams}
    assert watched == get_hub().loop.activecnt
