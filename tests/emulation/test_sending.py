import asyncio
import contextlib
import errno
import random
import socket
import ssl

import pytest
import trustme
import uvloop

from harness.core.io_uring import IoUring
from harness.emulation import connection_writer, sending
from harness.emulation.connection_writer import ConnectionWriter, Transport
from harness.emulation.counters import SHARED_COUNTS, Counters
from harness.emulation.deliveries import Subscription
from harness.emulation.sending import NO_SOCKET, Sender, plain_socket
from harness.emulation.worker import WorkerContext
from tests.support.emulator_process import until
from tests.support.waiting import PATIENCE_S

Group = dict[Transport, Subscription]

LIMIT_BYTES = 1_000_000
SMALL_BUFFER_BYTES = 4096


def forbid_rings(monkeypatch):
    """Have the kernel refuse, as a container's does."""

    def refuse(*_):
        raise OSError(errno.EPERM, "operation not permitted")

    monkeypatch.setattr(sending, "IoUring", refuse)


def skip_without_rings():
    try:
        IoUring(1, 2).close()
    except OSError:
        pytest.skip("this kernel, or the container, allows no io_uring")


@pytest.fixture(params=["ring", "transports"])
def way(request, monkeypatch):
    """Broadcasts leave in either way, even to one."""
    monkeypatch.setattr(connection_writer, "FEW", 1)
    if request.param == "ring":
        skip_without_rings()
    else:
        forbid_rings(monkeypatch)
    return request.param


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def run(request):
    """Run a test's coroutine on either loop."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield lambda main: runner.run(asyncio.wait_for(main, PATIENCE_S))


@pytest.fixture
def ring(monkeypatch):
    """Broadcasts leave through a ring, even to one."""
    skip_without_rings()
    monkeypatch.setattr(connection_writer, "FEW", 1)


class Peer:
    """A client, and the emulator's end of its connection."""

    def __init__(self, client, connection):
        self.client = client
        self.connection = connection
        self.got = b""

    def read(self, most=1 << 20):
        """Read what has come; return whether the connection is still there."""
        try:
            data = self.client.recv(most)
        except BlockingIOError:
            return True
        self.got += data
        return bool(data)

    async def has(self, size_bytes):
        """Read until so much has come."""
        await until(lambda: self.read() and len(self.got) >= size_bytes)


class House:
    """Connections that all are in one group, to be used as a context."""

    def __init__(self, folder, *, server_tls=None, client_tls=None):
        context = WorkerContext(folder)
        self.counters = Counters(context, SHARED_COUNTS)
        self.writer = ConnectionWriter(context, self.counters, LIMIT_BYTES)
        self.tls = server_tls, client_tls
        self.group = {}
        self.peers = []

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.listener = socket.create_server(("127.0.0.1", 0))
        # What it accepts has buffers of this size too: they fill while a peer does not read.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
        self.accepted = asyncio.Queue()
        house = self

        class Session(asyncio.Protocol):
            def connection_made(self, transport):
                house.accepted.put_nowait(transport)

        self.server = await loop.create_server(Session, sock=self.listener, ssl=self.tls[0])
        return self

    async def __aexit__(self, *error):
        for peer in self.peers:
            peer.client.close()
            peer.connection.transport.abort()
        self.server.close()
        await asyncio.sleep(0)

    async def join(self, count=1):
        """Connect peers; return them."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
            client.setblocking(False)
            await loop.sock_connect(client, self.listener.getsockname())
            connection = self.writer.add(await self.accepted.get())
            self.group[connection.transport] = Subscription(connection, len(self.peers))
            self.peers.append(Peer(client, connection))
        return self.peers[-count:]

    def broadcast(self, frames):
        return self.writer.write_to_all(frames, self.group)

    def read_all(self):
        for peer in self.peers:
            peer.read()


async def test_broadcasts_and_replies_arrive_in_the_order_they_were_sent(way, run, tmp_path):
    """Also a reply of the same moment, before a broadcast or after it."""
    async with House(tmp_path) as house:
        first, *_ = await house.join(20)
        for number in range(30):
            first.connection.reply(b"before %d;" % number)
            assert (20, 0) == house.broadcast(b"event %d;" % number)
            first.connection.reply(b"after %d;" % number)
        events = b"".join([b"event %d;" % number for number in range(30)])
        both = b"".join([b"before %d;event %d;after %d;" % (n, n, n) for n in range(30)])
        expected = [both, *[events] * 19]
        await until(
            lambda: house.read_all() or [len(p.got) for p in house.peers] == [*map(len, expected)]
        )
        assert expected == [peer.got for peer in house.peers]


async def test_more_sockets_than_fit_the_queue_get_each_their_own(monkeypatch, run, tmp_path):
    """Slice for slice, also where the last one is not full."""
    skip_without_rings()
    monkeypatch.setattr(sending, "_AT_ONCE", 4)
    monkeypatch.setattr(sending, "_COMPLETIONS", 8)
    async with House(tmp_path) as house:
        await house.join(11)
        assert (11, 0) == house.broadcast(b"one")
        assert (11, 0) == house.broadcast(b"two")
        await until(lambda: house.read_all() or all(len(p.got) == 6 for p in house.peers))
        assert [b"onetwo"] * 11 == [peer.got for peer in house.peers]


def test_ring_writes_past_transports_that_hold_nothing(monkeypatch, tmp_path, ring):
    """Or none of the other tests would be about it."""
    ours, theirs = socket.socketpair()

    class Untouched(asyncio.WriteTransport):
        def get_extra_info(self, name, default=None):
            return {"socket": ours}.get(name, default)

        def is_closing(self):
            return False

        def get_write_buffer_size(self):
            return 0

    with ours, theirs:
        house = House(tmp_path)
        transport = Untouched()
        group: Group = {transport: Subscription(house.writer.add(transport), 0)}
        assert (1, 0) == house.writer.write_to_all(b"event", group)
        assert b"event" == theirs.recv(100)


async def test_what_a_socket_did_not_take_follows_once_its_peer_reads(way, run, tmp_path):
    """In order, with what was broadcast and answered meanwhile; nothing is lost or doubled."""
    async with House(tmp_path) as house:
        slow, *others = await house.join(10)
        sent = []
        while slow.connection.transport.get_write_buffer_size() < LIMIT_BYTES // 4:
            sent.append(random.Random(len(sent)).randbytes(30_000))
            assert (10, 0) == house.broadcast(sent[-1])
            for peer in others:
                # Until they have it all, as those do who read.
                await peer.has(sum(map(len, sent)))
        slow.connection.reply(b"reply")
        house.broadcast(b"last")
        expected = b"".join([*sent, b"reply", b"last"])
        await until(lambda: house.read_all() or len(slow.got) >= len(expected))
        assert expected == slow.got
        house.broadcast(b", and again")
        await until(lambda: slow.read() and len(slow.got) >= len(expected) + 11)
        assert expected + b", and again" == slow.got


async def test_peer_that_leaves_too_much_unread_is_cut_off_and_nobody_else(way, run, tmp_path):
    """It is counted as stuck once, and closing from then on."""
    async with House(tmp_path) as house:
        slow, *others = await house.join(5)
        counts = []
        while (4, 1) not in counts:
            assert len(counts) < 100
            counts.append(house.broadcast(bytes(100_000)))
            for peer in others:
                await peer.has(100_000 * len(counts))
        assert {(5, 0), (4, 1)} == set(counts)
        assert slow.connection.transport.is_closing()
        assert (4, 0) == house.broadcast(b"without it")
        assert 1 == house.counters.totals()["disconnects.slow_subscriber"]


async def test_reset_peer_is_noticed_by_its_transport(way, run, tmp_path):
    """A broadcast that fails closes it, as any write does, and reaches the others."""
    async with House(tmp_path) as house:
        gone, *others = await house.join(3)
        gone.connection.transport.pause_reading()  # So that only a write can find it out.
        gone.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, connection_writer.LINGER_NOT)
        gone.client.close()
        house.broadcast(b"event")
        await until(gone.connection.transport.is_closing)
        assert (2, 0) == house.broadcast(b"event")
        await until(lambda: all(peer.read() and len(peer.got) == 10 for peer in others))


async def test_tls_is_left_to_the_transport(way, run, tmp_path):
    """What is broadcast arrives as TLS, not in the clear."""
    authority = trustme.CA()
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    async with House(tmp_path, server_tls=server_tls) as house:
        reader, writer = await asyncio.open_connection(
            *house.listener.getsockname(), ssl=client_tls
        )
        connection = house.writer.add(await house.accepted.get())
        assert NO_SOCKET == connection.descriptor
        house.group[connection.transport] = Subscription(connection, 0)
        assert (1, 0) == house.broadcast(b"secret")
        assert b"secret" == await reader.readexactly(6)
        writer.transport.abort()
        connection.transport.abort()


def test_transport_without_a_socket_has_no_descriptor():
    """As a pipe's; only the transport itself may write to it."""
    assert NO_SOCKET == plain_socket(asyncio.Transport(extra={}))


async def test_whom_the_kernel_does_not_serve_the_transports_do(monkeypatch, run, tmp_path, ring):
    """Where memory is short it takes some requests only, or none; nobody gets anything twice."""
    enter = IoUring._enter
    allowed = iter([0, 3, 2])

    def take_fewer(self, submitted, *rest):
        most = next(allowed, submitted)
        if submitted and not most:
            raise OSError(errno.EAGAIN, "out of memory")
        return enter(self, min(submitted, most), *rest)

    monkeypatch.setattr(IoUring, "_enter", take_fewer)
    async with House(tmp_path) as house:
        await house.join(6)
        for frames in (b"none,", b"three,", b"two,", b"all"):
            assert (6, 0) == house.broadcast(frames)
        await until(lambda: house.read_all() or all(len(p.got) >= 18 for p in house.peers))
        assert [b"none,three,two,all"] * 6 == [peer.got for peer in house.peers]


def test_results_say_what_each_socket_took():
    """All, a part, nothing as it is full, or why it failed; in order."""
    skip_without_rings()
    sender = Sender()
    pairs = [socket.socketpair() for _ in range(4)]
    takes_all, takes_part, is_full, is_gone = (ours for ours, _ in pairs)
    takes_part.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
    takes_all.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    is_full.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            is_full.send(bytes(1000))
    pairs[3][1].close()
    data = bytes(100_000)
    whole, part, nothing, failed = sender.send(
        data, [one.fileno() for one in (takes_all, takes_part, is_full, is_gone)]
    ).tolist()
    assert (len(data), -errno.EAGAIN, -errno.EPIPE) == (whole, nothing, failed)
    assert 0 < part < len(data)
    assert part == len(pairs[1][1].recv(len(data), socket.MSG_WAITALL | socket.MSG_DONTWAIT))
    for pair in pairs:
        for one in pair:
            one.close()


@pytest.mark.parametrize("seed", range(3))
def test_every_peer_gets_what_it_gets_without_a_ring(monkeypatch, run, tmp_path, seed, ring):
    """Replies, broadcasts and peers that pause, drawn twice alike; compared are all the bytes."""

    async def play(folder):
        draw = random.Random(seed)
        expected = [b""] * 12
        folder.mkdir()
        async with House(folder) as house:
            peers = await house.join(12)
            for number in range(150):
                frames = b"%d;" % number * draw.choice([1, 50, 3000])
                if number % 10 == 0:
                    paused = set(draw.sample(range(12), 4))
                if draw.random() < 0.4:
                    place = draw.randrange(12)
                    peers[place].connection.reply(b"reply " + frames)
                    expected[place] += b"reply " + frames
                assert (12, 0) == house.broadcast(frames)
                expected = [before + frames for before in expected]
                await asyncio.sleep(0)
                for place in set(range(12)) - paused:
                    peers[place].read(draw.choice([100, 100_000]))
            whole = [*map(len, expected)]
            await until(lambda: house.read_all() or [len(p.got) for p in peers] == whole)
            assert expected == [peer.got for peer in peers]
            return [peer.got for peer in peers]

    with_ring = run(play(tmp_path / "ring"))
    forbid_rings(monkeypatch)
    assert with_ring == run(play(tmp_path / "transports"))
