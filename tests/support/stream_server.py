"""A server of event streams made by hand, which lets each stream end as it is told to."""

import contextlib
import select
import socket
import struct
import threading

from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY_END = b"0\r\n\r\n"
HEARTBEAT_S = 0.3


def chunk(text):
    """Return text as a chunk of a body."""
    return f"{len(text):x}\r\n{text}\r\n".encode()


class StreamServer:
    """Serves ``GET`` with streams and ``POST``, on a port of its own, with what to fan out.

    Args:
        fates: What becomes of each stream, in the order in which they are asked for: ``stays``;
            ``ends``, ``is cut`` or ``is reset`` when the first message comes; ``falls silent``
            from then on; ``is refused`` with a 503 at once.
        after: What becomes of whoever comes when all of these are there: ``refuses``, because
            nobody listens any more, or ``hangs``, because nobody accepts.

    Attributes:
        port: Where streams are.
        publish_port: Where publishes go.
    """

    def __init__(self, fates, after="refuses"):
        self._fates = list(fates)
        self._after = after
        self._streams = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._door = socket.create_server((HOST, 0))
        self._desk = socket.create_server((HOST, 0))
        self.port, self.publish_port = (s.getsockname()[1] for s in (self._door, self._desk))
        threads = (self._let_in, self._take_publishes, self._beat)
        self._threads = [threading.Thread(target=each, daemon=True) for each in threads]
        for thread in self._threads:
            thread.start()

    def target(self, **client):
        """Return the text of a target file for this server."""
        options = "".join(f"{key} = {value}\n" for key, value in client.items())
        return (
            'name = "by-hand"\nsystem = "server-sent-events"\n[endpoints]\n'
            f'http = "http://{HOST}:{self.publish_port}/pub/{{channel}}"\n'
            f'realtime = "http://{HOST}:{self.port}/sub/{{channel}}"\n'
            f'[auth]\nmode = "none"\n[client]\n{options}'
        )

    def _let_in(self):
        while self._fates:
            peer = self._accepted(self._door)
            if peer is None:
                return
            if not _request(peer):  # Somebody who only wanted to see whether we are there.
                peer.close()
                continue
            fate = self._fates.pop(0)
            if fate == "is refused":
                peer.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                peer.close()
                continue
            peer.sendall(HEAD + chunk(":\n\n"))
            with self._lock:
                self._streams.append((peer, fate))
        if self._after == "refuses":
            self._door.close()
        else:
            self._door.listen(0)  # One finds room in the queue; further SYNs are dropped.

    def _take_publishes(self):
        while (peer := self._accepted(self._desk)) is not None:
            threading.Thread(target=self._serve_publisher, args=(peer,), daemon=True).start()

    def _serve_publisher(self, peer):
        with contextlib.suppress(OSError), peer:
            while request := _request(peer):
                head, _, body = request.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                while len(body) < length:
                    body += peer.recv(65_536)
                self._fan_out(f"data: {body.decode()}\n\n")
                peer.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    def _fan_out(self, event):
        with self._lock:
            for stream in list(self._streams):
                peer, fate = stream
                if fate == "stays":
                    _send(peer, chunk(event))
                elif fate != "falls silent":
                    self._streams.remove(stream)
                    _end(peer, fate)

    def _beat(self):
        while not self._over.wait(HEARTBEAT_S):
            with self._lock:
                for peer, fate in self._streams:
                    if fate != "falls silent":
                        _send(peer, chunk(":\n\n"))

    def _accepted(self, listener):
        while not self._over.is_set():
            if select.select([listener], [], [], 0.05)[0]:
                return listener.accept()[0]
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for peer, _ in self._streams:
            peer.close()
        self._door.close()
        self._desk.close()


def _request(peer):
    """Return a request's head and what came with it; nothing where the peer has gone."""
    peer.settimeout(PATIENCE_S)
    request = b""
    with contextlib.suppress(OSError):
        while b"\r\n\r\n" not in request:
            received = peer.recv(65_536)
            if not received:
                return b""
            request += received
    return request


def _send(peer, data):
    with contextlib.suppress(OSError):  # Whoever has gone has gone.
        peer.sendall(data)


def _end(peer, fate):
    """End a stream: completed, cut by a close, or reset."""
    if fate == "ends":
        _send(peer, BODY_END)
    elif fate == "is reset":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
