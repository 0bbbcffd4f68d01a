import _socket
import contextlib
import fcntl
import os
import resource
import socket
import sys
import termios
import time
from pathlib import Path

import gevent
import numpy as np
import pytest
from gevent import get_hub

from harness.net.reading import RECEIVE_BYTES
from harness.net.ring_reading import FEW, RingReader
from harness.net.stream import RESERVED_FILES, TcpStream, open_socket
from tests.support import waiting
from tests.support.listeners import wait_for
from tests.support.waiting import PATIENCE_S


class Receiver:
    """Keeps what it is given, and then does as it is told."""

    def __init__(self, then=lambda: None):
        self.chunks = []
        self.stamps_ns = []
        self.errors = []
        self.then = then

    def arrived(self, data, kernel_ns):
        self.chunks.append(data)
        self.stamps_ns.append(kernel_ns)
        self.then()

    def broken(self, error):
        self.errors.append(error)
        self.then()


@pytest.fixture
def reader(any_reader, monkeypatch):
    """One of its own, of each kind: what other tests left in the hub's is not in question."""
    monkeypatch.setattr("harness.net.stream.reader", lambda: any_reader)
    return any_reader


@pytest.fixture
def connect(reader):
    """Return a function that connects a stream to a new peer."""
    opened = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pair():
            stream = TcpStream(open_socket(listener.getsockname(), time.monotonic() + PATIENCE_S))
            peer = listener.accept()[0]
            opened.extend((stream, peer))
            return stream, peer

        yield pair
        for one in opened:
            one.close()


@pytest.fixture
def reading(connect):
    """Return a function that connects a stream, its peer and a receiver that reads it."""

    def read(then=lambda: None):
        stream, peer = connect()
        receiver = Receiver(then)
        stream.read_to(receiver)
        return stream, peer, receiver

    return read


def let_loop_run():
    """Give the loop several rounds."""
    for _ in range(5):
        gevent.sleep(0.002)


def descriptors():
    """Return how many files this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_bytes_and_the_end_behind_them_both_arrive(connect):
    """A peer that sends and closes at once is read twice, though the kernel tells of it once."""
    stream, peer = connect()
    receiver = Receiver()
    receiver.then = lambda: receiver.chunks[-1] or stream.close()
    peer.sendall(b"last words")
    peer.close()
    stream.read_to(receiver)
    wait_for(lambda: b"" in receiver.chunks)
    assert [b"last words", b""] == receiver.chunks


def test_more_than_one_read_holds_arrives_whole(reading):
    """A read that filled its buffer is followed by another, without anything new arriving."""
    _, peer, receiver = reading()
    sent = os.urandom(3 * RECEIVE_BYTES + 1)
    gevent.get_hub().threadpool.spawn(peer.sendall, sent)
    wait_for(lambda: sum(map(len, receiver.chunks)) == len(sent))
    assert sent == b"".join(receiver.chunks)


def test_socket_of_the_last_files_is_refused_and_they_stay_free(connect):
    """What else the process opens then, such as its record, still finds a file."""
    _, peer = connect()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (peer.fileno() + RESERVED_FILES, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            connect()
        with contextlib.ExitStack() as opened:
            for _ in range(RESERVED_FILES - 8):
                opened.enter_context(Path("/dev/null").open())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_stream_closed_by_another_in_the_same_round_is_not_read(connect):
    """The first one closes both; the other's bytes are discarded."""
    (first, one), (second, other) = connect(), connect()
    both = Receiver(lambda: (first.close(), second.close()))
    first.read_to(both)
    second.read_to(both)
    one.sendall(b"a")
    other.sendall(b"a")
    wait_for(lambda: both.chunks)
    let_loop_run()
    assert [b"a"] == both.chunks


def test_taker_that_fails_starves_no_other(connect, capsys):
    """Its error is reported, and the sockets behind it in the round are read all the same."""
    receivers = [Receiver(lambda: 1 / 0), Receiver(), Receiver(lambda: 1 / 0), Receiver()]
    peers = []
    for receiver in receivers:
        stream, peer = connect()
        stream.read_to(receiver)
        peers.append(peer)
    for peer in peers:
        peer.sendall(b"x")
    wait_for(lambda: all(receiver.chunks for receiver in receivers))
    assert [[b"x"]] * 4 == [receiver.chunks for receiver in receivers]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_what_arrives_during_a_pause_comes_after_it(reading):
    """Nothing is handed over while paused, and nothing is lost by it."""
    stream, peer, receiver = reading()
    stream.pause(paused=True)
    peer.sendall(b"meanwhile")
    let_loop_run()
    before = list(receiver.chunks)
    stream.pause(paused=False)
    wait_for(lambda: receiver.chunks)
    assert ([], [b"meanwhile"]) == (before, receiver.chunks)


def test_end_of_a_pause_begins_no_reading_before_its_time(connect):
    """While a join's greenlet reads, the loop does not."""
    stream, peer = connect()
    stream.pause(paused=False)
    peer.sendall(b"an answer")
    let_loop_run()
    data, kernel_ns = stream.receive()
    assert b"an answer" == data
    assert abs(time.time_ns() - kernel_ns) < PATIENCE_S * 1e9


def test_reset_is_told_as_an_error(reading):
    """A connection that is reset did not end: the receiver hears why."""
    stream, peer, receiver = reading()
    receiver.then = stream.close
    peer.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    wait_for(lambda: receiver.errors)
    assert [ConnectionResetError] == list(map(type, receiver.errors))


def test_nothing_is_left_open_without_a_reader(connect):
    """The last stream that closes takes the reader's own descriptors and watcher with it."""
    pairs = [connect() for _ in range(3)]
    watched, held = get_hub().loop.activecnt, descriptors()
    for stream, _ in pairs:
        stream.read_to(Receiver())
    assert descriptors() > held
    for stream, peer in pairs:
        stream.close()
        peer.close()
    assert held - 2 * len(pairs) == descriptors()
    assert {-1} == {stream.sock.fileno() for stream, _ in pairs}
    assert watched == get_hub().loop.activecnt


def test_peer_hears_of_a_close_at_once(reading):
    """Whatever the kernel still waited for on a socket does not keep its connection alive."""
    stream, peer, _ = reading()
    reading()
    stream.close()
    peer.settimeout(PATIENCE_S)
    assert b"" == peer.recv(1)


def test_many_more_bytes_than_there_are_buffers_all_arrive_in_order(connect):
    """While the loop is elsewhere more comes than can be copied at once; nothing is lost by it."""
    pairs = [connect() for _ in range(40)]
    receivers = [Receiver() for _ in pairs]
    sent = [os.urandom(300_000) for _ in pairs]
    for (stream, peer), receiver, data in zip(pairs, receivers, sent, strict=True):
        stream.read_to(receiver)
        peer.setblocking(False)
        assert len(data) == peer.send(data)
    wait_for(lambda: all(sum(map(len, t.chunks)) == 300_000 for t in receivers))
    assert sent == [b"".join(receiver.chunks) for receiver in receivers]


def test_arrival_is_the_time_of_the_kernel(reading):
    """However late the loop looks, here 200 ms, it tells when the bytes came."""
    _, peer, receiver = reading()
    peer.sendall(b"first")  # The kernel begins to stamp a moment after it was asked to.
    wait_for(lambda: receiver.chunks)
    gevent.sleep(0.1)
    before_ns = time.time_ns()
    peer.sendall(b"second")
    time.sleep(0.2)
    looks_ns = time.time_ns()
    wait_for(lambda: len(receiver.chunks) == 2)
    assert before_ns <= receiver.stamps_ns[1] < looks_ns


def test_socket_of_the_same_number_gets_nothing_of_its_predecessor(reading):
    """What had come for a closed socket is not told to the one that got its number."""
    stream, peer, _ = reading()
    number = stream.sock.fileno()
    reading()
    peer.sendall(b"for the first")
    stream.close()
    successor, other, receiver = reading()
    assert number == successor.sock.fileno()
    other.sendall(b"for the second")
    wait_for(lambda: receiver.chunks)
    let_loop_run()
    assert [b"for the second"] == receiver.chunks


def test_paused_stream_that_is_closed_is_told_nothing_more(reading):
    """Neither bytes that the kernel had copied before the pause, nor the end behind them."""
    stream, peer, receiver = reading()
    reading()
    peer.sendall(b"too late")
    peer.close()
    for paused in (True, False, True):
        stream.pause(paused=paused)
    stream.close()
    stream.pause(paused=False)
    let_loop_run()
    assert ([], []) == (receiver.chunks, receiver.errors)


def test_stream_paused_and_resumed_ever_again_loses_nothing(connect):
    """However often within one round, in a receiver's call too, it is read once and in order."""
    stream, peer = connect()
    sent = os.urandom(500_000)
    receiver = Receiver()

    def again():
        for paused in (True, False, True, False):
            stream.pause(paused=paused)

    receiver.then = again
    stream.read_to(receiver)
    get_hub().threadpool.spawn(peer.sendall, sent)
    wait_for(lambda: sum(map(len, receiver.chunks)) == len(sent))
    assert sent == b"".join(receiver.chunks)
    stream.close()
    peer.settimeout(PATIENCE_S)
    assert b"" == peer.recv(1)


def test_end_without_a_time_of_the_kernel_gets_ours(connect):
    """Not that of the message that had its buffer before."""
    pairs = [connect() for _ in range(60)]
    receivers = [Receiver() for _ in pairs]
    for (stream, peer), receiver in zip(pairs, receivers, strict=True):
        stream.read_to(receiver)
        peer.sendall(bytes(200_000))
    wait_for(lambda: all(sum(map(len, receiver.chunks)) == 200_000 for receiver in receivers))
    time.sleep(0.01)
    before_ns = time.time_ns()
    pairs[0][1].close()
    wait_for(lambda: receivers[0].chunks[-1] == b"")
    assert before_ns <= receivers[0].stamps_ns[-1] <= time.time_ns()


class Member(Receiver):
    """One of a group, which keeps what it was called with in a list of all."""

    def __init__(self, calls, *, willing):
        super().__init__()
        self.calls = calls
        self.willing = willing
        self.stamps_ns = []

    def arrived(self, data, kernel_ns):
        self.calls.append((data, 1))
        self.chunks.append(data)
        self.stamps_ns.append(kernel_ns)

    def arrived_together(self, data, receivers, stamps_ns):
        assert receivers[0] is self
        if not self.willing:
            return False
        self.calls.append((data, len(receivers)))
        for receiver, stamp_ns in zip(receivers, stamps_ns.tolist(), strict=True):
            receiver.chunks.append(data)
            receiver.stamps_ns.append(stamp_ns)
        return True


def group_of(pairs, group, calls, *, willing=True):
    """Let as many members of a group read from streams."""
    members = [Member(calls, willing=willing) for _ in pairs]
    for (stream, _), member in zip(pairs, members, strict=True):
        stream.read_to(member, group)
    return members


def broadcast(pairs, *messages):
    """Send each message to all peers before the next; return realtime before each of them."""
    times_ns = []
    for message in messages:
        times_ns.append(time.time_ns())
        for _, peer in pairs:
            peer.sendall(message)
        wait_until_received(pairs)
    return times_ns


def wait_until_received(pairs):
    """Wait, while no loop runs, until the kernel has what peers sent in the sockets it is for."""
    waiting.wait_for(lambda: not any(unacknowledged(peer) for _, peer in pairs))


def unacknowledged(peer):
    """Return how many bytes the other end's kernel has not acknowledged."""
    return int.from_bytes(fcntl.ioctl(peer, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("any_reader", [RingReader], indirect=True)
def test_group_gets_equal_bytes_in_one_call_each_with_its_own_time(connect):
    """The first by itself only where it has to teach the others."""
    pairs, calls = [connect() for _ in range(3 * FEW)], []
    members = group_of(pairs, object(), calls)
    before_ns = time.time_ns()
    for _, peer in pairs:
        peer.sendall(b"news")
        time.sleep(0.001)
    wait_until_received(pairs)
    wait_for(lambda: all(member.chunks for member in members))
    assert [(b"news", 3 * FEW)] == calls
    stamps_ns = np.array([member.stamps_ns[0] for member in members])
    assert before_ns <= stamps_ns[0]
    assert (np.diff(stamps_ns) > 0).all()


@pytest.mark.parametrize("any_reader", [RingReader], indirect=True)
def test_group_that_declines_gets_bytes_one_by_one(connect):
    """Nothing is told twice for the offer."""
    pairs, calls = [connect() for _ in range(3 * FEW)], []
    members = group_of(pairs, object(), calls, willing=False)
    broadcast(pairs, b"news")
    wait_for(lambda: all(member.chunks for member in members))
    let_loop_run()
    assert [(b"news", 1)] * (3 * FEW) == calls
    assert [[b"news"]] * (3 * FEW) == [member.chunks for member in members]


@pytest.mark.parametrize("any_reader", [RingReader], indirect=True)
def test_equal_bytes_around_others_keep_their_order(connect, reader):
    """A, B, A for each, copied one after another and handed over in one round."""
    pairs, calls = [connect() for _ in range(2 * FEW)], []
    members = group_of(pairs, object(), calls)
    for message in (b"A", b"B", b"A"):
        broadcast(pairs, message)
        while reader._ring.may_have_more:  # As any call to the kernel would.
            reader._ring._io.work(1)
    wait_for(lambda: all(len(member.chunks) == 3 for member in members))
    assert [(b"A", 2 * FEW), (b"B", 2 * FEW), (b"A", 2 * FEW)] == calls
    assert [[b"A", b"B", b"A"]] * (2 * FEW) == [member.chunks for member in members]


@pytest.mark.parametrize("any_reader", [RingReader], indirect=True)
def test_two_groups_and_receivers_without_one_each_get_their_bytes(connect):
    """Though the bytes are equal, a call is for one group, and who has none gets its own."""
    pairs = [connect() for _ in range(6 * FEW)]
    first, second, alone = [], [], []
    members = [
        *group_of(pairs[0::3], object(), first),
        *group_of(pairs[1::3], object(), second),
        *group_of(pairs[2::3], None, alone),
    ]
    broadcast(pairs, b"news")
    wait_for(lambda: all(member.chunks for member in members))
    let_loop_run()
    assert [(b"news", 2 * FEW)] == first == second
    assert [(b"news", 1)] * (2 * FEW) == alone
    assert [[b"news"]] * (6 * FEW) == [member.chunks for member in members]
