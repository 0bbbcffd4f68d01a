"""WebSocket connections of the emulator: who they are, what they ask, when they go.

Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol, read November
2026. Undocumented and decided here: an unauthorised connection is told so in answer to its first
message, or when its first keep-alive would be due.
"""

import asyncio

from aiohttp import WSMsgType, web

from harness.emulation.keep_alive import KeepAlive
from harness.emulation.websocket_frames import close_frame, text_frame
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import Segments
from harness.systems.appsync_events.emulator_broadcast import Transport
from harness.systems.appsync_events.emulator_service import Service
from harness.systems.appsync_events.operations import (
    BAD_REQUEST,
    ClientMessage,
    RejectedMessageError,
    parse_client_message,
)
from harness.systems.appsync_events.wire import WireError

KEEP_ALIVE_FRAME = text_frame(wire.keep_alive())


class Session:
    """One connection after its upgrade; every answer is written at once.

    Args:
        service: What it shares with the others.
        keep_alive: Calls the session when it is time for a keep-alive.
        websocket: The connection, to read from and to close.
        transport: Where to write frames.
        refusal: Why it is not let in; None where it is.
    """

    __slots__ = (
        "_closing",
        "_keep_alive",
        "_refusal",
        "_service",
        "_subscriptions",
        "_transport",
        "_websocket",
    )

    def __init__(
        self,
        service: Service,
        keep_alive: KeepAlive,
        websocket: web.WebSocketResponse,
        transport: Transport,
        refusal: WireError | None,
    ) -> None:
        self._service = service
        self._keep_alive = keep_alive
        self._websocket = websocket
        self._transport = transport
        self._refusal = refusal
        self._subscriptions: dict[str, Segments] = {}
        self._closing: asyncio.Task[bool] | None = None

    async def run(self) -> None:
        """Serve the connection until either side closes it."""
        self._service.counters.add("connections")
        self._keep_alive.restart(self)
        try:
            async for message in self._websocket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    self._receive(message.data, is_text=message.type is WSMsgType.TEXT)
        finally:
            self._keep_alive.stop(self)
            for operation_id in list(self._subscriptions):
                self._end(operation_id)
            self._service.counters.add("connections", -1)

    def keep_alive(self) -> None:
        """Say that we are still there, or to the unauthorised why they are not let in."""
        if self._refusal is None:
            self._send(KEEP_ALIVE_FRAME)
        else:
            self._refuse(self._refusal)

    def go_away(self) -> None:
        """Close without waiting for the client's own close frame: the emulator stops."""
        self._send(close_frame())
        self._transport.close()

    def _send(self, frame: bytes) -> None:
        """Write a frame, unless the client has left too much unread."""
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > self._service.options.subscriber_buffer_bytes:
            self._service.drop(self._transport)
        else:
            self._transport.write(frame)

    def _reply(self, payload: bytes) -> None:
        self._send(text_frame(payload))

    def _refuse(self, refusal: WireError) -> None:
        """Tell the client why it is not let in, and close with the normal code, as AWS does."""
        if self._closing is None:
            self._reply(wire.connection_error(refusal))
            self._closing = asyncio.ensure_future(self._websocket.close())

    def _receive(self, payload: bytes, *, is_text: bool) -> None:
        """Do what a message asks, or answer why not."""
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif not is_text:
            self._reply(wire.error("", WireError(BAD_REQUEST, "Message is not text.")))
        else:
            try:
                self._handle(parse_client_message(payload))
            except RejectedMessageError as rejected:
                self._reply(rejected.payload())

    def _handle(self, message: ClientMessage) -> None:
        if message.type == "connection_init":
            self._keep_alive.restart(self)
            self._reply(wire.connection_ack(self._service.options.connection_timeout_ms))
        elif message.type == "subscribe":
            self._subscribe(message)
        elif message.type == "unsubscribe":
            self._unsubscribe(message.id)
        elif message.type == "publish":
            self._publish(message)

    def _subscribe(self, message: ClientMessage) -> None:
        segments = self._service.channel(message.authorization, message.body, wildcard_allowed=True)
        if isinstance(segments, WireError):
            self._reply(wire.subscribe_error(message.id, segments))
        elif message.id in self._subscriptions:
            taken = WireError("DuplicatedOperationError", f"Duplicated operation id {message.id}")
            self._reply(wire.subscribe_error(message.id, taken))
        else:
            self._subscriptions[message.id] = segments
            self._service.hub.add(segments, message.id, self._transport)
            self._service.counters.add("subscriptions")
            self._reply(wire.subscribe_success(message.id))

    def _unsubscribe(self, operation_id: str) -> None:
        if operation_id not in self._subscriptions:
            unknown = WireError("UnknownOperationError", f"Unknown operation id {operation_id}")
            self._reply(wire.unsubscribe_error(operation_id, unknown))
            return
        self._end(operation_id)
        self._reply(wire.unsubscribe_success(operation_id))

    def _end(self, operation_id: str) -> None:
        segments = self._subscriptions.pop(operation_id)
        self._service.hub.remove(segments, operation_id, self._transport)
        self._service.counters.add("subscriptions", -1)

    def _publish(self, message: ClientMessage) -> None:
        publish = self._service.accept(message.authorization, message.body, over_http=False)
        if isinstance(publish, WireError):
            self._reply(wire.publish_error(message.id, publish))
            return
        self._reply(wire.publish_success(message.id, publish.results))
        self._service.broadcast(publish)
