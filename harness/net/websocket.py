"""A WebSocket client connection on gevent's loop: the receive path of the whole harness.

A join runs in its user's greenlet as far as the upgrade; from then on the loop's reader has the
socket. Subscribers of one channel get byte-identical frames, so a frame seen once is recognised by
comparing bytes with the ones that were parsed (the frame cache), and costs one dictionary look-up
instead of a parse. Every byte is still compared; nothing is sampled.
"""

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gevent import get_hub
from websockets.uri import WebSocketURI

from harness.core.errors import RemoteProtocolError
from harness.core.outside_text import excerpt
from harness.core.peer_limits import MAX_MESSAGE_BYTES, MAX_OTHER_MESSAGES_PER_S, EmptyUnits
from harness.net.client import JoinError, JoinTimes, Listener
from harness.net.frames import (
    ABNORMAL,
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameReader,
    client_frame,
    client_message,
    close_frame,
    parse_close,
)
from harness.net.joining import error_text, failed_join, lap, read_head
from harness.net.reading import Int64Array
from harness.net.request_fields import OWN_HEADERS, Cookies
from harness.net.route import Route
from harness.net.stream import TcpStream
from harness.net.upgrade import RefusedUpgradeError, Upgrade

NORMAL_CLOSE = 1000
PROTOCOL_ERROR = 1002


class Endpoint:
    """Where to connect and what to ask for; one for all connections of a worker.

    Args:
        uri: The WebSocket address, with host name, path and query.
        route: How to get there.
        subprotocols: Values offered in Sec-WebSocket-Protocol; the server takes one, or none where
            none is offered.
        headers: Further headers of the upgrade request.
        cookies: Those of the users; None where none are sent.
    """

    def __init__(
        self,
        uri: WebSocketURI,
        route: Route,
        subprotocols: Sequence[str] = (),
        *,
        headers: Mapping[str, str] = OWN_HEADERS,
        cookies: Cookies | None = None,
    ) -> None:
        self.uri = uri
        self.route = route
        self.cookies = cookies
        self.upgrade = Upgrade(uri, subprotocols, headers)


class WebSocketConnection:
    """One client connection; a system's client subclasses it and implements ``on_text``.

    Args:
        endpoint: Where to connect.
        frame_cache: Bytes already understood to the listener's token for them; shared by all
            connections whose frames mean the same to their listeners.
        listener: Receives deliveries, answers and the end.
    """

    FRAME_BYTES: ClassVar[int] = MAX_MESSAGE_BYTES
    """Longest payload of a frame that it sends; longer messages go in several."""

    __slots__ = (
        "_closing",
        "_controls",
        "_others",
        "_reader",
        "_stream",
        "endpoint",
        "frame_cache",
        "heard_ns",
        "listener",
        "silence_limit_s",
        "stall_limit_s",
    )

    def __init__(
        self, endpoint: Endpoint, frame_cache: dict[bytes, Any], listener: Listener
    ) -> None:
        self.endpoint = endpoint
        self.frame_cache = frame_cache
        self.listener = listener
        self._stream: TcpStream | None = None
        self._reader: FrameReader | None = None
        self._closing = False
        self._controls: EmptyUnits | None = None
        self._others: EmptyUnits | None = None
        self.heard_ns = 0
        self.silence_limit_s: float | None = None
        self.stall_limit_s: float | None = None

    def on_text(self, payload: bytes, kernel_ns: int) -> Any | None:
        """Handle one message, text or binary; what it returns lets equal bytes skip this."""
        raise NotImplementedError

    def on_over(self, code: int, reason: str) -> bool:
        """Handle the end before the listener; True if the listener need not know of it."""
        raise NotImplementedError

    @property
    def awaits_answer(self) -> bool:
        """Whether a request is not answered, and its answer may equal what others were delivered.

        Clients of systems with such answers override this and ``is_answer``, and call
        ``read_all`` when they send the request.
        """
        return False

    def is_answer(self, payload: bytes) -> bool:  # noqa: ARG002 - for those who override it
        """Return whether a message is an answer that this connection awaits."""
        return False

    def read_all(self) -> None:
        """Look at each message, known or not, for as long as ``awaits_answer``."""
        self._reader = self._reader or FrameReader()

    def upgrade(self) -> Upgrade:
        """Return the upgrade request; clients with per-user credentials override this."""
        return self.endpoint.upgrade

    def connect(self, times: JoinTimes, deadline: float) -> None:
        """Connect, secure and upgrade in the calling greenlet, then hand over to the reader.

        Args:
            times: Gets the durations of the stages tcp, tls and upgrade.
            deadline: ``time.monotonic()`` at which to time out.

        Raises:
            JoinError: At stage connect, tls or upgrade.
        """
        self._stream = self.endpoint.route.open(times, deadline)
        before = time.monotonic_ns()
        try:
            rest = self._upgrade(self._stream, deadline)
            lap(times, "upgrade", before)
            self._stream.read_to(self, self.frame_cache)
        except (OSError, RemoteProtocolError) as error:
            self.drop()
            raise failed_join("upgrade", error) from None
        except BaseException:
            self.drop()
            raise
        if rest:
            self._parse(rest, time.time_ns())

    def _upgrade(self, stream: TcpStream, deadline: float) -> bytes:
        """Request the upgrade and check the answer; return the bytes after it."""
        upgrade, cookies = self.upgrade(), self.endpoint.cookies
        request, key = upgrade.request(cookies.line(self.listener) if cookies else b"")
        stream.send(request)
        head, rest, _ = read_head(stream, deadline)
        if cookies:
            cookies.take(self.listener, head.set_cookies)
        try:
            upgrade.check(head, key)
        except RefusedUpgradeError as error:
            text = excerpt(rest, 200) or "the upgrade was refused"
            wait_s = head.asked_wait_s(time.time())
            raise JoinError("upgrade", error.status, text, asked_wait_s=wait_s) from None
        return rest

    def arrived(self, data: bytes, kernel_ns: int) -> None:
        """Take what arrived; the hot path."""
        if self._reader is None:
            known = self.frame_cache.get(data)
            if known is not None:
                self.listener.delivered(known, kernel_ns)
                return
        self._parse(data, kernel_ns)

    def arrived_together(
        self, data: bytes, receivers: "Sequence[WebSocketConnection]", stamps_ns: Int64Array
    ) -> bool:
        """Take a frame that reached several connections, if it is known; the hot path."""
        known = self.frame_cache.get(data)
        if known is None:
            return False
        listeners = [each.listener for each in receivers if each._reader is None]  # noqa: SLF001 - our own class's
        if len(listeners) < len(receivers):  # In the middle of a message.
            return False
        self.listener.delivered_together(known, listeners, stamps_ns)
        return True

    def broken(self, error: OSError) -> None:
        """End a connection that was reset."""
        self._over(ABNORMAL, error_text(error), time.time_ns())

    def _parse(self, data: bytes, kernel_ns: int) -> None:
        if not data:
            self._over(ABNORMAL, "the server closed without a close frame", kernel_ns)
            return
        self.heard_ns = kernel_ns
        reader = self._reader or FrameReader()
        whole = reader.idle
        count, token = 0, None
        try:
            for opcode, payload in reader.feed(data):
                count += 1
                if opcode in (TEXT, BINARY):
                    token = self._text(payload, kernel_ns)
                else:
                    self._control(opcode, payload, kernel_ns)
                if self._stream is None:  # What follows a close frame means nothing.
                    return
        except RemoteProtocolError as error:
            self.listener.refused("receive", error.code, str(error))
            outcome = "" if error.code == "protocol_error" else error.code
            self._over(PROTOCOL_ERROR, str(error), kernel_ns, outcome)
            return
        self._reader = reader if self.awaits_answer or not reader.idle else None
        if whole and count == 1 and token is not None and reader.idle:
            self.frame_cache[data] = token

    def _text(self, payload: bytes, kernel_ns: int) -> Any | None:
        known = self.frame_cache.get(payload)
        if known is not None and not self.is_answer(payload):
            self.listener.delivered(known, kernel_ns)
            return known
        try:
            token = self.on_text(payload, kernel_ns)
        except RemoteProtocolError:
            raise
        except Exception:  # noqa: BLE001 - what follows in the same bytes must be read
            get_hub().handle_error(self, *sys.exc_info())
            return None
        if token is None:
            self._others = self._others or EmptyUnits(MAX_OTHER_MESSAGES_PER_S)
            self._others.add(1, kernel_ns, "WebSocket messages that are no delivery")
        else:
            self.frame_cache[payload] = token
        return token

    def _control(self, opcode: int, payload: bytes, kernel_ns: int) -> None:
        self._controls = self._controls or EmptyUnits()
        self._controls.add(1, kernel_ns, "WebSocket control frames")
        if opcode == PING and self._stream is not None and not self._stream.unsent:
            # Not while earlier answers wait; source: RFC 6455, section 5.5.3.
            self._send(client_frame(PONG, payload))
        elif opcode == CLOSE:
            code, reason = parse_close(payload)
            if not self._closing:
                self._send(client_frame(CLOSE, payload[:2]))
            self._over(code, reason, kernel_ns)

    def send_text(self, payload: bytes) -> None:
        """Send one text message; raises OSError when the connection is gone."""
        if self._stream is None or self._closing:
            raise ConnectionResetError("the connection is closed")
        self._stream.send(client_message(TEXT, payload, self.FRAME_BYTES))

    def _send(self, frame: bytes) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError):  # The reading side reports a broken connection.
                self._stream.send(frame)

    def _over(self, code: int, reason: str, kernel_ns: int, outcome: str = "") -> None:
        is_known = self._closing or self.on_over(code, reason)
        self.drop()
        if not is_known:
            self.listener.ended(code, reason, kernel_ns, outcome)

    def pause(self, *, paused: bool) -> None:
        """Stop reading, or resume; unread bytes stay in the kernel."""
        if self._stream is not None:
            self._stream.pause(paused=paused)

    @property
    def open(self) -> bool:
        """Whether the socket is still held, a close under way included."""
        return self._stream is not None

    def close(self, code: int = NORMAL_CLOSE) -> None:
        """Send a close frame; the socket goes when the server answers, or at ``drop``."""
        if self._stream is None or self._closing:
            return
        self._send(close_frame(code))
        self._closing = True

    def drop(self) -> None:
        """Close the socket immediately; safe to call twice."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._reader = None
