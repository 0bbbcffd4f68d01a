"""Servers of fixed capacity: who gets in, when, and how late deliveries come."""

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from harness.systems.server_sent_events.emulator.servers import Operator
from harness.systems.server_sent_events.options import Arrival, Scaling
from tests.support.waiting import PATIENCE_S, wait_for

CLIENTS = 30
CAPACITY, QUEUE = 8, 2

LINEAR_TRIES = Path("/proc/sys/net/ipv4/tcp_syn_linear_timeouts")


def syn_instants_s():
    """Return when this kernel tries to connect again, seconds after the first try.

    Source: Documentation/networking/ip-sysctl.rst of Linux, tcp_syn_retries and
    tcp_syn_linear_timeouts: so many tries a second apart, then each wait twice the last.
    """
    linear = int(LINEAR_TRIES.read_text("ascii")) if LINEAR_TRIES.exists() else 0
    instants, wait_s = [], 1.0
    for retry in range(6):
        instants.append((instants[-1] if instants else 0.0) + wait_s)
        wait_s *= 1 if retry < linear else 2
    return instants


def syn_retries(connected):
    """Return how often the kernel sent a SYN again: ``tcpi_total_retrans`` of tcp_info."""
    information = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", information, 100)[0]


class Joiner(threading.Thread):
    """Connects, asks for a stream, and notes when it was connected and when answered."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self._port = port
        self.connected_s = self.answered_s = None
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE_S)

    def run(self):
        self.began_s = time.monotonic()
        with contextlib.suppress(OSError):
            self.socket.connect(("127.0.0.1", self._port))
            self.connected_s = time.monotonic()
            self.socket.sendall(b"GET /sub/a HTTP/1.1\r\nHost: a\r\n\r\n")
            if self.socket.recv(65536).startswith(b"HTTP/1.1 200"):
                self.answered_s = time.monotonic()


@pytest.fixture
def join():
    """Let clients join at once; they are gone with the test."""
    joiners = []

    def started(emulator, count):
        joiners.extend(Joiner(emulator.processes.realtime_port) for _ in range(count))
        for joiner in joiners:
            joiner.start()
            # One after the other: a crowd's SYNs pass the kernel's look at the queue together.
            joiner.join(0.02)
        return joiners

    yield started
    for joiner in joiners:
        with contextlib.suppress(OSError):
            joiner.socket.shutdown(socket.SHUT_RDWR)
        joiner.join(PATIENCE_S)
        joiner.socket.close()


def test_clients_beyond_capacity_get_in_after_a_server_came_when_their_kernel_tries_again(
    emulate, join
):
    """The mechanism of minutes without a message, with seconds for minutes.

    A full server stops accepting, its queue fills up, and the kernel drops every SYN after that.
    Nobody else is connected until one server more is there, and then when SYNs are sent again.
    """
    limits = {"count": 1, "connections": CAPACITY, "accept_queue": QUEUE}
    scaling = {
        "servers": 1,
        "noticed_after_s": 0.5,
        "arrives_after_s": {"minimum": 0.7, "maximum": 0.9},
    }
    emulator = emulate(servers=limits, scaling=scaling, seed=1)
    joiners = join(emulator, CLIENTS)

    def entries(what):
        return [entry["at_ns"] for entry in emulator.log() if entry["what"] == what]

    wait_for(lambda: entries("server_arrived"))
    (asked_ns,), (arrived_ns,) = entries("server_asked"), entries("server_arrived")
    assert 0.7 <= (arrived_ns - asked_ns) / 1e9
    arrived_s = time.monotonic() - (time.time_ns() - arrived_ns) / 1e9
    assert 2 == len(emulator.stats()["fleet"])
    wait_for(lambda: sum(bool(joiner.answered_s) for joiner in joiners) == 2 * CAPACITY)

    early = [j for j in joiners if j.answered_s and j.answered_s < arrived_s]
    late = [j for j in joiners if j.answered_s and j.answered_s >= arrived_s]
    assert CAPACITY == len(early)
    assert CAPACITY == len(late)
    waiting = [joiner for joiner in late if joiner.connected_s > arrived_s]
    assert waiting
    instants_s = syn_instants_s()
    for joiner in waiting:
        assert joiner.connected_s - joiner.began_s >= instants_s[syn_retries(joiner.socket) - 1] > 0


def test_full_server_accepts_again_when_somebody_leaves(emulate, join):
    """Who waits in the queue of a full server is answered once there is room."""
    emulator = emulate(servers={"connections": 1, "accept_queue": 4})
    first = emulator.stream()
    (waiting,) = join(emulator, 1)
    wait_for(lambda: waiting.connected_s)
    assert [{"server": 0, "connections": 1, "deliveries_waiting": 0, "is_full": True}] == (
        emulator.stats()["fleet"]
    )
    assert waiting.answered_s is None
    first.close()
    wait_for(lambda: waiting.answered_s)


def test_server_accepts_no_faster_than_it_can(emulate, join):
    """Twenty connects at ten a second take about two seconds, all of them answered in the end."""
    joiners = join(emulate(servers={"accepts_per_s": 10.0}), 20)
    wait_for(lambda: all(joiner.answered_s for joiner in joiners))
    began_s = min(joiner.began_s for joiner in joiners)
    assert 1.5 <= max(joiner.answered_s for joiner in joiners) - began_s


def test_server_that_is_behind_delivers_late_and_loses_nothing(emulate):
    """A hundred deliveries at a hundred a second arrive in order, the last a second late."""
    emulator = emulate(servers={"deliveries_per_s": 100.0})
    streams = [emulator.stream() for _ in range(10)]
    began_s = time.monotonic()
    for number in range(10):
        emulator.publish(str(number))
    deliveries = emulator.stats()["deliveries"]
    assert deliveries["owed"] == 100 == deliveries["sent"] + deliveries["pending"]
    for stream in streams:
        assert list(map(str, range(10))) == [stream.event()[1] for _ in range(10)]
    assert 0.8 <= time.monotonic() - began_s
    stats = emulator.stats()
    assert (100, 0) == (stats["deliveries"]["sent"], stats["deliveries"]["pending"])
    assert stats["deliveries"]["delayed"]["capacity"] == stats["delays_ms"]["count"] > 0


def test_listener_for_whom_too_much_waits_is_cut_off(emulate):
    """What waits for one subscriber is bounded like what it leaves unread, and counted by cause."""
    emulator = emulate(servers={"deliveries_per_s": 1.0}, subscriber_buffer_bytes=1000)
    stream = emulator.stream()
    for _ in range(20):
        emulator.publish("x" * 200)
    wait_for(lambda: emulator.stats()["deliveries"]["pending"] == 0)
    stats = emulator.stats()
    dropped = stats["deliveries"]["dropped"]
    assert 1 == stats["disconnects"]["slow_subscriber"] == dropped["slow_subscriber"]
    assert stats["deliveries"]["owed"] == stats["deliveries"]["sent"] + sum(dropped.values())
    stream.close()


def test_servers_are_shared_out_among_processes(emulate):
    """Four servers in two processes hold all streams between them, and events reach everybody."""
    emulator = emulate(processes=2, servers={"count": 4, "connections": 20})
    streams = [emulator.stream() for _ in range(24)]
    emulator.publish("x")
    assert ["x"] * 24 == [stream.event()[1] for stream in streams]
    fleet = emulator.stats()["fleet"]
    assert (4, 24) == (len(fleet), sum(server["connections"] for server in fleet))


def test_servers_arrive_within_their_bounds_and_the_same_for_the_same_seed():
    """Each server takes a time of its own; who is asked at given seconds asks nobody else."""

    def arrivals(seed):
        now_s = time.monotonic()
        scaling = Scaling(servers=3, asked_at_s=(0.0, 0.0, 0.0), arrives_after_s=Arrival())
        operator = Operator(scaling, seed, now_s - 1.0)
        due_ns = [operator.arrival_ns(is_overloaded=False, due_ns=[0]) or 0 for _ in range(3)]
        return [due / 1e9 - now_s for due in due_ns]

    first, again, other = arrivals(1), arrivals(1), arrivals(2)
    assert all(90.0 <= wait_s <= 241.0 for wait_s in first + other)
    assert first == pytest.approx(again, abs=0.5)
    assert first != pytest.approx(other, abs=0.5)
    operator = Operator(Scaling(servers=1, noticed_after_s=1000.0), 1, time.monotonic())
    assert operator.arrival_ns(is_overloaded=True, due_ns=[0]) is None
