import contextlib
import socket
import ssl
import threading
import time

import pytest
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from harness.net import reading, stream
from harness.net.client import Access, JoinError, JoinTimes
from harness.net.route import Route
from harness.net.websocket import Endpoint, WebSocketConnection
from tests.support.certificates import tls_pair
from tests.support.listeners import Listener, wait_for
from tests.support.servers import serving_websockets
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"


class EchoingConnection(WebSocketConnection):
    """Keeps every text and remembers those that start with 'm'."""

    __slots__ = ("texts",)

    def on_text(self, payload, kernel_ns):
        self.texts.append(payload)
        return payload if payload.startswith(b"m") else None

    def on_over(self, code, reason):
        return False


def connection(port, *, tls=None, frame_cache=None):
    address = f"{'wss' if tls else 'ws'}://localhost:{port}/path?query=1"
    client = EchoingConnection(
        Endpoint(parse_uri(address), Route(Access(address, address, "", tls), address), ["marker"]),
        {} if frame_cache is None else frame_cache,
        Listener(),
    )
    client.texts = []
    return client


def connect(client):
    times = JoinTimes(time.time_ns())
    client.connect(times, time.monotonic() + PATIENCE_S)
    return times


def websocket_server(handler, **options):
    """A server of the websockets library."""
    protocols = [Subprotocol("marker")]
    return serving_websockets(handler, subprotocols=protocols, compression=None, **options)


@contextlib.contextmanager
def connected(handler, **options):
    """A client that is connected to a server of the websockets library for as long as it lasts."""
    with websocket_server(handler, **options) as port:
        client = connection(port)
        connect(client)
        yield client
        if client.open:
            client.drop()


@contextlib.contextmanager
def raw_server(answer):
    """A TCP server that answers one request with given bytes and hangs up when told to."""
    listener = socket.create_server((HOST, 0))

    def run():
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()


def send_all(*messages):
    """A handler that sends messages, each whole or as a list of fragments, then waits."""

    def handler(peer):
        for message in messages:
            peer.send(message)
        for _ in peer:
            pass

    return handler


def test_messages_of_an_independent_server_arrive_whole():
    """Small, 16-bit, 64-bit and fragmented messages come as sent."""
    sent = ["a", "b" * 200, "c" * 70_000, ["d", "e", "f"]]
    with connected(send_all(*sent)) as client:
        wait_for(lambda: len(client.texts) == 4)
    assert [b"a", b"b" * 200, b"c" * 70_000, b"def"] == client.texts


def test_equal_messages_are_recognised_by_all_connections():
    """A payload parsed once is told as known from then on, on every connection of its cache."""
    frame_cache = {}
    with websocket_server(send_all("message", "message")) as port:
        first = connection(port, frame_cache=frame_cache)
        connect(first)
        wait_for(lambda: first.listener.known)
        second = connection(port, frame_cache=frame_cache)
        connect(second)
        wait_for(lambda: len(second.listener.known) == 2)
        first.drop()
        second.drop()
    assert ([b"message"], []) == (first.texts, second.texts)


def test_arrival_time_is_the_kernels():
    """The time given is when the bytes came, not when the loop got round to them."""
    joined, sent = threading.Event(), threading.Event()

    def handler(peer):
        joined.wait(PATIENCE_S)
        peer.send("m")
        peer.send("m")  # The second is known, so that it comes with its time.
        sent.set()
        for _ in peer:
            pass

    with connected(handler) as client:
        joined.set()
        assert sent.wait(PATIENCE_S)  # The loop is blocked meanwhile, and
        time.sleep(0.3)  # what came waits in the kernel.
        read_from_ns = time.time_ns()
        wait_for(lambda: client.listener.known)
    assert client.listener.delivered_ns < read_from_ns


@pytest.mark.parametrize(
    ("option", "is_missing"), [(stream.SO_TIMESTAMPNS, False), (9, True), (9999, True)]
)
def test_reads_without_the_kernels_time_are_counted(monkeypatch, option, is_missing):
    """A kernel that stamps nothing, here because another option is set, shows in the count."""
    monkeypatch.setattr(stream, "SO_TIMESTAMPNS", option)
    reading.take_unstamped_receives()
    with connected(send_all("m")) as client:
        wait_for(lambda: client.texts)
    assert is_missing == (reading.take_unstamped_receives() > 0)
    assert 0 == reading.take_unstamped_receives()


def test_text_reaches_an_independent_server():
    """The server reads what we send, masked and whole, however large."""
    received = []

    def handler(peer):
        received.extend([peer.recv(), peer.recv()])

    with connected(handler, max_size=None) as client:
        client.send_text(b"hello")
        client.send_text(b"x" * 3_000_000)
        wait_for(lambda: len(received) == 2)
    assert ["hello", "x" * 3_000_000] == received


def test_servers_close_is_told_with_code_and_reason():
    """The listener hears once how the server ended the connection."""
    with connected(lambda peer: peer.close(4001, "enough")) as client:
        wait_for(lambda: client.listener.ends)
    assert ([(4001, "enough", "")], False) == (client.listener.ends, client.open)


def test_our_close_is_clean_and_not_told():
    """The server sees a normal close; the listener, who asked for it, hears nothing."""
    codes = []

    def handler(peer):
        for _ in peer:
            pass
        codes.append(peer.close_code)

    with connected(handler) as client:
        client.close()
        wait_for(lambda: not client.open and codes)
    assert ([1000], []) == (codes, client.listener.ends)


def test_ping_is_answered_with_its_payload():
    """The server gets its pong."""
    answered = threading.Event()

    def handler(peer):
        if peer.ping(b"are you there").wait(PATIENCE_S):
            answered.set()

    with connected(handler):
        wait_for(answered.is_set)


def test_tls_connection_carries_messages_both_ways(tmp_path):
    """The same over TLS, certificate checked, with a large message in each direction."""
    server_context, client_context = tls_pair("localhost")

    def handler(peer):
        peer.send(peer.recv())
        for _ in peer:
            pass

    with websocket_server(handler, ssl=server_context) as port:
        client = connection(port, tls=client_context)
        times = connect(client)
        client.send_text(b"t" * 300_000)
        wait_for(lambda: client.texts)
        client.drop()
    assert [b"t" * 300_000] == client.texts
    assert {"tcp", "tls", "upgrade"} == set(times.stages_ns)


def test_unknown_certificate_fails_at_stage_tls():
    """A certificate of an unknown authority is not accepted."""
    with websocket_server(send_all(), ssl=tls_pair("localhost")[0]) as port:
        client = connection(port, tls=ssl.create_default_context())
        with pytest.raises(JoinError) as caught:
            connect(client)
    assert ("tls", "tls_error", False) == (caught.value.stage, caught.value.code, client.open)


def test_refused_connection_fails_at_stage_connect():
    """Without a listener, the errno's name is the code."""
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    client = connection(port)
    with pytest.raises(JoinError) as caught:
        connect(client)
    assert ("connect", "ECONNREFUSED") == (caught.value.stage, caught.value.code)


def test_http_error_fails_at_stage_upgrade_with_its_status():
    """A 503 of a proxy is told apart from a protocol fault."""
    body = b"no room"
    with raw_server(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 7\r\n\r\n" + body) as port:
        client = connection(port)
        with pytest.raises(JoinError) as caught:
            connect(client)
    assert ("upgrade", "503", "no room") == (
        caught.value.stage,
        caught.value.code,
        caught.value.message,
    )


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b""])
def test_answer_that_is_no_upgrade_is_a_failed_join(answer):
    """Any other server on that port gives a JoinError and no exception of a library."""
    with raw_server(answer) as port:
        client = connection(port)
        with pytest.raises(JoinError) as caught:
            connect(client)
    assert ("upgrade", False) == (caught.value.stage, client.open)


def test_silent_server_times_out_at_its_deadline():
    """A join ends at its deadline even when the server never answers."""
    with socket.create_server((HOST, 0)) as listener:
        client = connection(listener.getsockname()[1])
        began_s = time.monotonic()
        with pytest.raises(JoinError) as caught:
            client.connect(JoinTimes(0), time.monotonic() + 2)
    assert ("upgrade", "timeout") == (caught.value.stage, caught.value.code)
    assert time.monotonic() - began_s < PATIENCE_S


def test_broken_frames_end_the_connection_with_a_named_reason():
    """Bytes that are no frames are reported and hang up; nothing else dies."""
    upgrade = threading.Event()
    broken = b"\xff" * 64
    with connected(lambda peer: (peer.socket.sendall(broken), upgrade.wait(1))) as client:
        wait_for(lambda: client.listener.ends)
    assert 1002 == client.listener.ends[0][0]
    assert "protocol_error" == client.listener.refusals[0][1]
