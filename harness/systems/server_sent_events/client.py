"""The load side's client of server-sent events: one long response a subscriber, POST to publish.

A join is: TCP, TLS where the address has it, ``GET`` until the response head says 200 and
``text/event-stream``, which is the confirmation. A user that only publishes holds no connection.
How a connection fails or ends is told apart by code: ``connect_refused``, ``connect_timeout``,
``http_error_terminal``, ``stream_reset`` and ``stream_end``.
Source: WHATWG HTML, section 9.2.3 "Processing model", read November 2026.
"""

import errno
import time
from collections.abc import Sequence
from http import HTTPStatus
from itertools import cycle
from typing import Any
from urllib.parse import quote, urlsplit

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError
from geventhttpclient.url import URL

from harness.core.errors import RemoteProtocolError
from harness.net.client import (
    Access,
    JoinError,
    JoinTimes,
    Listener,
    PublishAnswer,
    only_channel,
)
from harness.net.http_stream import Body, ResponseHead, body_of, parse_response_head
from harness.net.joining import error_text, join_code, lap, read_head
from harness.net.stream import TcpStream, TlsStream, open_socket, resolve
from harness.systems.server_sent_events import wire

CHANNEL = "{channel}"
"""Stands in an address for the channel's path, without the slash at its start."""

STREAM_END_CODE = 1000
STREAM_RESET_CODE = 1006
PROTOCOL_ERROR_CODE = 1002
"""Ends as WebSocket's close codes name them, so that systems compare; HTTP has none."""

FRAMES_KEPT = 1000
_HEAD_END = b"\r\n\r\n"


class ServerSentEventsApi:
    """One service as a worker uses it: addresses resolved, once for all users.

    A key is sent as a bearer token.

    Args:
        access: Addresses, both with ``{channel}`` where the channel belongs.

    Raises:
        TargetUnreachableError: If a host name does not resolve.
    """

    def __init__(self, access: Access) -> None:
        parts = urlsplit(access.realtime)
        self.tls = access.tls
        self.host = parts.hostname or ""
        self.address = resolve(self.host, parts.port or (443 if parts.scheme == "https" else 80))
        self.cursors: dict[Listener, bytes] = {}
        """Where each user's last stream was left; a returning browser sends it."""
        self.frames: dict[bytes, bytes] = {}
        """Bytes lately in the memo: all who got equal ones keep one copy, for their cursors."""
        self.sources = cycle(access.source_addresses or (None,))
        self._realtime_path = _path_of(access.realtime)
        self._publish_path = _path_of(access.http)
        self._host_header = parts.netloc.rpartition("@")[2]
        self._authorization = f"Bearer {access.api_key}" if access.api_key else ""
        self._http_client = HTTPClient.from_url(
            URL(access.http.replace(CHANNEL, "channel")),
            concurrency=256,
            connection_timeout=10.0,
            network_timeout=60.0,
            ssl_context_factory=lambda: access.tls,
        )

    def client(
        self, channels: Sequence[str], memo: dict[bytes, Any], listener: Listener
    ) -> "ServerSentEventsClient":
        """Return a client for one user, not yet connected."""
        return ServerSentEventsClient(self, only_channel(channels), memo, listener)

    def keep(self, frame: bytes) -> None:
        """Take bytes into ``frames``; those of long ago make room."""
        if len(self.frames) >= FRAMES_KEPT:
            self.frames.clear()
        self.frames[frame] = frame

    def request(self, channel: str, last_event_id: bytes) -> bytes:
        """Return the request for a channel's stream, from an event on where one is given."""
        lines = [
            f"GET {_with_channel(self._realtime_path, channel)} HTTP/1.1",
            f"Host: {self._host_header}",
            f"Accept: {wire.CONTENT_TYPE}",
            "Cache-Control: no-store",
        ]
        if self._authorization:
            lines.append(f"Authorization: {self._authorization}")
        head = "\r\n".join(lines).encode()
        if last_event_id:
            head += b"\r\n" + wire.LAST_EVENT_ID_HEADER.encode() + b": " + last_event_id
        return head + _HEAD_END

    def publish_over_http(
        self, publish_id: str, channel: str, events: list[bytes]
    ) -> PublishAnswer:
        """POST each event and wait for the answers, in the calling greenlet; raises OSError."""
        path = _with_channel(self._publish_path, channel)
        headers = {"content-type": "application/json"}
        if self._authorization:
            headers["authorization"] = self._authorization
        for event in events:
            status, text = self._post(path, event, headers)
            if status // 100 != HTTPStatus.OK // 100:
                said = text[:200].decode("utf-8", "replace").strip()
                throttled = status == HTTPStatus.TOO_MANY_REQUESTS
                now_ns = time.time_ns()
                return PublishAnswer(publish_id, False, throttled, f"HTTP {status}", said, now_ns)
        return PublishAnswer(publish_id, True, False, "", "", time.time_ns())

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            response = self._http_client.post(path, body, headers)
            return response.status_code, bytes(response.read())
        except HTTPParseError as error:  # No OSError, though a closed connection is one of them.
            raise ConnectionResetError(str(error) or "no answer came") from None

    def close(self) -> None:
        """Close the connections kept for publishing."""
        self._http_client.close()


class ServerSentEventsClient:
    """One user's stream; see ``net.client.Client``.

    Subscribers of one channel get equal bytes, so bytes seen once are recognised by comparison
    (the memo) wherever neither the transfer coding nor the event format has anything half read.

    Args:
        api: The service to join.
        channel: Channel to subscribe to; None for a user that only publishes.
        memo: Bytes already understood to the listener's token for them.
        listener: Who is told of deliveries, answers and the end.

    Attributes:
        silence_limit_s: None: a browser's EventSource never gives up on silence.
    """

    __slots__ = (
        "_api",
        "_body",
        "_channel",
        "_fresh",
        "_joined",
        "_known_bytes",
        "_listener",
        "_memo",
        "_parser",
        "_stream",
        "heard_ns",
        "silence_limit_s",
    )

    def __init__(
        self,
        api: ServerSentEventsApi,
        channel: str | None,
        memo: dict[bytes, Any],
        listener: Listener,
    ) -> None:
        self._api = api
        self._channel = channel
        self._memo = memo
        self._listener = listener
        self._parser = wire.EventStreamParser(api.cursors.get(listener, b""))
        self._body: Body | None = None
        self._stream: TcpStream | None = None
        self._fresh = False
        """Whether the next bytes begin a chunk and an event: then equal bytes mean the same."""
        self._known_bytes = b""
        """The last bytes that the memo knew; the cursor is read from them when asked for."""
        self._joined = False
        self.heard_ns = 0
        self.silence_limit_s: float | None = None

    @property
    def last_event_id(self) -> bytes:
        """The cursor of the stream: what a reconnect sends as Last-Event-ID.

        Where a server gives ids to some events only, it may lag: a replay then repeats, and
        never leaves out.
        """
        if self._body is not None and self._known_bytes:
            found = wire.last_event_id_of(type(self._body)().feed(self._known_bytes))
            if found is not None:
                return found
        return self._parser.last_event_id

    @property
    def open(self) -> bool:
        """Whether the user is in: its stream is held, or it needs none."""
        return self._stream is not None or (self._channel is None and self._joined)

    def join(self, deadline: float) -> JoinTimes:
        """Connect and ask for the stream; see ``net.client.Client.join``."""
        times = JoinTimes(time.time_ns())
        if self._channel is None:
            times.confirmed_ns = times.start_ns
            self._joined = True
            return times
        try:
            rest = self._connect(times, deadline)
        except BaseException:
            self.drop()
            raise
        self._joined = True
        if rest:
            self._take(rest, times.confirmed_ns)
        if not self.open:  # It ended in the same breath as it was confirmed.
            raise JoinError("subscribe", "stream_end", "the stream ended at once")
        return times

    def _connect(self, times: JoinTimes, deadline: float) -> bytes:
        """Connect, secure, ask, and hand over to the reader; return what followed the head."""
        stage, api = "connect", self._api
        try:
            before = time.monotonic_ns()
            sock = open_socket(api.address, deadline, next(api.sources))
            self._stream = TcpStream(sock)
            before = lap(times, "tcp", before)
            if api.tls is not None:
                stage = "tls"
                self._stream = TlsStream(sock, api.tls, api.host, deadline)
                before = lap(times, "tls", before)
            stage = "subscribe"
            self._stream.send(api.request(self._channel or "", self._parser.last_event_id))
            head, rest, kernel_ns = read_head(self._stream, deadline)
            self._body = self._checked(parse_response_head(head), rest)
            lap(times, "subscribe", before)
        except (OSError, RemoteProtocolError) as error:
            raise JoinError(stage, _outcome(stage, error), error_text(error)) from None
        times.confirmed_ns = self.heard_ns = kernel_ns
        self._listener.confirmed(kernel_ns)
        self._stream.read_to(self)
        return rest

    def _checked(self, head: ResponseHead, rest: bytes) -> Body:
        """Return the body's reader; any answer but a stream ends the attempt for good."""
        if head.status != HTTPStatus.OK or head.media_type != wire.CONTENT_TYPE:
            said = rest[:200].decode("utf-8", "replace").strip()
            found = f"{head.status} {head.media_type or 'without a content type'}"
            raise JoinError("subscribe", "http_error_terminal", f"{found}: {said}")
        return body_of(head)

    def arrived(self, data: bytes, kernel_ns: int) -> None:
        """Take what arrived; the hot path."""
        if self._fresh:
            known = self._memo.get(data)
            if known is not None:
                self._known_bytes = self._api.frames.get(data, data)
                self._listener.delivered(known, kernel_ns)
                return
        self._take(data, kernel_ns)

    def broken(self, error: OSError) -> None:
        """End a stream whose connection was reset."""
        self._over(STREAM_RESET_CODE, f"stream_reset: {error_text(error)}", time.time_ns())

    def _take(self, data: bytes, kernel_ns: int) -> None:
        """Read bytes that the memo does not know, or that begin in the middle of something."""
        body, parser, fresh = self._body, self._parser, self._fresh
        if body is None or not data:
            self._over(*self._end_without_notice(), kernel_ns)
            return
        self._sync_cursor()
        self.heard_ns = kernel_ns
        token, events = None, []
        try:
            events = parser.feed(body.feed(data))
        except RemoteProtocolError as error:
            self._listener.refused("receive", "protocol_error", str(error))
            self._over(PROTOCOL_ERROR_CODE, str(error), kernel_ns)
            return
        for event in events:
            token = self._event(event, kernel_ns)
        self._fresh = body.idle and parser.idle
        if fresh and self._fresh and len(events) == 1 and token is not None:
            self._memo[data] = token
            self._api.keep(data)
        if body.ended:
            self._over(STREAM_END_CODE, "stream_end: the server ended the stream", kernel_ns)

    def _event(self, event: wire.Event, kernel_ns: int) -> Any | None:
        """Deliver one event; equal data is recognised even where other bytes surround it."""
        known = self._memo.get(event.data)
        if known is not None:
            self._listener.delivered(known, kernel_ns)
            return known
        token = self._listener.event(event.text, kernel_ns)
        if token is not None:
            self._memo[event.data] = token
        return token

    def _sync_cursor(self) -> None:
        """Tell the parser the id that the bytes it did not see have set."""
        if self._known_bytes:
            self._parser.move_to(self.last_event_id)
            self._known_bytes = b""

    def _end_without_notice(self) -> tuple[int, str]:
        """Return code and reason where the connection closed: a plain body ends that way."""
        if self._body is not None and self._body.ends_with_connection:
            return STREAM_END_CODE, "stream_end: the server closed the connection"
        return STREAM_RESET_CODE, "stream_reset: closed in the middle of the response"

    def _over(self, code: int, reason: str, kernel_ns: int) -> None:
        self.drop()
        self._listener.ended(code, reason, kernel_ns)

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """POST one publish in a greenlet of its own; the listener hears of its answer."""
        gevent.spawn(self._publish, publish_id, channel, events)

    def _publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        try:
            answer = self._api.publish_over_http(publish_id, channel, events)
        except OSError as error:
            code, text = join_code(error), error_text(error)
            answer = PublishAnswer(publish_id, False, False, code, text, time.time_ns())
        self._listener.answered(answer)

    def pause(self, *, paused: bool) -> None:
        """Stop taking what arrives, or go on; what has arrived stays with the kernel."""
        if self._stream is not None:
            self._stream.pause(paused=paused)

    def close(self) -> None:
        """Let go: HTTP has no goodbye."""
        self.drop()

    def drop(self) -> None:
        """Let go of the socket at once, and keep the cursor; safe to call twice."""
        self._joined = False
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            if cursor := self.last_event_id:
                self._api.cursors[self._listener] = cursor


def _outcome(stage: str, error: Exception) -> str:
    """Return the code of a failed join: why the stream did not open."""
    if stage == "connect":
        if isinstance(error, TimeoutError):
            return "connect_timeout"
        if getattr(error, "errno", None) == errno.ECONNREFUSED:
            return "connect_refused"
    if isinstance(error, ConnectionError):
        return "stream_reset"
    return join_code(error)


def _path_of(address: str) -> str:
    parts = urlsplit(address)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _with_channel(path: str, channel: str) -> str:
    return path.replace(CHANNEL, quote(channel.lstrip("/"), safe="/"))
