"""Servers of other libraries, in threads of their own for as long as a block lasts."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from websockets.sync.server import serve


@contextlib.contextmanager
def running(server):
    """Let a server of ``socketserver`` or ``websockets`` serve."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def serving_http(handler):
    """Serve HTTP on a free port of the loopback interface."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, running(server):
        yield server


@contextlib.contextmanager
def answering_posts(answer, protocol="HTTP/1.0"):
    """Answer each POST with what ``answer(request, body)`` returns; HTTP/1.1 keeps connections.

    That is the status, the bytes, and headers if there are any. Yields the port.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = protocol

        def do_POST(self):
            asked = self.rfile.read(int(self.headers["content-length"]))
            status, body, *headers = answer(self, asked)
            self.send_response(status)
            for name, value in [pair for each in headers for pair in each.items()]:
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Print nothing."""

    with serving_http(Handler) as server:
        yield server.server_port


@contextlib.contextmanager
def serving_websockets(handler, **options):
    """Serve WebSockets on a free port of the loopback interface; yields the port."""
    with serve(handler, "127.0.0.1", 0, **options) as server, running(server):
        yield server.socket.getsockname()[1]
