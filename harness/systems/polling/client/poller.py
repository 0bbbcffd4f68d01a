"""One user who polls: a join, then a poll whenever one is due, until it closes.

A join is: TCP, TLS where the address has it, and the first poll answered; where that one says to go
on from is what the user is owed from. From then on the polls of all users are called by one timer
(``timing.PollClock``) and their answers by the reader: a poll on a connection that is held costs no
greenlet. A new connection is made in a greenlet that ends with it.
"""

import contextlib
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import gevent
from gevent.event import AsyncResult

from harness.core.errors import HarnessError, RemoteProtocolError
from harness.core.join_stages import TLS_ALERT
from harness.net.client import JoinError, JoinTimes, Listener, PublishAnswer
from harness.net.http_stream import BUSY, retry_after_s
from harness.net.joining import error_text, failed_join, join_code, lap
from harness.net.redirects import RefusedRedirectError
from harness.net.stream import TcpStream
from harness.systems.polling import wire
from harness.systems.polling.client.answers import Answer, AnswerReader, deliver, stuck_cursor
from harness.systems.polling.client.polled_service import OWN, PolledService
from harness.systems.polling.client.timing import NEVER, Pace

_NEWS = (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT)
"""Good answers; a 204 says like a 304 that nothing is new."""


class PollingClient:
    """One user who polls; see ``net.client.Client``.

    A poll that fails is an error and not the end: the next one comes when it is due, on a new
    connection where the old one is gone. So the user stays until it closes.

    Args:
        service: The service to poll.
        channels: Channels to follow, all by one poll; none for a user that only publishes.
        frame_cache: Events already understood to the listener's token for them.
        listener: Receives deliveries and answers.

    Attributes:
        due_tick: For ``timing.PollClock``.
        silence_limit_s: None: a poll has its own timeout.
        stall_limit_s: None, for the same reason.
    """

    __slots__ = (
        "_awaited",
        "_channels",
        "_connecting",
        "_frame_cache",
        "_hop",
        "_host",
        "_joined",
        "_listener",
        "_pace",
        "_paused",
        "_place",
        "_polled_s",
        "_proven",
        "_reader",
        "_service",
        "_stream",
        "_waiting",
        "due_tick",
        "heard_ns",
        "silence_limit_s",
        "stall_limit_s",
    )

    def __init__(
        self,
        service: PolledService,
        channels: tuple[str, ...],
        frame_cache: dict[bytes, Any],
        listener: Listener,
    ) -> None:
        self._service = service
        self._channels = channels
        self._frame_cache = frame_cache
        self._listener = listener
        self._place = wire.Place()
        self._pace = Pace(service.options)
        self._stream: TcpStream | None = None
        self._reader: AnswerReader | None = None
        """What has come of an answer that came in pieces."""
        self._awaited: AsyncResult | None = None
        """What ``join`` waits for: the first answer."""
        self._joined = False
        self._paused = False
        self._waiting = False
        """Whether a poll is pending."""
        self._connecting = False
        self._proven = False
        """Whether this connection has brought an answer: then its loss may be mere age."""
        self._hop, self._host = OWN, ""
        """Where the pending poll goes, and the host of the connection, as a hop has it."""
        self._polled_s = 0.0
        self.due_tick = NEVER
        self.heard_ns = 0
        self.silence_limit_s: float | None = None
        self.stall_limit_s: float | None = None

    @property
    def fetch_within_s(self) -> float:
        """How long a message may wait for the next poll, and that poll for its answer."""
        return self._service.options.fetch_within_s(self._pace.interval_s)

    @property
    def open(self) -> bool:
        """Whether the user is in; between two polls it may hold no socket."""
        return self._joined

    def join(self, deadline: float) -> JoinTimes:
        """Connect and poll for the first time; see ``net.client.Client.join``."""
        times = JoinTimes(time.time_ns())
        if not self._channels:
            times.confirmed_ns = times.start_ns
            self._joined = True
            return times
        try:
            self._connect(times, deadline)
            before = time.monotonic_ns()
            awaited = self._awaited = AsyncResult()
            self._ask()
            with gevent.Timeout(max(deadline - time.monotonic(), 0.0), TimeoutError("timed out")):
                times.confirmed_ns = awaited.get()
            lap(times, "subscribe", before)
        except (OSError, RemoteProtocolError) as error:
            raise failed_join("subscribe", error) from None
        finally:
            self._awaited = None
            if not times.confirmed_ns:
                self.drop()
        return times

    def _connect(self, times: JoinTimes, deadline: float) -> None:
        """Connect, secure and hand over to the reader, in the calling greenlet."""
        host = self._hop.host
        try:
            self._stream = self._service.route_to(host).open(times, deadline)
            self._stream.read_to(self)
        except JoinError:
            raise
        except (OSError, HarnessError, UnicodeError) as error:
            self._release()
            raise failed_join("connect", error) from None
        self._host, self._proven = host, False

    def due(self) -> None:
        """Poll now, or abandon the pending poll; called by the clock."""
        if self._paused:
            self._service.clock.at(time.monotonic() + self._pace.interval_s, self)
        elif not self._waiting:
            self._ask()
        else:
            self._failed("timeout", "no answer in time")

    def _ask(self) -> None:
        """Send the poll that is due, to the service's own address."""
        self._waiting = True
        self._hop = OWN
        self._polled_s = time.monotonic()
        self._service.clock.at(self._polled_s + self._service.options.timeout_s, self)
        self._connect_or_send()

    def _connect_or_send(self) -> None:
        """Send the poll; where there is no connection to its host, a greenlet makes one first."""
        if self._host != self._hop.host:
            self._release()
        if self._stream is None:
            if not self._connecting:
                self._connecting = True
                gevent.spawn(self._connect_and_send)
            return
        self._send()

    def _send(self) -> None:
        # The reading side meets the same error, after what the server said before it.
        with contextlib.suppress(OSError):
            self._stream.send(  # type: ignore[union-attr]  # connected
                self._service.request(self._channels, self._place, self._listener, self._hop)
            )

    def _connect_and_send(self) -> None:
        deadline = self._polled_s + self._service.options.timeout_s
        try:
            self._connect(JoinTimes(0), deadline)
        except JoinError as error:
            if self._waiting:
                self._failed(error.code, error.message)
            return
        finally:
            self._connecting = False
        if self._waiting:
            self._connect_or_send()
        elif not self._joined:
            self._release()

    def broken(self, error: OSError) -> None:
        """Handle a reset of the connection."""
        self._lost(join_code(error), error_text(error))

    def arrived(self, data: bytes, kernel_ns: int) -> None:
        """Process received bytes; the hot path."""
        if not data:
            self._closed(kernel_ns)
        elif not self._waiting:
            self._release()  # There is no request that it could answer.
        elif self._reader is None and (known := self._service.answers.get(data)) is not None:
            self._answered(known, kernel_ns)
        else:
            self._read(data, kernel_ns)

    def _read(self, data: bytes, kernel_ns: int) -> None:
        """Parse bytes that are not a known whole answer."""
        reader = self._reader
        whole = reader is None
        if reader is None:
            reader = self._reader = AnswerReader()
        try:
            reader.feed(data)
            if not reader.complete:
                return
            answer = reader.answer(self._service.answers.layout)
        except RemoteProtocolError as error:
            self._failed(error.code, str(error))
            return
        if whole:
            self._service.answers.remember(data, answer)
        self._answered(answer, kernel_ns)

    def _answered(self, answer: Answer, kernel_ns: int) -> None:
        """Process a complete answer: deliver its events, and schedule the next poll."""
        self._waiting = False
        self._reader = None
        self._proven = True
        self.heard_ns = kernel_ns
        if answer.set_cookies:
            self._service.take_cookies(self._channels, self._listener, answer, self._hop)
        if not answer.keeps_connection or not self._service.options.reuse_connections:
            self._release()
        if answer.location:
            self._follow(answer)
            return
        if answer.status not in _NEWS:
            self._refused(answer)
            return
        self._pace.hear(answer.interval_s)
        is_new = answer.status == HTTPStatus.OK
        if is_new:
            if problem := stuck_cursor(answer, self._place.cursor, self._service.answers.layout):
                self._listener.refused("poll", "cursor_stuck", problem)
            self._move_to(answer)
        if self._awaited is not None:
            self._confirmed(kernel_ns)
        deliver(answer.events, self._frame_cache, self._listener, kernel_ns)
        if is_new and self._service.answers.layout is None:
            self._ask()  # One message an answer: there may be more.
        else:
            self._poll_later()

    def _follow(self, answer: Answer) -> None:
        """Send the poll to where its answer redirects it, if that is allowed."""
        try:
            self._hop = self._service.hop(self._channels, self._hop, answer.location)
        except RefusedRedirectError as error:
            self._failed(f"HTTP {answer.status}", str(error), held=True)
            return
        self._waiting = True
        self._connect_or_send()

    def _move_to(self, answer: Answer) -> None:
        """Go on from where the answer says; users with the same answer share the place."""
        place = answer.place
        if not place.cursor and self._place.cursor:
            place = place._replace(cursor=self._place.cursor)
        self._place = place

    def _confirmed(self, kernel_ns: int) -> None:
        awaited, self._awaited = self._awaited, None
        self._joined = True
        self._listener.confirmed(kernel_ns)
        if awaited is not None:
            awaited.set(kernel_ns)

    def _poll_later(self) -> None:
        """Poll again one interval after the last poll was sent, give or take the jitter."""
        self._service.clock.at(self._polled_s + self._pace.wait_s(), self)

    def _refused(self, answer: Answer) -> None:
        """Count an answer without content, and wait as long as a busy server requires."""
        is_busy = answer.status in BUSY
        asked_s = retry_after_s(answer.retry_after, time.time()) if is_busy else None
        self._failed(f"HTTP {answer.status}", answer.said, held=True, asked_wait_s=asked_s or 0.0)
        if self._joined and is_busy:
            wait_s = self._pace.busy_wait_s(answer.retry_after)
            self._service.clock.at(time.monotonic() + wait_s, self)

    def _failed(
        self, code: str, message: str, *, held: bool = False, asked_wait_s: float = 0.0
    ) -> None:
        """Count a failed poll; the next one comes when it is due.

        Args:
            code: Short and stable.
            message: The server's words, or the kernel's.
            held: Whether the connection is still good.
            asked_wait_s: How long the server asked the client to wait; for a poll that is a join.
        """
        self._waiting = False
        if not held:
            self._release()
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            stage = "tls" if code.startswith(TLS_ALERT) else "subscribe"
            awaited.set_exception(JoinError(stage, code, message, asked_wait_s=asked_wait_s))
            return
        self._listener.refused("poll", code, message)
        self._poll_later()

    def _closed(self, kernel_ns: int) -> None:
        """Handle the end of the connection, which may end an answer."""
        reader = self._reader
        if self._waiting and reader is not None and reader.close():
            try:
                answer = reader.answer(self._service.answers.layout)
            except RemoteProtocolError as error:
                self._failed("protocol_error", str(error))
            else:
                self._answered(answer, kernel_ns)
            return
        self._lost("closed", "the server closed before it answered")

    def _lost(self, code: str, message: str) -> None:
        """Handle the loss of the connection.

        A connection may end of age between two polls, or just as one is sent: that poll is sent
        again on a new one, within its time. Source: RFC 9112, section 9.3.1.
        """
        again = self._waiting and self._proven and self._reader is None
        self._release()
        if again:
            self._connect_or_send()
        elif self._waiting:
            self._failed(code, message)

    def _release(self) -> None:
        """Close the connection, if there is one."""
        self._reader = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """POST one publish in a greenlet of its own; the listener hears of its answer."""
        self._service.publisher.start(publish_id, channel, events, self._listener)

    def pause(self, *, paused: bool) -> None:
        """Stop polling and taking answers, or go on; what has arrived stays with the kernel."""
        self._paused = paused
        if self._stream is not None:
            self._stream.pause(paused=paused)

    def close(self) -> None:
        """Close the connection; HTTP has no closing handshake."""
        self.drop()

    def drop(self) -> None:
        """Stop polling and close the socket at once; safe to call twice."""
        self._joined = self._waiting = False
        self.due_tick = NEVER
        self._release()


class PollingApi(PolledService):
    """One service as a worker uses it; a key is sent as a bearer token."""

    def client(
        self, channels: Sequence[str], frame_cache: dict[bytes, Any], listener: Listener
    ) -> PollingClient:
        """Return a client for one user, not yet connected."""
        return PollingClient(self, tuple(channels), frame_cache, listener)

    def publish_over_http(
        self, publish_id: str, channel: str, events: list[bytes]
    ) -> PublishAnswer:
        """POST each event and wait for the answers, in the calling greenlet; raises OSError."""
        return self.publisher.post(publish_id, channel, events)

    def close(self) -> None:
        """Close the connections kept for publishing, and poll no more."""
        self.publisher.close()
        self.clock.stop()
