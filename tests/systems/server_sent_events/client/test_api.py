"""Our client against servers that the standard library and the test write byte by byte."""

import contextlib
import socket
import struct
import time
from types import SimpleNamespace

import gevent
import pytest

from harness.core.distribution import VERSION
from harness.net.client import Access, JoinError
from harness.systems.server_sent_events.client.api import ServerSentEventsApi
from harness.systems.server_sent_events.options import ClientOptions
from tests.support.certificates import tls_pair
from tests.support.listeners import Listener, refusal_of, wait_for
from tests.support.servers import answering_posts
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"
ROOM = "/default/room-0"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
PLAIN = HEAD + b"\r\n"
NINE_BYTES = HEAD + b"Content-Length: 9\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Peer:
    """A server that answers each connection with the pieces it is given."""

    def __init__(self, tls=None):
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(PATIENCE_S)
        self._tls = tls
        self._connections = []
        self.port = self._listener.getsockname()[1]

    def accept(self):
        """Take one connection and read its request."""
        connection, _ = gevent.get_hub().threadpool.apply(self._accept)
        return connection

    def _accept(self):
        connection, address = self._listener.accept()
        connection.settimeout(PATIENCE_S)
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True)
        self._connections.append(connection)
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        self.request = request.decode()
        return connection, address

    def close(self):
        for open_socket in (self._listener, *self._connections):
            open_socket.close()


@pytest.fixture
def peer():
    """A server on a port of its own."""
    with contextlib.closing(Peer()) as server:
        yield server


def api_of(port, *, scheme="http", key="", tls=None, publish=9, **options):
    realtime = f"{scheme}://{HOST}:{port}/sub/{{channel}}?v=1"
    posts = f"http://{HOST}:{publish}/pub/{{channel}}"
    return ServerSentEventsApi(Access(realtime, posts, key, tls, options=ClientOptions(**options)))


def endings(listener):
    """Return code and outcome of each end; each must have a reason."""
    assert all(reason for _, reason, _ in listener.ends)
    return [(code, outcome) for code, _, outcome in listener.ends]


def joining(client):
    """Join in a greenlet of its own."""
    return gevent.spawn(client.join, time.monotonic() + PATIENCE_S)


@pytest.fixture
def join(peer):
    """Join with new clients while a server answers; return both ends of the stream.

    The clients are dropped after the test.
    """
    with contextlib.ExitStack() as joined:

        def make(answer, listener=None, *, channels=(ROOM,), frame_cache=None, api=None, at=peer):
            client = (api or api_of(at.port)).client(
                channels, {} if frame_cache is None else frame_cache, listener or Listener()
            )
            joined.callback(client.drop)
            under_way = joining(client)
            connection = at.accept()
            connection.sendall(answer)
            under_way.get(timeout=PATIENCE_S)
            return client, connection

        yield make


def test_request_asks_for_a_stream_of_the_channel(peer, join):
    """Path, query, Accept and a bearer token, and no cursor before there is one."""
    join(PLAIN, api=api_of(peer.port, key="secret"))
    assert peer.request.splitlines()[:6] == [
        "GET /sub/default/room-0?v=1 HTTP/1.1",
        f"Host: {HOST}:{peer.port}",
        f"User-Agent: fanout-harness/{VERSION}",
        "Accept: text/event-stream",
        "Cache-Control: no-store",
        "Authorization: Bearer secret",
    ]
    assert "Last-Event-ID" not in peer.request


def test_request_names_all_channels_in_one_address(peer, join):
    """Each encoded by itself; a wildcard stays as the service writes it."""
    join(PLAIN, channels=["/default/a", "/default/b,c", "/default/*"])
    assert "GET /sub/default/a,default/b%2Cc,default/*?v=1 HTTP/1.1" == peer.request.splitlines()[0]


@pytest.mark.parametrize(
    ("head", "wrap"),
    [(PLAIN, lambda piece: piece), (CHUNKED, lambda piece: b"%x\r\n%b\r\n" % (len(piece), piece))],
)
def test_equal_bytes_are_recognised_on_the_next_connection(peer, join, head, wrap):
    """The second subscriber's event costs a look-up, and its cursor moves all the same."""
    api, frame_cache = api_of(peer.port), {}
    listeners, clients = (Listener(), Listener()), []
    for listener in listeners:
        answer = head + wrap(b": hi\n\n")
        client, connection = join(answer, listener, frame_cache=frame_cache, api=api)
        clients.append(client)
        wait_for(lambda client=client: client.heard_ns)
        connection.sendall(wrap(b"id: 7:0\ndata: one\n\n"))
        wait_for(lambda listener=listener: listener.events or listener.known)
    assert [listener.events for listener in listeners] == [["one"], []]
    assert [listener.known for listener in listeners] == [[], ["one"]]
    assert [client.last_event_id for client in clients] == [b"7:0", b"7:0"]


def test_event_of_a_type_that_is_not_read_is_none_though_its_data_is_known(peer, join):
    """Bytes that were delivered as a message are no message under another name."""
    api, frame_cache = api_of(peer.port, event_types=["message"]), {}
    for sent, heard in [("data: a", ["a"]), ("event: typing\ndata: a", []), ("data: a", ["a"])]:
        client, connection = join(PLAIN, api=api, frame_cache=frame_cache)
        connection.sendall(f"{sent}\n\nretry: 5\n\n".encode())
        wait_for(lambda client=client: client._listener.waits_s)
        assert heard == client._listener.heard


def test_returning_user_sends_the_last_event_id(peer, join):
    """A second client of the same user goes on where the first was cut."""
    api, listener = api_of(peer.port), Listener()
    _, connection = join(PLAIN + b"id: 41\ndata: a\n\n", listener, api=api)
    wait_for(lambda: listener.events)
    connection.close()
    wait_for(lambda: listener.ends)
    join(PLAIN, listener, api=api)
    assert "Last-Event-ID: 41" in peer.request.splitlines()
    assert endings(listener) == [(1000, "stream_end")]


@pytest.mark.parametrize(
    ("head", "rest", "expected"),
    [
        (CHUNKED, b"8\r\ndata: a\n\r\n", (1006, "stream_reset")),
        (CHUNKED, b"8\r\ndata: a\n\r\n0\r\n\r\n", (1000, "stream_end")),
        (NINE_BYTES + b":", b"ata: a\n", (1006, "stream_reset")),
        (NINE_BYTES + b":", b"ata: a\n\n", (1000, "stream_end")),
    ],
    ids=["chunks cut short", "all chunks", "length cut short", "whole length"],
)
def test_stream_cut_short_is_a_reset_and_one_completed_is_an_end(join, head, rest, expected):
    """A crash and a goodbye are different outcomes, in either coding."""
    listener = Listener()
    _, connection = join(head, listener)
    connection.sendall(rest)
    connection.close()
    wait_for(lambda: listener.ends)
    assert endings(listener) == [expected]


@pytest.mark.parametrize("head", [PLAIN, CHUNKED])
def test_connection_that_the_server_resets_is_a_reset_in_any_coding(join, head):
    """A plain body ends with the connection, but not like that."""
    listener = Listener()
    _, connection = join(head, listener)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    wait_for(lambda: listener.ends)
    assert endings(listener) == [(1006, "stream_reset")]


def test_bytes_that_are_not_chunked_end_the_stream_as_a_protocol_error(join):
    """The server's mistake is the server's, and the worker lives on."""
    listener = Listener()
    _, connection = join(CHUNKED, listener)
    connection.sendall(b"nonsense\r\n")
    wait_for(lambda: listener.ends)
    assert ["protocol_error"] == [code for _, code in listener.refused_at]
    assert [(1002, "protocol_error")] == endings(listener)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/x-bogus\r\n\r\ndata: a\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: x bogus\r\n\r\ndata: a\n\n",
        b"HTTP/1.1 200 OK\r\n\r\ndata: a\n\n",
    ],
)
def test_any_answer_but_a_stream_is_terminal(join, answer):
    """EventSource fails the connection for good; the code says so."""
    assert ("subscribe", "http_error_terminal") == refusal_of(join, answer)


@pytest.mark.parametrize(
    "content_type",
    [b"text/event-stream;", b"Text/Event-Stream", b"text/event-stream;charset=windows-1252"],
)
def test_content_type_counts_without_its_parameters_and_text_is_utf_8(join, content_type):
    """As in the cases ``format-mime-trailing-semicolon`` and ``format-utf-8`` of browsers."""
    listener = Listener()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + content_type + b"\r\n\r\n"
    join(head + "data: ok…\n\n".encode(), listener)
    wait_for(lambda: listener.events)
    assert ["ok…"] == listener.events


@pytest.mark.parametrize(
    ("event_id", "expected"), [("…", ["Last-Event-ID: …"]), ("x\0", []), ("", [])]
)
def test_last_event_id_goes_back_as_it_came_or_not_at_all(peer, join, event_id, expected):
    """As in ``format-field-id``, and in ``format-field-id-null``, where no header is sent."""
    api, listener = api_of(peer.port), Listener()
    _, connection = join(PLAIN + f"id:{event_id}\ndata:hello\n\n".encode(), listener, api=api)
    wait_for(lambda: listener.events)
    connection.close()
    wait_for(lambda: listener.ends)
    join(PLAIN, listener, api=api)
    lines = peer.request.splitlines()
    assert expected == [line for line in lines if line.lower().startswith("last-event-id")]


def test_refused_connection_has_a_code_of_its_own():
    """Nobody listens there."""
    with socket.create_server((HOST, 0)) as gone:
        port = gone.getsockname()[1]
    assert ("connect", "connect_refused") == refusal_of(
        api_of(port).client([ROOM], {}, Listener()).join, time.monotonic() + PATIENCE_S
    )


def test_connect_that_nobody_answers_is_a_timeout_of_its_own():
    """The accept queue is full, so the kernel drops the SYN."""
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind((HOST, 0))
        server.listen(0)
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        client = api_of(server.getsockname()[1]).client([ROOM], {}, Listener())
        assert ("connect", "connect_timeout") == refusal_of(client.join, time.monotonic() + 0.2)


def test_answer_that_does_not_come_is_a_timeout(peer):
    """The deadline holds for the head as well."""
    client = api_of(peer.port).client([ROOM], {}, Listener())
    assert ("subscribe", "timeout") == refusal_of(client.join, time.monotonic() + 2)
    assert not client.open


def test_head_that_does_not_end_in_time_is_shown(peer):
    """Its lines end in LF alone, which HTTP/1.1 does not allow."""
    client = api_of(peer.port).client([ROOM], {}, Listener())
    under_way = gevent.spawn(client.join, time.monotonic() + 5)
    peer.accept().sendall(PLAIN.replace(b"\r\n", b"\n"))
    with pytest.raises(JoinError, match=r"timed out: it sent 'HTTP/1.1 200 OK") as caught:
        under_way.get(timeout=PATIENCE_S)
    assert caught.value.code == "timeout"


def test_paused_client_takes_nothing_until_it_goes_on(join):
    """What arrived stays with the kernel."""
    listener = Listener()
    client, connection = join(PLAIN, listener)
    client.pause(paused=True)
    connection.sendall(b"data: a\n\n")
    gevent.sleep(0.05)
    assert listener.events == []
    client.pause(paused=False)
    wait_for(lambda: listener.events)


def test_stream_over_tls_is_confirmed_at_the_kernels_time(join):
    """The same path with a certificate that is checked."""
    server_side, client_side = tls_pair(HOST)
    with contextlib.closing(Peer(server_side)) as server:
        listener, before_ns = Listener(), time.time_ns()
        api = api_of(server.port, scheme="https", tls=client_side)
        _, connection = join(CHUNKED, listener, api=api, at=server)
        connection.sendall(b"9\r\ndata: a\n\n\r\n")
        wait_for(lambda: listener.events)
        assert before_ns < listener.confirmed_ns < time.time_ns()


@pytest.fixture
def posts():
    """A server that keeps what is posted to it, and takes nothing on the channel "full"."""
    kept = []

    def answer(request, body):
        kept.append((request.path, body))
        return 429 if "full" in request.path else 202, b""

    with answering_posts(answer) as port:
        yield SimpleNamespace(port=port, kept=kept)


def test_publish_posts_each_event_and_answers_the_listener(posts):
    """A user that only publishes is in without a connection."""
    listener = Listener()
    api = api_of(9, publish=posts.port)
    client = api.client([], {}, listener)
    client.join(time.monotonic() + PATIENCE_S)
    assert client.open
    assert client.silence_limit_s is None
    client.publish("p", ROOM, [b'{"a":1}', b'{"a":2}'])
    wait_for(lambda: listener.answers)
    assert posts.kept == [("/pub/default/room-0", b'{"a":1}'), ("/pub/default/room-0", b'{"a":2}')]
    assert (listener.answers[0].publish_id, listener.answers[0].accepted) == ("p", True)
    api.close()


def test_publish_that_is_too_much_is_throttled(posts):
    """Status 429 is told apart from other refusals."""
    api = api_of(9, publish=posts.port)
    answer = api.publish_over_http("p", "/default/full", [b"{}"])
    assert (answer.accepted, answer.throttled, answer.code) == (False, True, "HTTP 429")
    api.close()


def test_publish_without_an_answer_is_refused_and_ends_no_greenlet(peer):
    """A server that closes in place of an answer costs one publish."""
    listener = Listener()
    api = api_of(9, publish=peer.port)
    client = api.client([], {}, listener)
    client.join(time.monotonic() + PATIENCE_S)
    client.publish("p", ROOM, [b"{}"])
    peer.accept().close()
    wait_for(lambda: listener.answers)
    assert not listener.answers[0].accepted
    api.close()


def redirect(location, status=307):
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_followed_to_another_host_without_our_secrets(peer, status):
    """The stream is wherever the service says; the token stays with its own host."""
    with contextlib.closing(Peer()) as other:
        api, listener = api_of(peer.port, key="secret"), Listener()
        client = api.client([ROOM], {}, listener)
        under_way = joining(client)
        peer.accept().sendall(redirect(f"http://{HOST}:{other.port}/there?x=1", status))
        other.accept().sendall(PLAIN + b"data: 1\n\n")
        under_way.get(timeout=PATIENCE_S)
        wait_for(lambda: listener.events)
        assert other.request.startswith("GET /there?x=1 HTTP/1.1")
        assert "Bearer secret" in peer.request
        assert "secret" not in other.request
        client.drop()
        api.close()


def test_endless_redirects_end_the_join(peer):
    """Twenty are followed, as a browser does, and then no more."""
    api = api_of(peer.port)
    under_way = joining(api.client([ROOM], {}, Listener()))
    for _ in range(21):
        peer.accept().sendall(redirect("/again"))
    with pytest.raises(JoinError, match="too many redirects"):
        under_way.get(timeout=PATIENCE_S)
    api.close()


@pytest.mark.parametrize(
    ("answer", "is_final"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", True),
        (b"", False),
    ],
)
def test_answer_that_is_no_stream_is_final_and_a_lost_connection_is_not(peer, answer, is_final):
    """A browser never comes back after the one, and does after the other."""
    api = api_of(peer.port)
    under_way = joining(api.client([ROOM], {}, Listener()))
    connection = peer.accept()
    connection.sendall(answer)
    connection.shutdown(socket.SHUT_WR)
    with pytest.raises(JoinError) as caught:
        under_way.get(timeout=PATIENCE_S)
    assert is_final == caught.value.is_final
    api.close()


def test_reconnection_time_is_passed_on(join):
    """What the server tells in `retry` reaches the user, each time it changes."""
    listener = Listener()
    _, connection = join(PLAIN + b"retry: 1500\n\n", listener)
    connection.sendall(b"data: 1\n\nretry: 1500\n\nretry: 20\n\n")
    wait_for(lambda: 2 == len(listener.waits_s))
    assert [1.5, 0.02] == listener.waits_s
