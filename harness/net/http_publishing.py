"""Publish by HTTP POST, one event a request, to an address that names the channel."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.response import HTTPParseError

from harness.core.errors import HarnessError, RemoteProtocolError
from harness.core.json_rules import Rules, read_json
from harness.core.outside_text import excerpt, outside_text
from harness.core.peer_limits import MAX_MESSAGE_BYTES, oversize
from harness.net.addresses import encoded, origin, path_of, with_channels
from harness.net.client import Access, Listener, PublishAnswer, Refusal, rejected
from harness.net.http_stream import (
    MAX_HEAD_BYTES,
    ChunkedBody,
    HeadReader,
    ResponseHead,
    joined_headers,
)
from harness.net.joining import PeerError, error_text, join_code
from harness.net.redirects import KEEPS_METHOD, REDIRECTS, RefusedRedirectError, redirected
from harness.net.request_fields import OWN_HEADERS, Cookies, RequestFields, bearer
from harness.net.route import Route, Routes
from harness.net.stream import TcpStream, wait_readable

CONCURRENCY = 256
CONNECT_WITHIN_S = 10.0
ANSWER_WITHIN_S = 60.0
MAX_REDIRECTS = 5


class HttpAnswer(NamedTuple):
    """The answer to a POST.

    Attributes:
        status: HTTP status; that of a redirect, if it was not followed.
        body: What the server says, or why a redirect was not followed.
        asked_wait_s: How long the server asks to wait; 0 if it does not.
    """

    status: int
    body: bytes
    asked_wait_s: float = 0.0

    @property
    def refusal(self) -> Refusal | None:
        """The refusal that the status stands for; None for success."""
        if self.status // 100 == HTTPStatus.OK // 100:
            return None
        text = excerpt(self.body, 200)
        if self.asked_wait_s:
            text += f" (Retry-After: {self.asked_wait_s:.0f} s)"
        throttled = self.status == HTTPStatus.TOO_MANY_REQUESTS
        return Refusal(f"HTTP {self.status}", text, throttled, self.asked_wait_s)


class Poster:
    """Sends POST requests and keeps the connections; follows redirects that keep the method.

    Args:
        access: Its ``http`` is where the requests go at first.
    """

    def __init__(self, access: Access) -> None:
        self._may_connect = access.may_connect
        self._routes = Routes(access, access.http)
        self._clients = {origin(access.http): http_client(self._routes.to(access.http))}

    def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """POST in the calling greenlet and return the answer; raises OSError.

        Args:
            address: URL.
            body: Sent as it is.
            headers: Sent to the target's own host; another one only gets the content type.
        """
        for _ in range(MAX_REDIRECTS + 1):
            head, text = self._send(address, body, headers)
            location = head.headers.get("location", "")
            if head.status not in REDIRECTS or not location:
                return HttpAnswer(head.status, text, head.asked_wait_s(time.time()))
            if head.status not in KEEPS_METHOD:
                found = f"redirected to {outside_text(location, 200)}"
                found += " in a way that turns a POST into a GET; 307 and 308 keep it"
                return HttpAnswer(head.status, found.encode())
            try:
                address = redirected(address, location, self._may_connect)
            except RefusedRedirectError as error:
                return HttpAnswer(head.status, str(error).encode())
        return HttpAnswer(head.status, f"redirected more than {MAX_REDIRECTS} times".encode())

    def _send(
        self, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[ResponseHead, bytes]:
        if not self._routes.is_ours(address):
            headers = {name: headers[name] for name in headers if name.lower() == "content-type"}
        client = self._client(address)
        try:
            with gevent.Timeout(ANSWER_WITHIN_S, TimeoutError("no whole answer in time")):
                response = client.post(path_of(address), body, headers)
                text = bytes(response.read())
        except HTTPParseError as error:  # No OSError, though a closed connection is one of them.
            raise ConnectionResetError(str(error) or "no answer arrived") from None
        except (ValueError, RuntimeError) as error:  # No request can carry it, or closed meanwhile.
            raise ConnectionError(str(error)) from None
        return ResponseHead(response.status_code, joined_headers(response.headers)), text

    def _client(self, address: str) -> HTTPClient:
        """Return what sends to the host of an address; raises OSError if there is no such host."""
        place = origin(address)
        if place not in self._clients:
            try:
                self._clients[place] = http_client(self._routes.to(address))
            except (HarnessError, UnicodeError) as error:
                raise ConnectionError(str(error)) from None
        return self._clients[place]

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()


class HttpPublisher:
    """What the users of one worker publish through.

    Args:
        access: Its ``http`` has ``{channel}`` where the channel belongs.
        body: Makes the body of a request from a channel and an event.
        content_type: Of the bodies. The key, if there is one, is sent as a bearer token.
        cookies: Where those of the users are kept; left out, the target's are sent.
    """

    def __init__(
        self,
        access: Access,
        body: Callable[[str, bytes], bytes],
        content_type: str = "application/json",
        cookies: Cookies | None = None,
    ) -> None:
        fields = RequestFields(access.http, access.options)
        self._address = encoded(fields.address)
        own = {"Content-Type": content_type, **bearer(access.api_key)}
        # The rules for refusals need answers that can be read as they are.
        self._headers = {
            name: value
            for name, value in fields.headers(own).items()
            if name.lower() != "accept-encoding"
        }
        self._cookies = cookies or fields.cookies
        self._body = body
        self._reject: Rules = access.options.reject
        self._poster = Poster(access)

    def post(
        self, publish_id: str, channel: str, events: list[bytes], user: object = None
    ) -> PublishAnswer:
        """POST each event and wait for the answers, in the calling greenlet; raises OSError.

        Args:
            publish_id: For the answer.
            channel: Path of the channel.
            events: The messages.
            user: Whose cookies are sent; None for those of the target alone.
        """
        address = with_channels(self._address, (channel,))
        headers = self._headers | self._cookies.header(user, address)
        refusals: dict[int, Refusal] = {}
        for place, event in enumerate(events):
            try:
                answer = self._poster.post(address, self._body(channel, event), headers)
            except OSError as error:
                if not place:
                    raise
                refusals |= dict.fromkeys(range(place, len(events)), _unanswered(error))
                break
            if refused := answer.refusal or self._rejected(answer.body):
                refusals[place] = refused
        return PublishAnswer.of(publish_id, refusals, time.time_ns())

    def _rejected(self, text: bytes) -> Refusal | None:
        """Return the refusal that an answer with a good status holds."""
        try:
            body = read_json(text)
        except ValueError:
            return None
        return rejected(body, self._reject)

    def start(self, publish_id: str, channel: str, events: list[bytes], listener: Listener) -> None:
        """POST in a separate greenlet; the listener gets the answer, or the failure."""
        gevent.spawn(self._tell, publish_id, channel, events, listener)

    def _tell(self, publish_id: str, channel: str, events: list[bytes], listener: Listener) -> None:
        try:
            answer = self.post(publish_id, channel, events, listener)
        except OSError as error:
            refusals = dict.fromkeys(range(len(events)), _unanswered(error))
            answer = PublishAnswer.of(publish_id, refusals, time.time_ns())
        listener.answered(answer)

    def close(self) -> None:
        """Close the connections kept for publishing."""
        self._poster.close()


def _unanswered(error: OSError) -> Refusal:
    """Return what an event meets whose request ended without an answer."""
    return Refusal(join_code(error), error_text(error), is_answered=False)


def http_client(route: Route) -> HTTPClient:
    """Return a client for requests to the host of a route, which makes its connections."""
    client = HTTPClient(route.host, route.port, headers=dict(OWN_HEADERS))
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
        self.close = stream.close

    def sendall(self, data: bytes) -> None:
        """Send a request, or a part of it; raises OSError."""
        self._deadline = time.monotonic() + ANSWER_WITHIN_S
        self._limits = _AnswerLimits()
        self._stream.send(data)

    def recv(self, _size: int) -> bytes:
        """Wait for bytes of the answer, in the calling greenlet.

        Raises:
            OSError: If the connection ended, or the answer is too long or too late.
        """
        received = None
        while received is None:
            # Also where bytes are there already, so that the users of other connections go on.
            wait_readable(self._stream.sock, self._deadline)
            received = self._stream.receive()
        try:
            self._limits.take(received[0])
        except RemoteProtocolError as error:
            raise PeerError(error.code, str(error)) from None
        return received[0]

    def is_idle(self) -> bool:
        """Return whether the connection is open, and nothing has arrived that no request awaits."""
        try:
            return self._stream.receive() is None
        except OSError:
            return False


class _AnswerLimits:
    """Counts the bytes of one answer: geventhttpclient takes what comes."""

    def __init__(self) -> None:
        self._received_bytes = 0
        self._heads: HeadReader | None = HeadReader()
        self._chunks: ChunkedBody | None = None

    def take(self, received: bytes) -> None:
        """Count bytes; raises RemoteProtocolError at a limit, or if they do not begin a head."""
        self._received_bytes += len(received)
        if self._received_bytes > MAX_HEAD_BYTES + MAX_MESSAGE_BYTES:
            raise oversize("answer to a publish", "is endless", MAX_MESSAGE_BYTES)
        if self._heads is not None:
            found = self._heads.feed(received)
            if found is None:
                return
            head, received = found
            self._heads = None
            if head.headers.get("transfer-encoding", "").lower() == "chunked":
                self._chunks = ChunkedBody()
        if self._chunks is not None:
            self._chunks.feed(received)
