"""Our client against servers that the standard library and the test write byte by byte."""

import contextlib
import http.server
import socket
import struct
import time

import gevent
import pytest

from harness.net.client import Access, JoinError
from harness.systems.server_sent_events.client.api import ServerSentEventsApi
from tests.support.certificates import tls_pair
from tests.support.listeners import Listener, wait_for
from tests.support.servers import serving_http
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"
ROOM = "/default/room-0"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
PLAIN = HEAD + b"\r\n"
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


def api_of(port, *, scheme="http", key="", tls=None, publish=9):
    realtime = f"{scheme}://{HOST}:{port}/sub/{{channel}}?v=1"
    return ServerSentEventsApi(
        Access(realtime, f"http://{HOST}:{publish}/pub/{{channel}}", key, tls)
    )


def endings(listener):
    """Return code and outcome of each end; each must have a reason."""
    assert all(reason for _, reason, _ in listener.ends)
    return [(code, outcome) for code, _, outcome in listener.ends]


def join(client, server, answer):
    """Join while the server answers; return the server's end."""
    joining = gevent.spawn(client.join, time.monotonic() + PATIENCE_S)
    connection = server.accept()
    connection.sendall(answer)
    joining.get(timeout=PATIENCE_S)
    return connection


def test_request_asks_for_a_stream_of_the_channel(peer):
    """Path, query, Accept and a bearer token, and no cursor before there is one."""
    client = api_of(peer.port, key="secret").client([ROOM], {}, Listener())
    join(client, peer, PLAIN)
    assert peer.request.splitlines()[:5] == [
        "GET /sub/default/room-0?v=1 HTTP/1.1",
        f"Host: {HOST}:{peer.port}",
        "Accept: text/event-stream",
        "Cache-Control: no-store",
        "Authorization: Bearer secret",
    ]
    assert "Last-Event-ID" not in peer.request
    client.drop()


def test_request_names_all_channels_in_one_address(peer):
    """Each encoded by itself; a wildcard stays as the service writes it."""
    client = api_of(peer.port).client(["/default/a", "/default/b,c", "/default/*"], {}, Listener())
    join(client, peer, PLAIN)
    assert "GET /sub/default/a,default/b%2Cc,default/*?v=1 HTTP/1.1" == peer.request.splitlines()[0]
    client.drop()


@pytest.mark.parametrize(
    ("head", "wrap"),
    [(PLAIN, lambda piece: piece), (CHUNKED, lambda piece: b"%x\r\n%b\r\n" % (len(piece), piece))],
)
def test_equal_bytes_are_recognised_on_the_next_connection(peer, head, wrap):
    """The second subscriber's event costs a look-up, and its cursor moves all the same."""
    api, frame_cache = api_of(peer.port), {}
    listeners, clients = (Listener(), Listener()), []
    for number, listener in enumerate(listeners):
        clients.append(api.client([ROOM], frame_cache, listener))
        connection = join(clients[number], peer, head + wrap(b": hi\n\n"))
        wait_for(lambda number=number: clients[number].heard_ns)
        connection.sendall(wrap(b"id: 7:0\ndata: one\n\n"))
        wait_for(lambda listener=listener: listener.events or listener.known)
    assert [listener.events for listener in listeners] == [["one"], []]
    assert [listener.known for listener in listeners] == [[], ["one"]]
    assert [client.last_event_id for client in clients] == [b"7:0", b"7:0"]
    for client in clients:
        client.drop()


def test_returning_user_sends_the_last_event_id(peer):
    """A second client of the same user goes on where the first was cut."""
    api, listener = api_of(peer.port), Listener()
    connection = join(api.client([ROOM], {}, listener), peer, PLAIN + b"id: 41\ndata: a\n\n")
    wait_for(lambda: listener.events)
    connection.close()
    wait_for(lambda: listener.ends)
    again = api.client([ROOM], {}, listener)
    join(again, peer, PLAIN)
    assert "Last-Event-ID: 41" in peer.request.splitlines()
    assert endings(listener) == [(1000, "stream_end")]
    again.drop()


def test_chunked_stream_cut_short_is_a_reset_and_one_completed_is_an_end(peer):
    """A crash and a goodbye are different outcomes."""
    ends = []
    for last in (b"", b"0\r\n\r\n"):
        listener = Listener()
        connection = join(api_of(peer.port).client([ROOM], {}, listener), peer, CHUNKED)
        connection.sendall(b"8\r\ndata: a\n\r\n" + last)
        connection.close()
        wait_for(lambda listener=listener: listener.ends)
        ends += endings(listener)
    assert ends == [(1006, "stream_reset"), (1000, "stream_end")]


@pytest.mark.parametrize("head", [PLAIN, CHUNKED])
def test_connection_that_the_server_resets_is_a_reset_in_any_coding(peer, head):
    """A plain body ends with the connection, but not like that."""
    listener = Listener()
    connection = join(api_of(peer.port).client([ROOM], {}, listener), peer, head)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    wait_for(lambda: listener.ends)
    assert endings(listener) == [(1006, "stream_reset")]


def test_body_with_a_length_ends_when_it_is_complete_and_is_cut_before(peer):
    """What has come of it decides."""
    head, ends = HEAD + b"Content-Length: 9\r\n\r\n", []
    for sent in (b"data: a\n\n", b"data: a"):
        listener = Listener()
        connection = join(api_of(peer.port).client([ROOM], {}, listener), peer, head + b":")
        connection.sendall(sent[1:])
        connection.close()
        wait_for(lambda listener=listener: listener.ends)
        ends += endings(listener)
    assert ends == [(1000, "stream_end"), (1006, "stream_reset")]


def test_bytes_that_are_not_chunked_end_the_stream_as_a_protocol_error(peer):
    """The server's mistake is the server's, and the worker lives on."""
    listener = Listener()
    join(api_of(peer.port).client([ROOM], {}, listener), peer, CHUNKED).sendall(b"nonsense\r\n")
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
def test_any_answer_but_a_stream_is_terminal(peer, answer):
    """EventSource fails the connection for good; the code says so."""
    with pytest.raises(JoinError) as failure:
        join(api_of(peer.port).client([ROOM], {}, Listener()), peer, answer)
    assert (failure.value.stage, failure.value.code) == ("subscribe", "http_error_terminal")


@pytest.mark.parametrize(
    "content_type",
    [b"text/event-stream;", b"Text/Event-Stream", b"text/event-stream;charset=windows-1252"],
)
def test_content_type_counts_without_its_parameters_and_text_is_utf_8(peer, content_type):
    """As in the cases ``format-mime-trailing-semicolon`` and ``format-utf-8`` of browsers."""
    listener = Listener()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + content_type + b"\r\n\r\n"
    client = api_of(peer.port).client([ROOM], {}, listener)
    join(client, peer, head + "data: ok…\n\n".encode())
    wait_for(lambda: listener.events)
    assert ["ok…"] == listener.events
    client.drop()


@pytest.mark.parametrize(
    ("event_id", "expected"), [("…", ["Last-Event-ID: …"]), ("x\0", []), ("", [])]
)
def test_last_event_id_goes_back_as_it_came_or_not_at_all(peer, event_id, expected):
    """As in ``format-field-id``, and in ``format-field-id-null``, where no header is sent."""
    api, listener = api_of(peer.port), Listener()
    stream = f"id:{event_id}\ndata:hello\n\n".encode()
    connection = join(api.client([ROOM], {}, listener), peer, PLAIN + stream)
    wait_for(lambda: listener.events)
    connection.close()
    wait_for(lambda: listener.ends)
    again = api.client([ROOM], {}, listener)
    join(again, peer, PLAIN)
    lines = peer.request.splitlines()
    assert expected == [line for line in lines if line.lower().startswith("last-event-id")]
    again.drop()


def test_refused_connection_has_a_code_of_its_own():
    """Nobody listens there."""
    with socket.create_server((HOST, 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(JoinError) as failure:
        api_of(port).client([ROOM], {}, Listener()).join(time.monotonic() + PATIENCE_S)
    assert (failure.value.stage, failure.value.code) == ("connect", "connect_refused")


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
        with pytest.raises(JoinError) as failure:
            client.join(time.monotonic() + 0.2)
    assert (failure.value.stage, failure.value.code) == ("connect", "connect_timeout")


def test_answer_that_does_not_come_is_a_timeout(peer):
    """The deadline holds for the head as well."""
    client = api_of(peer.port).client([ROOM], {}, Listener())
    with pytest.raises(JoinError) as failure:
        client.join(time.monotonic() + 0.1)
    assert (failure.value.stage, failure.value.code) == ("subscribe", "timeout")
    assert not client.open


def test_paused_client_takes_nothing_until_it_goes_on(peer):
    """What arrived stays with the kernel."""
    listener = Listener()
    client = api_of(peer.port).client([ROOM], {}, listener)
    connection = join(client, peer, PLAIN)
    client.pause(paused=True)
    connection.sendall(b"data: a\n\n")
    gevent.sleep(0.05)
    assert listener.events == []
    client.pause(paused=False)
    wait_for(lambda: listener.events)
    client.drop()


def test_stream_over_tls_is_confirmed_at_the_kernels_time():
    """The same path with a certificate that is checked."""
    server_side, client_side = tls_pair(HOST)
    with contextlib.closing(Peer(server_side)) as server:
        listener, before_ns = Listener(), time.time_ns()
        client = api_of(server.port, scheme="https", tls=client_side).client([ROOM], {}, listener)
        join(client, server, CHUNKED).sendall(b"9\r\ndata: a\n\n\r\n")
        wait_for(lambda: listener.events)
        assert before_ns < listener.confirmed_ns < time.time_ns()
        client.drop()


class Posts(http.server.BaseHTTPRequestHandler):
    """Takes what is posted, but nothing on the channel "full"."""

    def do_POST(self):
        """Keep path and body."""
        self.server.posts.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(429 if "full" in self.path else 202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture
def posts():
    """A server of the standard library that keeps what is posted to it."""
    with serving_http(Posts) as server:
        server.posts = []
        yield server


def test_publish_posts_each_event_and_answers_the_listener(posts):
    """A user that only publishes is in without a connection."""
    listener = Listener()
    api = api_of(9, publish=posts.server_port)
    client = api.client([], {}, listener)
    client.join(time.monotonic() + PATIENCE_S)
    assert client.open
    assert client.silence_limit_s is None
    client.publish("p", ROOM, [b'{"a":1}', b'{"a":2}'])
    wait_for(lambda: listener.answers)
    assert posts.posts == [("/pub/default/room-0", b'{"a":1}'), ("/pub/default/room-0", b'{"a":2}')]
    assert (listener.answers[0].publish_id, listener.answers[0].accepted) == ("p", True)
    api.close()


def test_publish_that_is_too_much_is_throttled(posts):
    """Status 429 is told apart from other refusals."""
    api = api_of(9, publish=posts.server_port)
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
        joining = gevent.spawn(client.join, time.monotonic() + PATIENCE_S)
        peer.accept().sendall(redirect(f"http://{HOST}:{other.port}/there?x=1", status))
        other.accept().sendall(PLAIN + b"data: 1\n\n")
        joining.get(timeout=PATIENCE_S)
        wait_for(lambda: listener.events)
        assert other.request.startswith("GET /there?x=1 HTTP/1.1")
        assert "Bearer secret" in peer.request
        assert "secret" not in other.request
        client.drop()
        api.close()


def test_endless_redirects_end_the_join(peer):
    """Twenty are followed, as a browser does, and then no more."""
    api = api_of(peer.port)
    joining = gevent.spawn(api.client([ROOM], {}, Listener()).join, time.monotonic() + PATIENCE_S)
    for _ in range(21):
        peer.accept().sendall(redirect("/again"))
    with pytest.raises(JoinError, match="too many redirects"):
        joining.get(timeout=PATIENCE_S)
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
    client = api.client([ROOM], {}, Listener())
    joining = gevent.spawn(client.join, time.monotonic() + PATIENCE_S)
    connection = peer.accept()
    connection.sendall(answer)
    connection.shutdown(socket.SHUT_WR)
    with pytest.raises(JoinError) as caught:
        joining.get(timeout=PATIENCE_S)
    assert is_final == caught.value.is_final
    api.close()


def test_reconnection_time_is_passed_on(peer):
    """What the server tells in `retry` reaches the user, each time it changes."""
    api, listener = api_of(peer.port), Listener()
    client = api.client([ROOM], {}, listener)
    connection = join(client, peer, PLAIN + b"retry: 1500\n\n")
    connection.sendall(b"data: 1\n\nretry: 1500\n\nretry: 20\n\n")
    wait_for(lambda: 2 == len(listener.waits_s))
    assert [1.5, 0.02] == listener.waits_s
    client.drop()
    api.close()
