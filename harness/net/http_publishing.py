"""Publish by HTTP POST, one event a request, to an address that names the channel."""

import errno
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.response import HTTPParseError, HTTPSocketPoolResponse

from harness.core.peer_limits import MAX_MESSAGE_BYTES
from harness.net.addresses import path_of, with_channels
from harness.net.client import Access, Listener, PublishAnswer
from harness.net.joining import error_text, join_code
from harness.net.request_fields import RequestFields, bearer
from harness.net.route import Route
from harness.net.stream import TcpStream, wait_readable

CONCURRENCY = 256
CONNECT_WITHIN_S = 10.0
ANSWER_WITHIN_S = 60.0


def whole_answer(request: Callable[[], HTTPSocketPoolResponse]) -> tuple[int, bytes]:
    """Make a request in the calling greenlet and return status and body of its answer.

    Raises:
        OSError: If the answer does not end in time, or is too long, or the connection breaks.
    """
    body = bytearray()
    try:
        with gevent.Timeout(ANSWER_WITHIN_S, TimeoutError("no whole answer in time")):
            response = request()
            for part in response:
                body += part
                if len(body) > MAX_MESSAGE_BYTES:
                    response.release()
                    raise OSError(errno.EMSGSIZE, f"more than {MAX_MESSAGE_BYTES:,} bytes came")
    except HTTPParseError as error:  # No OSError, though a closed connection is one of them.
        raise ConnectionResetError(str(error) or "no answer arrived") from None
    return response.status_code, bytes(body)


class HttpPublisher:
    """What the users of one worker publish through.

    Args:
        access: Its ``http`` has ``{channel}`` where the channel belongs.
        body: Makes the body of a request from a channel and an event.
        content_type: Of the bodies. The key, if there is one, is sent as a bearer token.
    """

    def __init__(
        self,
        access: Access,
        body: Callable[[str, bytes], bytes],
        content_type: str = "application/json",
    ) -> None:
        fields = RequestFields(access.http, access.options)
        self._path = path_of(fields.address)
        own = {"Content-Type": content_type, **bearer(access.api_key)}
        self._headers = fields.headers_of_no_user(own)
        self._body = body
        self._client = http_client(Route(access, access.http))

    def post(self, publish_id: str, channel: str, events: list[bytes]) -> PublishAnswer:
        """POST each event and wait for the answers, in the calling greenlet; raises OSError."""
        path = with_channels(self._path, (channel,))
        for event in events:
            status, text = self._post(path, self._body(channel, event))
            if status // 100 != HTTPStatus.OK // 100:
                message = text[:200].decode("utf-8", "replace").strip()
                throttled = status == HTTPStatus.TOO_MANY_REQUESTS
                now_ns = time.time_ns()
                return PublishAnswer(
                    publish_id, False, throttled, f"HTTP {status}", message, now_ns
                )
        return PublishAnswer(publish_id, True, False, "", "", time.time_ns())

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        return whole_answer(lambda: self._client.post(path, body, self._headers))

    def start(self, publish_id: str, channel: str, events: list[bytes], listener: Listener) -> None:
        """POST in a separate greenlet; the listener gets the answer, or the failure."""
        gevent.spawn(self._tell, publish_id, channel, events, listener)

    def _tell(self, publish_id: str, channel: str, events: list[bytes], listener: Listener) -> None:
        try:
            answer = self.post(publish_id, channel, events)
        except OSError as error:
            code, text = join_code(error), error_text(error)
            answer = PublishAnswer(publish_id, False, False, code, text, time.time_ns())
        listener.answered(answer)

    def close(self) -> None:
        """Close the connections kept for publishing."""
        self._client.close()


def http_client(route: Route) -> HTTPClient:
    """Return a client for requests to the host of a route, which makes its connections."""
    client = HTTPClient(route.host, route.port)
    client._connection_pool = _Connections(route)  # noqa: SLF001 - it takes no pool as an argument
    return client


class _Connections(ConnectionPool):
    """Connections of one route that are kept for further requests."""

    def __init__(self, route: Route) -> None:
        super().__init__(route.host, route.port, route.host, route.port, size=CONCURRENCY)
        self._route = route

    def _create_socket(self) -> Any:
        deadline = time.monotonic() + CONNECT_WITHIN_S
        return _Connection(self._route.secure(self._route.connect(deadline), deadline))

    def _is_socket_alive(self, sock: Any) -> bool:
        return isinstance(sock, _Connection) and sock.is_idle()


class _Connection:
    """A stream with the part of a socket's interface that requests need."""

    def __init__(self, stream: TcpStream) -> None:
        self._stream = stream
        self.sendall = stream.send
        self.close = stream.close

    def recv(self, _size: int) -> bytes:
        """Wait for bytes of the answer, in the calling greenlet; raises OSError."""
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while (received := self._stream.receive()) is None:
            wait_readable(self._stream.sock, deadline)
        return received[0]

    def is_idle(self) -> bool:
        """Return whether the connection is open, and nothing has arrived that no request awaits."""
        try:
            return self._stream.receive() is None
        except OSError:
            return False
