"""WebSocket connections of the emulator: what they ask, one message after the other.

Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol, read November
2026. Undocumented and decided here: an unauthorised connection gets its error after its first
message, or when its first keep-alive would be due; and a message waits for those before it, also
where these wait for a handler.
"""

import asyncio

from aiohttp import WSMsgType, web

from harness.emulation.connection_writer import Connection
from harness.emulation.websocket_frames import text_frame
from harness.scenario.faults import RESET
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import Segments
from harness.systems.appsync_events.emulator.access import Caller, Request
from harness.systems.appsync_events.emulator.publishing import accept_publish, accept_subscribe
from harness.systems.appsync_events.emulator.service import Service
from harness.systems.appsync_events.operations import (
    BAD_REQUEST,
    ClientMessage,
    Refusal,
    RejectedMessageError,
    parse_client_message,
)
from harness.systems.appsync_events.wire import WireError

KEEP_ALIVE_FRAME = text_frame(wire.KEEP_ALIVE)


class Session:
    """One connection after its upgrade.

    Args:
        caller: The request that opened it.
        refusal: Why it is rejected; None where it is admitted.
    """

    __slots__ = (
        "_caller",
        "_closing",
        "_connection",
        "_is_acknowledged",
        "_rate",
        "_refusal",
        "_service",
        "_subscriptions",
        "_websocket",
    )

    def __init__(
        self,
        service: Service,
        websocket: web.WebSocketResponse,
        connection: Connection,
        caller: Caller,
        refusal: WireError | None,
    ) -> None:
        self._service = service
        self._websocket = websocket
        self._connection = connection
        self._caller = caller
        self._refusal = refusal
        self._rate = service.admission.connection_rate()
        self._subscriptions: dict[str, Segments] = {}
        self._is_acknowledged = False
        self._closing: asyncio.Task[bool] | None = None

    async def run(self) -> None:
        """Serve the connection until either side closes it."""
        self._service.keep_alive.restart(self)
        self._service.lifetime.restart(self)
        if self._refusal is None:
            self._service.metering.connected(self._connection)
        try:
            async for message in self._websocket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    await self._receive(message.data, is_text=message.type is WSMsgType.TEXT)
        finally:
            self._service.keep_alive.stop(self)
            self._service.lifetime.stop(self)
            for operation_id in list(self._subscriptions):
                self._end(operation_id)
            self._service.metering.disconnected(self._connection)

    def keep_alive(self) -> None:
        """Send a keep-alive, or to an unauthorised client its error."""
        if self._refusal is None:
            self._connection.keep_alive(KEEP_ALIVE_FRAME)
            self._service.metering.keep_alive()
        else:
            self._refuse(self._refusal)

    def end_of_life(self) -> None:
        """Close the connection: it is as old as connections get."""
        self._service.counters.add("disconnects.lifetime")
        self._close()

    def _close(self) -> None:
        """Close from the server's side, once."""
        code = self._service.options.undocumented.close_code
        if self._closing is not None:
            return
        if code == RESET:
            # What was written before still leaves, but no close frame follows it.
            self._connection.transport.close()
            return
        self._closing = asyncio.ensure_future(self._websocket.close(code=code))

    def _refuse(self, refusal: WireError) -> None:
        """Send the client the reason, and close with the normal code, as AWS does."""
        if self._closing is None:
            self._reply(wire.error_message("connection_error", "", refusal))
            self._close()

    def _reply(self, payload: bytes) -> None:
        self._connection.reply(text_frame(payload))

    async def _receive(self, payload: bytes, *, is_text: bool) -> None:
        """Do what a message asks, or answer why not."""
        if self._refusal is not None:
            self._refuse(self._refusal)
            return
        if not is_text:
            self._reject(RejectedMessageError(WireError(BAD_REQUEST, "Message is not text.")))
            return
        try:
            await self._handle(parse_client_message(payload))
        except RejectedMessageError as rejected:
            self._reject(rejected)

    def _reject(self, rejected: RejectedMessageError) -> None:
        self._service.counters.add("messages.malformed")
        self._reply(rejected.payload())

    async def _handle(self, message: ClientMessage) -> None:
        if message.type == "connection_init":
            self._acknowledge()
        elif message.type == "subscribe":
            await self._subscribe(message)
        elif message.type == "unsubscribe":
            self._unsubscribe(message.id)
        elif message.type == "publish":
            await self._publish(message)

    def _acknowledge(self) -> None:
        if not self._is_acknowledged:
            self._is_acknowledged = True
            self._service.keep_alive.restart(self)
        self._reply(wire.connection_ack(self._service.options.connection_timeout_ms))

    async def _subscribe(self, message: ClientMessage) -> None:
        request = Request(message.body, message.authorization, self._caller)
        accepted = await accept_subscribe(self._service, request, self._subscriptions)
        if isinstance(accepted, Refusal):
            self._reply(wire.error_message("subscribe_error", message.id, accepted.error))
            return
        self._subscriptions[message.id] = accepted
        self._service.hub.add(accepted, message.id, self._connection)
        self._reply(wire.operation_message("subscribe_success", message.id))

    def _unsubscribe(self, operation_id: str) -> None:
        if operation_id not in self._subscriptions:
            unknown = WireError("UnknownOperationError", f"Unknown operation id {operation_id}")
            self._reply(wire.error_message("unsubscribe_error", operation_id, unknown))
            return
        self._end(operation_id)
        self._service.metering.unsubscribed()
        self._reply(wire.operation_message("unsubscribe_success", operation_id))

    def _end(self, operation_id: str) -> None:
        segments = self._subscriptions.pop(operation_id)
        self._service.hub.remove(segments, operation_id, self._connection)

    async def _publish(self, message: ClientMessage) -> None:
        request = Request(message.body, message.authorization, self._caller)
        publish = await accept_publish(self._service, request, self._rate)
        if isinstance(publish, Refusal):
            self._reply(wire.error_message("publish_error", message.id, publish.error))
            return
        reply = wire.publish_success(message.id, publish.results)
        is_reply_first = self._service.options.undocumented.reply_first
        if is_reply_first:
            self._reply(reply)
            await asyncio.sleep(0)
        self._service.broadcast(publish.segments, publish.events)
        if not is_reply_first:
            await asyncio.sleep(0)
            self._reply(reply)
