"""Servers on loopback addresses that count connections, and a proxy that does."""

import contextlib
import socket
import socketserver
import ssl
import threading
from base64 import b64encode
from hashlib import sha1

from tests.support.servers import running
from tests.support.waiting import PATIENCE_S

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
POLL = b'{"messages":[],"next":"1"}'
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def _answer(head):
    """Return what a server of all systems answers to a request, by what it asks for."""
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if b"Sec-WebSocket-Key" in headers:
        accept = b64encode(
            sha1(headers[b"Sec-WebSocket-Key"] + GUID, usedforsecurity=False).digest()
        )
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
    if headers.get(b"Accept") == b"text/event-stream":
        return STREAM
    body = POLL if head.startswith(b"GET") else b""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class CountingServer(socketserver.ThreadingTCPServer):
    """Answers requests of all systems on one loopback address.

    Attributes:
        requests: Heads of the requests that came.
        peers: Numeric addresses of those who connected, in order.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host, tls=None):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), socketserver.BaseRequestHandler)
        self.requests, self.peers, self._tls = [], [], tls

    def finish_request(self, request, client_address):
        self.peers.append(client_address[0])
        request.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError):  # A handshake that fails too: the peer tells of it.
            if self._tls is not None:
                request = self._tls.wrap_socket(request, server_side=True)
            with request, request.makefile("rb") as lines:
                while head := _head(lines):
                    self.requests.append(head)
                    lines.read(_length(head))
                    request.sendall(_answer(head))


def _head(lines):
    """Return the head of the next request; nothing at the end."""
    head = b""
    while (line := lines.readline()) not in (b"\r\n", b""):
        head += line
    return head


def _length(head):
    found = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    return int(found) if found else 0


@contextlib.contextmanager
def counting(*hosts, tls=None):
    """Serve on these addresses, each on a free port of its own; yields the servers."""
    with contextlib.ExitStack() as started:
        servers = [started.enter_context(CountingServer(host, tls)) for host in hosts]
        for server in servers:
            started.enter_context(running(server))
        yield servers


def rows(*servers):
    """Return what a resolver returns for a host that is all of these servers."""
    return [
        (server.address_family, socket.SOCK_STREAM, 6, "", server.server_address)
        for server in servers
    ]


class CountingProxy(socketserver.ThreadingTCPServer):
    """Connects to one server, whichever host it is asked for.

    Args:
        server: What it connects to.
        refusal: What it answers instead, where it refuses.

    Attributes:
        asked: Heads of the requests that came.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server=None, refusal=b""):
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.asked, self._server, self._refusal = [], server, refusal
        self.port = self.server_address[1]

    def finish_request(self, request, client_address):
        request.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += request.recv(1) or b"\r\n\r\n"
            self.asked.append(head)
            if self._refusal:
                request.sendall(self._refusal)
                return
            with socket.create_connection(self._server.server_address[:2]) as onward:
                # In pieces, as a slow proxy sends it.
                for piece in (b"HTTP/1.1 200 Connection est", b"ablished\r\nVia: 1.1 p\r\n\r\n"):
                    request.sendall(piece)
                thread = threading.Thread(target=_pump, args=(onward, request), daemon=True)
                thread.start()
                _pump(request, onward)
                thread.join(PATIENCE_S)


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxying(server=None, refusal=b""):
    """Run a proxy for as long as a block lasts."""
    with CountingProxy(server, refusal) as proxy, running(proxy):
        yield proxy


def requiring_certificates(authority, newest=ssl.TLSVersion.TLSv1_3):
    """Return a server's TLS context that refuses clients without a certificate of ``authority``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "chat.test").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = newest
    return context
