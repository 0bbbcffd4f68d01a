"""Any traffic over hundreds of sockets reaches each receiver whole, in order, with its own time."""

import contextlib
import random
import resource
import socket
import time
from collections.abc import Callable

import gevent
import pytest

from harness.net.reading import EpollReader
from harness.net.ring_reading import RingReader, ring_works
from harness.net.stream import SO_TIMESTAMPNS, TcpStream
from tests.fuzz.conftest import SEED
from tests.support.listeners import wait_for

pytestmark = pytest.mark.fuzz

MOST_PAIRS = 300
STEPS = 60
SIZES = (1, 2, 47, 300, 1_400, 4_095, 4_111, 4_112, 4_113, 9_000, 65_537, 300_000)
SIZE_WEIGHTS = (6, 6, 6, 12, 6, 3, 3, 3, 3, 2, 1, 1)
BACKLOG_BYTES = 2_000_000
"""Sent and not yet received at most by all: the kernel's memory for sockets has an end too."""


class Member:
    """One end that is read: what its peer sent, what it got, how often it was told of the end."""

    def __init__(self, listener, crowd, willing):
        self.peer = socket.create_connection(listener.getsockname())
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted = listener.accept()[0]
        self.peer.setblocking(False)
        self.stream = TcpStream(accepted)
        self.crowd, self.willing = crowd, willing
        self.sent, self.got = bytearray(), bytearray()
        self.paused = self.closed = False
        self.ended = 0
        self.behaviour: Callable[[], object] | None = None
        self.last_ns = 0
        self.began_ns = time.time_ns()

    def arrived(self, data, kernel_ns):
        self.take(data, kernel_ns)
        self.act()

    def take(self, data, kernel_ns):
        assert not self.closed, "told after its close"
        assert self.began_ns <= kernel_ns <= time.time_ns()
        assert self.last_ns <= kernel_ns, "times of one stream go backwards"
        self.last_ns = kernel_ns
        self.got += data
        if not data:
            self.ended += 1
            self.stream.close()

    def act(self):
        """Do what is planned for the first call, once."""
        act, self.behaviour = self.behaviour, None
        if act is not None:
            act()

    def arrived_together(self, data, receivers, stamps_ns):
        assert receivers[0] is self
        assert {self.crowd} == {each.crowd for each in receivers}
        if not self.willing:
            return False
        for each, stamp_ns in zip(receivers, stamps_ns.tolist(), strict=True):
            each.take(data, stamp_ns)
        for each in receivers:
            each.act()
        return True

    def broken(self, error):
        raise AssertionError(error)

    def send(self, data):
        with contextlib.suppress(BlockingIOError):
            self.sent += data[: self.peer.send(data)]

    def pause(self, *, paused):
        self.paused = paused
        self.stream.pause(paused=paused)

    def pause_twice(self):
        """Pause and go on, and again, all at once."""
        for paused in (True, False, True, False):
            self.pause(paused=paused)

    def close(self):
        """Close both ends; what came was a beginning of what was sent."""
        if not self.closed:
            self.closed = True
            self.stream.close()
            self.peer.close()
            assert self.sent.startswith(self.got)


class Traffic:
    """Random traffic over one reader, all from one seed."""

    def __init__(self, seed, listener):
        self.draw = random.Random(seed)
        self.listener = listener
        self.crowds = [None, None, object(), object(), object()]
        self.members = []
        self.pairs = self.draw.choice((3, 40, MOST_PAIRS))
        self.replace()

    def join(self):
        crowd = self.draw.choice(self.crowds)
        member = Member(self.listener, crowd, willing=self.draw.random() < 0.8)
        self.members.append(member)
        member.stream.read_to(member, crowd)

    def size(self):
        return self.draw.choices(SIZES, SIZE_WEIGHTS)[0]

    def some(self, share):
        return [member for member in self.members if self.draw.random() < share]

    def broadcast(self):
        """Send the same to many, in a row."""
        data = self.draw.randbytes(min(self.size(), BACKLOG_BYTES // len(self.members)))
        for member in self.some(self.draw.choice((0.3, 0.95, 1.0))):
            member.send(data)

    def others(self):
        """Send something of its own to each of a few."""
        for member in self.some(8 / len(self.members)):
            member.send(self.draw.randbytes(self.size()))

    def pauses(self):
        for member in self.some(0.1):
            member.pause(paused=not member.paused)

    def replace(self):
        """Close some, paused ones and ones with bytes under way, and let as many come."""
        for member in self.some(0.05):
            member.close()
        self.members = [member for member in self.members if not member.closed]
        while len(self.members) < self.pairs:
            self.join()

    def surprises(self):
        """Let some act from within the call that brings them their next bytes."""
        for member in self.some(0.1):
            other = self.draw.choice(self.members)
            acts = (member.close, other.close, member.pause_twice, lambda: 1 / 0)
            member.behaviour = self.draw.choices(acts, (2, 2, 4, 1))[0]

    def loop(self):
        gevent.sleep(self.draw.choice((0, 0, 0.002)))

    def slow_loop(self):
        time.sleep(self.draw.choice((0, 0.003, 0.01)))

    def run(self):
        acts = (
            self.broadcast,
            self.others,
            self.pauses,
            self.replace,
            self.surprises,
            self.loop,
            self.slow_loop,
        )
        for _ in range(STEPS):
            self.draw.choices(acts, (6, 3, 1, 1, 1, 5, 1))[0]()
            self.members = [member for member in self.members if not member.closed]
            if not self.members:
                self.join()
        self.finish()

    def finish(self):
        """Let everything arrive, then the ends, and fail unless it is all there, once."""
        for member in self.members:
            member.behaviour = None
            member.pause(paused=False)
        self.wait_for(lambda each: len(each.got) >= len(each.sent))
        for member in self.members:
            assert member.sent == member.got
            member.peer.shutdown(socket.SHUT_WR)
        self.wait_for(lambda each: each.ended)
        assert [1] * len(self.members) == [member.ended for member in self.members]
        for member in self.members:
            member.close()

    def wait_for(self, condition):
        wait_for(lambda: all(condition(member) for member in self.members))


def faults_of(reader, seed, monkeypatch):
    """Run the traffic of a seed through a reader; return the faults that nobody asked for."""
    met = []
    hub = gevent.get_hub()
    monkeypatch.setattr("harness.net.stream.reader", lambda: reader)
    monkeypatch.setattr(hub, "handle_error", lambda _, kind, error, __: met.append((kind, error)))
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # Those accepted inherit it.
        traffic = Traffic(seed, listener)
        try:
            traffic.run()
        finally:
            for member in traffic.members:
                member.closed or member.close()
    return [(kind, error) for kind, error in met if kind is not ZeroDivisionError]


def test_any_traffic_arrives_whole_in_order_and_in_time(seconds, monkeypatch):
    """Through io_uring as through epoll, whatever is sent, closed and paused meanwhile."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 3 * MOST_PAIRS:
        pytest.skip("too few descriptors are allowed")
    kinds = [EpollReader, *([RingReader] if ring_works() else [])]
    until, seed = time.monotonic() + seconds, SEED
    while True:
        for kind in kinds:
            reader = kind()
            assert [] == faults_of(reader, seed, monkeypatch), (kind.__name__, seed)
            wait_until_idle(reader)
        seed += 1
        if time.monotonic() >= until:
            break


def wait_until_idle(reader):
    """Fail if a reader keeps its ring, or its epoll instance, when nobody is left."""
    wait_for(lambda: not getattr(reader, "_ring", None) and not getattr(reader, "_sockets", None))
