"""The load side's client of server-sent events: one long response a subscriber, POST to publish.

A join is: TCP, TLS where the address has it, ``GET`` until the response head says 200 and
``text/event-stream``, which is the confirmation. A user that only publishes holds no connection.
How a join fails is told apart by code: ``connect_refused``, ``connect_timeout``,
``http_error_terminal`` and others; how a stream ends by outcome: ``stream_end``, ``stream_reset``,
and ``stalled`` where the user gives it up, or bears it. Redirects are followed.
Source: WHATWG HTML, section 9.2.3 "Processing model", read November 2026.
"""

import errno
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError, RemoteProtocolError
from harness.core.outside_text import excerpt
from harness.core.peer_limits import MAX_OTHER_MESSAGES_PER_S, EmptyUnits
from harness.net.client import Access, JoinError, JoinTimes, Listener, PublishAnswer
from harness.net.http_publishing import HttpPublisher
from harness.net.http_stream import Body, ResponseHead, body_of
from harness.net.joining import error_text, failed_join, lap, read_head
from harness.net.reading import Int64Array
from harness.net.redirects import (
    NO_ADDRESS,
    NOT_ALLOWED,
    REDIRECTS,
    RefusedRedirectError,
    redirected,
)
from harness.net.stream import TcpStream
from harness.systems.server_sent_events import wire
from harness.systems.server_sent_events.client.addresses import Addresses

if TYPE_CHECKING:
    from harness.systems.server_sent_events.options import ClientOptions

STREAM_END = "stream_end"
STREAM_RESET = "stream_reset"
CLOSE_CODES = {STREAM_END: 1000, STREAM_RESET: 1006}
"""How an open stream ends, and what WebSocket calls it, so that systems compare; HTTP has none."""
PROTOCOL_ERROR_CODE = 1002
"""Of a stream that ended for what it held."""

FRAMES_KEPT = 1000
MAX_REDIRECTS = 20
"""Source: fetch.spec.whatwg.org, section "HTTP-redirect fetch", read November 2026."""


class ServerSentEventsApi:
    """One service as a worker uses it: addresses resolved, once for all users.

    A key is sent as a bearer token.

    Args:
        access: Addresses, both with ``{channel}`` where the channel belongs.

    Raises:
        TargetUnreachableError: If a host name does not resolve.
    """

    def __init__(self, access: Access) -> None:
        self.cursors: dict[Listener, bytes] = {}
        """Where each user's last stream was left; a returning browser sends it."""
        self.frames: dict[bytes, bytes] = {}
        """Bytes lately cached: all who got equal ones keep one copy, for their cursors."""
        self.options: ClientOptions = access.options
        self.addresses = Addresses(access)
        self.publisher = HttpPublisher(
            access, self.options.body, self.options.publish_content_type, self.addresses.cookies
        )
        self.may_connect = access.may_connect

    def client(
        self, channels: Sequence[str], frame_cache: dict[bytes, Any], listener: Listener
    ) -> "ServerSentEventsClient":
        """Return a client for one user, not yet connected."""
        return ServerSentEventsClient(self, channels, frame_cache, listener)

    def keep(self, frame: bytes) -> None:
        """Take bytes into ``frames``; those of long ago make room."""
        if len(self.frames) >= FRAMES_KEPT:
            self.frames.clear()
        self.frames[frame] = frame

    def publish_over_http(
        self, publish_id: str, channel: str, events: list[bytes]
    ) -> PublishAnswer:
        """POST each event and wait for the answers, in the calling greenlet; raises OSError."""
        return self.publisher.post(publish_id, channel, events)

    def close(self) -> None:
        """Close the connections kept for publishing."""
        self.publisher.close()


class ServerSentEventsClient:
    """One user's stream; see ``net.client.Client``.

    Subscribers of a channel get equal bytes, so bytes seen once are recognised by comparison
    (the frame cache) wherever neither the transfer coding nor the event format has anything half
    read.

    Args:
        api: The service to join.
        channels: Channels of its stream; none for a user that only publishes.
        frame_cache: Bytes already understood to the listener's token for them.
        listener: Receives deliveries, answers and the end of the connection.

    Attributes:
        silence_limit_s: None unless the target says: a browser's EventSource never gives up. None
            also for a user that only publishes, who has no stream to be silent.
        stall_limit_s: Two heartbeats, where the target names them and no client gives up.
    """

    __slots__ = (
        "_api",
        "_body",
        "_channels",
        "_empty",
        "_frame_cache",
        "_fresh",
        "_joined",
        "_known_bytes",
        "_listener",
        "_others",
        "_parser",
        "_retry_ms",
        "_stream",
        "heard_ns",
        "silence_limit_s",
        "stall_limit_s",
    )

    def __init__(
        self,
        api: ServerSentEventsApi,
        channels: Sequence[str],
        frame_cache: dict[bytes, Any],
        listener: Listener,
    ) -> None:
        self._api = api
        self._channels = channels
        self._frame_cache = frame_cache
        self._listener = listener
        self._parser = wire.EventStreamParser(api.cursors.get(listener, b""))
        self._empty: EmptyUnits | None = None
        self._others: EmptyUnits | None = None
        self._retry_ms: int | None = None
        self._body: Body | None = None
        self._stream: TcpStream | None = None
        self._fresh = False
        """Whether the next bytes begin a chunk and an event: then equal bytes mean the same."""
        self._known_bytes = b""
        """The last bytes that the frame_cache knew; the cursor is read from them when asked for."""
        self._joined = False
        self.heard_ns = 0
        self.silence_limit_s = api.options.stalled_after_s if channels else None
        self.stall_limit_s = api.options.stall_limit_s if channels else None

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
        return self._stream is not None or (not self._channels and self._joined)

    def join(self, deadline: float) -> JoinTimes:
        """Connect and ask for the stream; see ``net.client.Client.join``."""
        times = JoinTimes(time.time_ns())
        if not self._channels:
            times.confirmed_ns = times.start_ns
            self._joined = True
            return times
        try:
            rest = self._connect(times, deadline)
            if rest:
                self._take(rest, times.confirmed_ns)
        except BaseException:
            self.drop()
            raise
        self._joined = True
        return times

    def _connect(self, times: JoinTimes, deadline: float) -> bytes:
        """Ask for the stream wherever it is; hand over to the reader; return what came with it."""
        address = self._api.addresses.of_stream(self._channels)
        for _ in range(MAX_REDIRECTS + 1):
            head, rest, kernel_ns = self._ask(address, times, deadline)
            if head.status not in REDIRECTS or not head.headers.get("location"):
                break
            self._release()
            try:
                address = redirected(address, head.headers["location"], self._api.may_connect)
            except RefusedRedirectError as error:
                is_final = error.code == NOT_ALLOWED
                raise JoinError("subscribe", error.code, str(error), is_final=is_final) from None
        else:
            raise JoinError("subscribe", NO_ADDRESS, "too many redirects")
        stream = self._stream
        assert stream is not None  # noqa: S101 - it has just answered
        try:
            self._body = self._checked(head, rest)
            stream.read_to(self, self._frame_cache)
        except (OSError, RemoteProtocolError) as error:
            raise failed_join("subscribe", error) from None
        times.confirmed_ns = self.heard_ns = kernel_ns
        self._listener.confirmed(kernel_ns)
        return rest

    def _ask(
        self, address: str, times: JoinTimes, deadline: float
    ) -> tuple[ResponseHead, bytes, int]:
        """Connect, secure and ask; return the answer's head, what followed it, and when it came."""
        addresses = self._api.addresses
        try:
            stream = self._stream = addresses.routes.to(address).open(times, deadline)
        except JoinError as error:
            code = _outcome(error.stage, error.__cause__) or error.code
            raise JoinError(error.stage, code, error.message) from None
        except (HarnessError, UnicodeError) as error:  # Of a host that it redirects to.
            raise failed_join("connect", error) from None
        before = time.monotonic_ns()
        try:
            stream.send(addresses.request(address, self._listener, self._parser.last_event_id))
            answer = read_head(stream, deadline)
            addresses.take_cookies(address, self._listener, answer[0])
        except (OSError, RemoteProtocolError) as error:
            failed = failed_join("subscribe", error)
            code = _outcome(failed.stage, error) or failed.code
            raise JoinError(failed.stage, code, failed.message) from None
        lap(times, "subscribe", before)
        return answer

    def _checked(self, head: ResponseHead, rest: bytes) -> Body:
        """Return the body's reader; any answer but a stream ends the attempt for good."""
        if head.status != HTTPStatus.OK or head.media_type != wire.CONTENT_TYPE:
            said = excerpt(rest, 200)
            found = f"{head.status} {head.media_type or 'without a content type'}"
            raise JoinError(
                "subscribe",
                "http_error_terminal",
                f"{found}: {said}",
                is_final=True,
                asked_wait_s=head.asked_wait_s(time.time()),
            )
        body = body_of(head)
        if body.ended:
            raise JoinError("subscribe", STREAM_END, "the answer holds no stream")
        return body

    def arrived(self, data: bytes, kernel_ns: int) -> None:
        """Process received bytes; the hot path."""
        if self._fresh:
            known = self._frame_cache.get(data)
            if known is not None:
                self._known_bytes = self._api.frames.get(data, data)
                self._listener.delivered(known, kernel_ns)
                return
        self._take(data, kernel_ns)

    def arrived_together(
        self, data: bytes, receivers: "Sequence[ServerSentEventsClient]", stamps_ns: Int64Array
    ) -> bool:
        """Take bytes that reached several streams, if they are known; the hot path."""
        known = self._frame_cache.get(data)
        if known is None or not all(each._fresh for each in receivers):  # noqa: SLF001 - our own class's
            return False
        kept = self._api.frames.get(data, data)
        for each in receivers:
            each._known_bytes = kept  # noqa: SLF001 - our own class's
        listeners = [each._listener for each in receivers]  # noqa: SLF001 - our own class's
        self._listener.delivered_together(known, listeners, stamps_ns)
        return True

    def broken(self, error: OSError) -> None:
        """End a stream whose connection was reset."""
        self._over(STREAM_RESET, error_text(error), time.time_ns())

    def _take(self, data: bytes, kernel_ns: int) -> None:
        """Read bytes that the frame cache has not, or that begin in the middle of something."""
        body, parser, fresh = self._body, self._parser, self._fresh
        if body is None or not data:
            self._over(*self._end_without_notice(), kernel_ns)
            return
        self._sync_cursor()
        self.heard_ns = kernel_ns
        token, count = None, 0
        before = parser.empty_lines
        try:
            for event in parser.read(body.feed(data)):
                count += 1
                token = self._event(event, kernel_ns)
            body.feed(b"")
            if parser.empty_lines != before:
                self._empty = self._empty or EmptyUnits()
                self._empty.add(parser.empty_lines - before, kernel_ns, "comments of the stream")
        except RemoteProtocolError as error:
            self._listener.refused("receive", error.code, str(error))
            self._over(error.code, str(error), kernel_ns)
            return
        if parser.retry_ms != self._retry_ms and parser.retry_ms is not None:
            self._retry_ms = parser.retry_ms
            self._listener.told_to_wait(parser.retry_ms / 1000)
        self._fresh = body.idle and parser.idle
        if fresh and self._fresh and count == 1 and token is not None:
            self._frame_cache[data] = token
            self._api.keep(data)
        if body.ended:
            self._over(STREAM_END, "the server ended the stream", kernel_ns)

    def _event(self, event: wire.Event, kernel_ns: int) -> Any | None:
        """Deliver one event; equal data is recognised even where other bytes surround it."""
        event_types = self._api.options.event_types
        is_read = not event_types or event.type in event_types
        known = self._frame_cache.get(event.data) if is_read else None
        if known is not None:
            self._listener.delivered(known, kernel_ns)
            return known
        token = self._listener.event(event.data, kernel_ns) if is_read else None
        if token is None:
            self._others = self._others or EmptyUnits(MAX_OTHER_MESSAGES_PER_S)
            self._others.add(1, kernel_ns, "events that are no delivery")
        else:
            self._frame_cache[event.data] = token
        return token

    def _sync_cursor(self) -> None:
        """Tell the parser the id that the bytes it did not see have set."""
        if self._known_bytes:
            self._parser.move_to(self.last_event_id)
            self._known_bytes = b""

    def _end_without_notice(self) -> tuple[str, str]:
        """Return outcome and reason where the connection closed: a plain body ends that way."""
        if self._body is not None and self._body.ends_with_connection:
            return STREAM_END, "the server closed the connection"
        return STREAM_RESET, "closed in the middle of the response"

    def _over(self, outcome: str, reason: str, kernel_ns: int) -> None:
        if not self._joined:  # It ended in the same breath as it was confirmed.
            raise JoinError("subscribe", outcome, reason)
        self.drop()
        self._listener.ended(
            CLOSE_CODES.get(outcome, PROTOCOL_ERROR_CODE), reason, kernel_ns, outcome
        )

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """POST one publish in a greenlet of its own; the listener hears of its answer."""
        self._api.publisher.start(publish_id, channel, events, self._listener)

    def pause(self, *, paused: bool) -> None:
        """Stop taking what arrives, or go on; what has arrived stays with the kernel."""
        if self._stream is not None:
            self._stream.pause(paused=paused)

    def close(self) -> None:
        """Close the connection; HTTP has no closing handshake."""
        self.drop()

    def drop(self) -> None:
        """Close the socket at once, and keep the cursor; safe to call twice."""
        self._joined = False
        if self._release() and (cursor := self.last_event_id):
            self._api.cursors[self._listener] = cursor

    def _release(self) -> bool:
        """Close what is open; return whether anything was."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        return stream is not None


def _outcome(stage: str, error: BaseException | None) -> str:
    """Return this system's own code for why a stream did not open; empty where it has none."""
    if stage == "connect":
        if isinstance(error, TimeoutError):
            return "connect_timeout"
        if getattr(error, "errno", None) == errno.ECONNREFUSED:
            return "connect_refused"
    return STREAM_RESET if isinstance(error, ConnectionError) else ""
