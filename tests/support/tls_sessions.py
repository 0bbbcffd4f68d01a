"""A TLS session in the hands of a test: our stream, and the server's end as an object."""

import _socket  # gevent patches socket.socket; a stream needs the plain one.
import contextlib
import socket
import ssl
import threading
import time

import trustme

from harness.net.stream import TlsStream
from tests.support.waiting import PATIENCE_S


class ServersEnd:
    """The server's end of a session.

    Attributes:
        session: What it writes and reads.
        peer: Its socket, on which nothing is sent that a test does not send.
    """

    def __init__(self, context, peer):
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.peer = peer

    def shake_hands(self):
        """Do its part of the handshake."""
        while True:
            try:
                self.session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.peer.sendall(self.written())
                self._incoming.write(self.peer.recv(65_536))

    def written(self):
        """Return the ciphertext of what was written since the last call, tickets included."""
        return self._outgoing.read()


@contextlib.contextmanager
def tls_session():
    """Yield our stream and the server's end of it, after the handshake."""
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(own)
    ours, theirs = socket.socketpair()
    end = ServersEnd(own, theirs)
    shaking = threading.Thread(target=end.shake_hands)
    shaking.start()
    ours.setblocking(False)
    sock = _socket.socket(fileno=ours.detach())
    stream = TlsStream(sock, trust, "localhost", time.monotonic() + PATIENCE_S)
    shaking.join()
    with contextlib.closing(stream), theirs:
        yield stream, end
