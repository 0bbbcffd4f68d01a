"""A server that misbehaves in one way at a time, and the clients that meet it."""

import contextlib
import hashlib
import socket
import threading
import time
from base64 import b64encode

import gevent
import pytest

from harness.net.client import Access
from harness.systems.api_gateway_websocket.client import ApiGatewayWebSocketApi
from harness.systems.api_gateway_websocket.options import ClientOptions as SocketOptions
from harness.systems.polling.client.poller import PollingApi
from harness.systems.polling.options import ClientOptions as PollOptions
from harness.systems.server_sent_events.client.api import ServerSentEventsApi
from harness.systems.server_sent_events.options import ClientOptions as StreamOptions
from tests.support.listeners import Listener
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
MOST_LAG_S = 1.0


class HostileServer:
    """Answers each request with given bytes, and keeps the connection open.

    Attributes:
        port: Where it listens.
        answer: Bytes, or a function of the request's head that returns them.
        then: Bytes that follow once the user has joined, in the given pieces.
        hangs_up: Whether it closes after that.
        requests: The heads of the requests so far.
    """

    def __init__(self):
        self._listener = socket.create_server((HOST, 0))
        self._connections = []
        self.port = self._listener.getsockname()[1]
        self.answer, self.then, self.requests = STREAM_HEAD, (), []
        self.hangs_up = False
        self.joined = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._misbehave, args=(connection,), daemon=True).start()

    def _misbehave(self, connection):
        with contextlib.suppress(OSError):  # The client has had enough.
            while head := self._request(connection):
                self.requests.append(head)
                connection.sendall(self.answer(head) if callable(self.answer) else self.answer)
                if self.hangs_up:
                    connection.shutdown(socket.SHUT_WR)
                self.joined.wait(PATIENCE_S)
                for piece in self.then:
                    connection.sendall(piece)

    @staticmethod
    def _request(connection):
        head = b""
        while b"\r\n\r\n" not in head and (received := connection.recv(65_536)):
            head += received
        return head

    def close(self):
        """End everything."""
        self.joined.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # A thread that accepts holds a file.
        self._listener.close()
        self._thread.join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def accepted(head):
    """Return the answer to an upgrade."""
    key = head.lower().partition(b"sec-websocket-key:")[2]
    key = head[len(head) - len(key) :].split(b"\r\n")[0].strip()
    accept = b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def server_frame(opcode, payload=b"", *, final=True):
    """Return a frame as a server sends it."""
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes((opcode | (0x80 if final else 0),)) + length + payload


class Client:
    """One user of a hostile server, and what it reported."""

    def __init__(self, api, server):
        self.listener = Listener()
        self._client = api.client(["/default/a"], {}, self.listener)
        self._server = server

    def join(self):
        """Join, then let the server go on; raises JoinError."""
        self._client.join(time.monotonic() + PATIENCE_S)
        self._server.joined.set()

    def close(self):
        """Close the connection."""
        self._client.drop()


@pytest.fixture
def server():
    """A server on a port of its own."""
    with contextlib.closing(HostileServer()) as running:
        yield running


@pytest.fixture
def stream_user(server):
    """A user of server-sent events."""
    address = f"http://{HOST}:{server.port}/{{channel}}"
    api = ServerSentEventsApi(Access(address, address, "", options=StreamOptions()))
    with contextlib.closing(api), contextlib.closing(Client(api, server)) as client:
        yield client


@pytest.fixture
def socket_user(server):
    """A user on a WebSocket whose join needs no answer but the upgrade."""
    server.answer = accepted
    options = SocketOptions(join_action="", route_responses=False)
    access = Access(f"ws://{HOST}:{server.port}/", "http://unused", "", options=options)
    with contextlib.closing(Client(ApiGatewayWebSocketApi(access), server)) as client:
        yield client


@pytest.fixture
def poll_user(server):
    """A user who polls."""
    address = f"http://{HOST}:{server.port}/{{channel}}"
    access = Access(address, address, "", options=PollOptions(interval_s=0.05))
    api = PollingApi(access)
    with contextlib.closing(api), contextlib.closing(Client(api, server)) as client:
        yield client


@pytest.fixture
def longest_stand_s():
    """Return a function that gives the longest CPU time between two turns of a greenlet so far.

    CPU time of this thread: a busy machine does not count.
    """
    longest = [0.0]

    def probe():
        before = time.thread_time()
        while True:
            gevent.sleep(0.001)
            now = time.thread_time()
            longest[0] = max(longest[0], now - before)
            before = now

    greenlet = gevent.spawn(probe)
    yield lambda: longest[0]
    greenlet.kill()
