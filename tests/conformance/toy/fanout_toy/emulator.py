"""The toy system's emulator."""

from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from harness.emulation.bus import Parts
from harness.emulation.connection_writer import Batch, Connection
from harness.emulation.counters import SHARED_COUNTS
from harness.emulation.deliveries import Frame, Subscription
from harness.emulation.emulated_service import EmulatedService
from harness.emulation.faults import refusal_status
from harness.emulation.websocket_frames import text_frame
from harness.emulation.worker import WorkerContext

from . import wire
from .options import Options


class ToyEmulator(EmulatedService[Options]):
    """One process of the emulator."""

    HTTP_PATH = wire.HTTP_PATH
    REALTIME_PATH = wire.REALTIME_PATH
    OPTIONS = Options
    COUNTS = (*SHARED_COUNTS, "publishes.accepted")

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        self._groups: dict[str, dict[Connection, Subscription]] = {}
        self._next_event = worker_context.index

    def application(self) -> web.Application:
        """Return the routes."""
        application = super().application()
        application.router.add_get(wire.REALTIME_PATH, self._realtime)
        application.router.add_post(wire.HTTP_PATH, self._post)
        return application

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        outcome, transport = self.faults.on_connect(), request.transport
        if transport is None:
            raise web.HTTPBadGateway
        if refused := await refusal_status(outcome, transport):
            return web.Response(status=refused)
        if outcome.throttled:
            raise web.HTTPTooManyRequests
        if self._is_unauthorized(request):
            raise web.HTTPUnauthorized
        websocket = web.WebSocketResponse(protocols=[wire.SUBPROTOCOL], compress=False)
        await websocket.prepare(request)
        connection = self.writer.add(transport)
        joined: list[str] = []
        try:
            async for message in websocket:
                if message.type is WSMsgType.TEXT:
                    self._handle(connection, orjson.loads(message.data), joined)
        finally:
            for channel in joined:
                self.deliveries.unsubscribe(self._groups[channel].pop(connection))
            self.writer.remove(connection)
        return websocket

    def _is_unauthorized(self, request: web.Request) -> bool:
        key = request.query.get(wire.KEY_PARAMETER)
        return self.faults.on_credentials() or key != self.options.key

    def _handle(self, connection: Connection, message: dict[str, Any], joined: list[str]) -> None:
        if "join" in message:
            channel = message["join"]
            self._groups.setdefault(channel, {})[connection] = self.deliveries.subscribe(connection)
            joined.append(channel)
            reply = wire.message(joined=channel)
        else:
            refused = self._publish(message["channel"], message["events"])
            reply = wire.message(published=message["publish"], refused=refused)
        connection.reply(text_frame(reply))

    async def _post(self, request: web.Request) -> web.Response:
        if self._is_unauthorized(request):
            return web.Response(text="unauthorized", status=HTTPStatus.UNAUTHORIZED)
        message = orjson.loads(await request.read())
        return web.Response(text=self._publish(message["channel"], message["events"]))

    def _publish(self, channel: str, events: list[str]) -> str:
        """Broadcast events in all processes; return why not, or nothing."""
        if self.faults.on_publish():
            return "throttled"
        self.counters.add("publishes.accepted")
        for event in events:
            self._broadcast(channel, self._next_event, event)
            self.bus.publish([orjson.dumps([channel, self._next_event, event])])
            self._next_event += self.worker_context.processes
        return ""

    def receive(self, parts: Parts) -> None:
        """Broadcast an event of another process."""
        self._broadcast(*orjson.loads(parts[0]))

    def _broadcast(self, channel: str, number: int, event: str) -> None:
        batch = Batch(text_frame(wire.message(event=event)), deliveries=1, steps=1)
        frame = Frame(number, batch, orjson.dumps(event))
        self.deliveries.broadcast(self._groups.get(channel, {}).values(), frame)
