"""Servers of other libraries, in threads of their own for as long as a block lasts."""

import contextlib
import threading
from http.server import ThreadingHTTPServer

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
def serving_websockets(handler, **options):
    """Serve WebSockets on a free port of the loopback interface; yields the port."""
    with serve(handler, "127.0.0.1", 0, **options) as server, running(server):
        yield server.socket.getsockname()[1]
