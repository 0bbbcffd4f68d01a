"""Connections of the emulator: each frame selects a route, and the route's function does the rest.

Frames do not wait for one another: a function that takes long holds up no later frame.
Source: docs.aws.amazon.com/apigateway/latest/developerguide, "Select integrations for WebSocket
routes" and "Set up route responses", read November 2026.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from harness.core.channels import is_wildcard
from harness.emulation.connection_writer import end_connection
from harness.emulation.websocket_frames import close_frame, text_frame
from harness.scenario.faults import RESET
from harness.systems.api_gateway_websocket import wire
from harness.systems.api_gateway_websocket.emulator.broadcast import start_broadcast
from harness.systems.api_gateway_websocket.emulator.management import ManagedConnection
from harness.systems.api_gateway_websocket.emulator.service import Service
from harness.systems.api_gateway_websocket.options import Route

_MASK_BYTES = 4
_SHORTEST_HEAD = 2
_LENGTH_BYTES = {126: 2, 127: 8}


class Reader(Protocol):
    """What the HTTP library hands a connection's bytes to."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes."""

    def feed_eof(self) -> None:
        """Handle the end of the stream."""


class FrameLimit:
    """Keeps a client's frames, not just its messages, below a limit, before the library reads them.

    Source: docs.aws.amazon.com/apigateway/latest/developerguide, "apigateway-execution-service-
    websocket-limits-table", read November 2026: a frame above 32 KB closes with code 1009.

    Args:
        exceeded: Called once, at the first longer one; from then on nothing is passed on.
    """

    def __init__(self, reader: Reader, limit_bytes: int, exceeded: Callable[[], None]) -> None:
        self._reader = reader
        self._limit_bytes = limit_bytes
        self._exceeded = exceeded
        self._head = b""
        self._left = 0
        self._is_over = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; returns what the library's reader returns."""
        if self._is_over:
            return False, b""
        if not self._fits(bytes(data)):
            self._is_over = True
            self._exceeded()
            return False, b""
        return self._reader.feed_data(data)

    def feed_eof(self) -> None:
        """Handle the end of the stream."""
        self._reader.feed_eof()

    def _fits(self, data: bytes) -> bool:
        """Return whether no frame that begins in these bytes is too long."""
        data, self._head = self._head + data, b""
        place = min(self._left, len(data))
        self._left -= place
        while place < len(data):
            head = _head(data, place)
            if head is None:
                self._head = data[place:]
                return True
            head_bytes, payload_bytes = head
            if payload_bytes > self._limit_bytes:
                return False
            end = place + head_bytes + payload_bytes
            place = min(end, len(data))
            self._left = end - place
        return True


def _head(data: bytes, place: int) -> tuple[int, int] | None:
    """Return the lengths of a frame's head, mask included, and payload; None where it is cut."""
    if len(data) - place < _SHORTEST_HEAD:
        return None
    second = data[place + 1]
    payload_bytes, head_bytes = second & 0x7F, _SHORTEST_HEAD
    if payload_bytes in _LENGTH_BYTES:
        head_bytes += _LENGTH_BYTES[payload_bytes]
        if len(data) < place + head_bytes:
            return None
        payload_bytes = int.from_bytes(data[place + _SHORTEST_HEAD : place + head_bytes], "big")
    return head_bytes + (_MASK_BYTES if second & 0x80 else 0), payload_bytes


DEFAULT_ROUTE = "$default"

GIVE_UP_S = 2.0
"""How long a client may take to close after it was told to."""

_REPEATED = ("id", "channel")
"""What a backend's answer repeats of the frame, besides its action."""


class Session:
    """One connection after its upgrade.

    Args:
        websocket: The connection, to read from and to close.
        managed: The connection, to write to and to call by its id.
    """

    __slots__ = ("_channels", "_closing", "_managed", "_service", "_websocket")

    def __init__(
        self, service: Service, websocket: web.WebSocketResponse, managed: ManagedConnection
    ) -> None:
        self._service = service
        self._websocket = websocket
        self._managed = managed
        self._channels: set[str] = set()
        self._closing: asyncio.Task[bool] | None = None
        managed.close = partial(self.close, "deleted")
        managed.touch = self._active

    async def run(self) -> None:
        """Serve the connection until either side closes it."""
        self._active()
        self._service.lifetime.restart(self)
        ping_counts = self._service.options.undocumented.ping_is_activity
        try:
            async for message in self._websocket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    self._managed.active_s = time.time()
                    self._active()
                    self._receive(message.data)
                elif message.type is WSMsgType.PING:
                    if ping_counts:
                        self._active()
                    await self._websocket.pong(message.data)
        finally:
            self._ended()

    def _active(self) -> None:
        self._service.idle.restart(self)

    def _ended(self) -> None:
        """Forget the connection, and call $disconnect, which is best effort."""
        service, connection_id = self._service, self._managed.id
        service.idle.stop(self)
        service.lifetime.stop(self)
        if self._websocket.close_code == WSCloseCode.MESSAGE_TOO_BIG:
            service.counters.add("disconnects.too_large")
        service.table.note_left(connection_id)
        lost = service.options.undocumented.lost_disconnects
        forget = service.table.forget
        if service.rng.random() < lost or not service.functions.call(lambda: forget(connection_id)):
            service.counters.add("disconnects.unnoticed")

    def too_large(self) -> None:
        """Close the connection, on which a frame began that is too long."""
        transport = self._managed.connection.transport
        self._service.counters.add("disconnects.too_large")
        transport.write(close_frame(WSCloseCode.MESSAGE_TOO_BIG))
        # What the client is still sending is read and dropped, so that it reads our reason.
        asyncio.get_running_loop().call_later(GIVE_UP_S, transport.abort)

    def close(self, cause: str) -> None:
        """Close from the server's side, once, and count the cause."""
        if self._closing is not None:
            return
        self._service.counters.add(f"disconnects.{cause}")
        code = self._service.options.undocumented.close_code
        if code == RESET:
            end_connection(self._managed.connection.transport, None)
            return
        self._closing = asyncio.ensure_future(self._websocket.close(code=code))

    def _receive(self, payload: bytes) -> None:
        """Let one message through the throttle to its route."""
        service = self._service
        service.counters.add("messages.received")
        service.metering.frame(len(payload))
        body = _parsed(payload)
        selected = body.get(service.options.route_selection_key)
        route = self._route(selected) or self._route(DEFAULT_ROUTE)
        is_publish = route is not None and route.does == "broadcast"
        if is_publish and service.faults.on_publish():
            self._error(wire.TOO_MANY_REQUESTS)
        elif not service.admission.request():
            kind = "publishes" if is_publish else "messages"
            service.counters.add(f"{kind}.throttled.quota")
            self._error(wire.TOO_MANY_REQUESTS)
        elif route is None:
            service.counters.add("messages.unrouted")
            self._error(wire.FORBIDDEN)
        else:
            self._do(route, body)

    def _route(self, selected: Any) -> Route | None:
        routes = self._service.options.routes
        return next((route for route in routes if route.key == selected), None)

    def _do(self, route: Route, body: Mapping[str, Any]) -> None:
        channel = body.get("channel")
        if route.does == "broadcast":
            self._broadcast(route, body, channel)
            return
        if route.does in {"join", "leave"} and not isinstance(channel, str):
            self._error(wire.INTERNAL_SERVER_ERROR)
            return

        def act() -> None:
            if route.does == "fail":
                self._error(wire.INTERNAL_SERVER_ERROR)
                return
            if route.does == "join":
                self._join(str(channel))
            elif route.does == "leave":
                self._leave(str(channel))
            if route.response and route.does != "nothing":
                self._reply(body if route.does == "echo" else self._answer(body))

        if not self._service.functions.call(act):
            if route.does == "join":
                self._service.counters.add("subscribes.refused.function")
            self._error(wire.INTERNAL_SERVER_ERROR)

    def _join(self, channel: str) -> None:
        if not self._managed.connection.is_open:
            return  # It has gone meanwhile, and with it its rows.
        service = self._service
        service.table.put(self._managed.id, channel)
        service.management.subscribe(self._managed)
        service.counters.add("subscribes.accepted")
        self._channels.add(channel)

    def _leave(self, channel: str) -> None:
        self._service.table.remove(self._managed.id, channel)
        self._channels.discard(channel)
        if not self._channels:
            self._service.management.unsubscribe(self._managed)

    def _broadcast(self, route: Route, body: Mapping[str, Any], channel: Any) -> None:
        service = self._service
        data = body.get("data")
        if not isinstance(channel, str) or is_wildcard(channel) or data is None:
            service.counters.add("publishes.refused.bad_request")
            self._error(wire.INTERNAL_SERVER_ERROR)
            return
        payload = data.encode() if isinstance(data, str) else orjson.dumps(data)
        waits = [True]

        def ended(reached: int | None) -> None:
            if not waits:
                return  # The API has answered before.
            waits.clear()
            if reached is None:
                self._error(wire.INTERNAL_SERVER_ERROR)
            elif route.response:
                self._reply({**self._answer(body), "reached": reached})

        def late() -> None:
            if waits:
                waits.clear()
                self._error(wire.TIMED_OUT)

        if not start_broadcast(service, channel, payload, ended):
            service.counters.add("publishes.refused.function")
            self._error(wire.INTERNAL_SERVER_ERROR)
            return
        service.counters.add("publishes.accepted")
        if service.options.broadcast.function_timeout_s > wire.LONGEST_INTEGRATION_S:
            asyncio.get_running_loop().call_later(wire.LONGEST_INTEGRATION_S, late)

    def _answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the backend answers: what it was asked, without the message."""
        keys = (self._service.options.route_selection_key, *_REPEATED)
        return {key: body[key] for key in keys if key in body}

    def _reply(self, body: Any) -> None:
        self._managed.connection.reply(text_frame(orjson.dumps(body)))

    def _error(self, message: str) -> None:
        error = wire.ErrorFrame(message, self._managed.id, str(uuid.uuid4()))
        self._managed.connection.reply(text_frame(error.encode()))


def _parsed(payload: bytes) -> dict[str, Any]:
    """Return a frame's object; an empty one for what is none, which selects no route."""
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
