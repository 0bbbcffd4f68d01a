"""The routes of the emulator: streams, publishing, and what every emulator has.

The service that is emulated has no public specification; decided here after nchan and Mercure:
``GET /sub/{channel}`` is the stream of a channel, of several with commas between them, or of all
below ``default/*``; ``POST /pub/{channel}`` publishes its body as one event and answers 201. A
refused credential is answered 401, too many of anything 429.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus

import orjson
from aiohttp import web

from harness.core.channels import channels_in, is_wildcard
from harness.emulation.connection_writer import Connection, Transport
from harness.emulation.control_routes import add_control_routes, log_bugs
from harness.emulation.faults import refusal_status
from harness.emulation.intervals import Intervals
from harness.systems.server_sent_events import wire
from harness.systems.server_sent_events.emulator.broadcast import chunk
from harness.systems.server_sent_events.emulator.servers import Server
from harness.systems.server_sent_events.emulator.service import Service

STREAM_PREFIX = "/sub/"
STREAM_PATH = STREAM_PREFIX + "{channel}"
PUBLISH_PATH = "/pub/{channel}"

HEARTBEAT = chunk(wire.encode_comment())

_ANY_SEGMENTS = "{channel:.+}"
_HEADERS = {
    "Content-Type": f"{wire.CONTENT_TYPE}; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # Else nginx in front of it would collect before it passes on.
    "Access-Control-Allow-Origin": "*",
}


class Routes:
    """The routes of one emulator process; made inside the running event loop.

    Args:
        service: What all connections share.

    Attributes:
        heartbeats: When each stream gets its next comment.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.heartbeats: Intervals[Connection] = Intervals(
            service.options.heartbeat_s, lambda connection: connection.keep_alive(HEARTBEAT)
        )

    def application(self) -> web.Application:
        """Return the application of the emulator's own port."""
        application = self._empty_application()
        router = application.router
        router.add_post(PUBLISH_PATH.format(channel=_ANY_SEGMENTS), self._publish)
        add_control_routes(router.add_route, self._service.control)
        if self._service.fleet is None:
            router.add_get(STREAM_PATH.format(channel=_ANY_SEGMENTS), self._stream)
        return application

    def runner(self, server: Server | None = None) -> web.AppRunner:
        """Return what serves the emulator's own port, or the streams of one server."""
        if server is None:
            application = self.application()
        else:
            application = self._empty_application()
            path = STREAM_PATH.format(channel=_ANY_SEGMENTS)
            application.router.add_get(path, partial(self._stream, server=server))
        return web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,  # How a stream hears that its client has gone.
            shutdown_timeout=0.0,
        )

    def _empty_application(self) -> web.Application:
        most_bytes = self._service.options.event_bytes
        return web.Application(client_max_size=most_bytes, middlewares=[log_bugs()])

    async def _stream(
        self, request: web.Request, server: Server | None = None
    ) -> web.StreamResponse:
        service, transport = self._service, request.transport
        if transport is None:
            raise ConnectionResetError
        # As it came: a comma within a name is encoded, one between two is not.
        channels = channels_in(request.raw_path.partition("?")[0].partition(STREAM_PREFIX)[2])
        refused = await self._refusal(request, transport)
        if refused is not None:
            return refused
        service.counters.add("subscribes.accepted", len(channels))
        response = web.StreamResponse(headers=_HEADERS)
        response.enable_chunked_encoding()
        await response.prepare(request)
        connection = service.writer.add(transport)
        if server is not None and server.lane is not None:
            service.writer.lanes[connection] = server.lane
        try:
            # From here to the write of the head nothing else has its turn: who is told that the
            # stream is open gets all that is published from then on.
            service.hub.add(channels, connection)
            self.heartbeats.restart(connection)
            await response.write(self._beginning(request, channels))
            await asyncio.get_running_loop().create_future()
        finally:
            self.heartbeats.stop(connection)
            service.hub.remove(channels, connection)
            service.writer.lanes.pop(connection, None)
            service.writer.remove(connection)
        return response

    def _beginning(self, request: web.Request, channels: Sequence[str]) -> bytes:
        """Return what a stream begins with: the reconnection time, and what was missed."""
        last_event_id = request.headers.get(wire.LAST_EVENT_ID_HEADER, "")
        retry = wire.encode_retry(round(self._service.options.retry_ms))
        return retry + self._service.hub.replay(channels, last_event_id)

    async def _refusal(self, request: web.Request, transport: Transport) -> web.Response | None:
        """Return why a client gets no stream; None where it does. Either is counted."""
        service, count = self._service, self._service.counters.add
        if request.version < (1, 1):
            count("connects.refused.bad_request")
            return _text("HTTP/1.1 is required.", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        outcome = service.faults.on_connect()
        if refused := await refusal_status(outcome, transport):
            return _text("Refused on purpose.", refused)
        if outcome.throttled:
            return _text("Too many connects.", HTTPStatus.TOO_MANY_REQUESTS)
        if not service.lets_in(request.headers.get("Authorization", "")):
            count("connects.refused.unauthorized")
            return _text("A bearer token is required.", HTTPStatus.UNAUTHORIZED)
        count("connects.accepted")
        return None

    async def _publish(self, request: web.Request) -> web.Response:
        service, count = self._service, self._service.counters.add
        if not service.lets_in(request.headers.get("Authorization", "")):
            count("publishes.refused.unauthorized")
            return _text("A bearer token is required.", HTTPStatus.UNAUTHORIZED)
        if service.faults.on_publish():
            return _text("Too many publishes.", HTTPStatus.TOO_MANY_REQUESTS)
        try:
            data = await request.read()
        except web.HTTPRequestEntityTooLarge:
            count("publishes.refused.bad_request")
            count("events.failed.too_large")
            return _text("The event is too large.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        channel = request.match_info["channel"]
        if is_wildcard(channel):
            count("publishes.refused.bad_request")
            return _text("A wildcard is for listening only.", HTTPStatus.BAD_REQUEST)
        count("publishes.accepted")
        number = service.publish(channel, data)
        body = orjson.dumps({"id": str(number)})
        return web.Response(body=body, status=HTTPStatus.CREATED, content_type="application/json")


def _text(text: str, status: int) -> web.Response:
    return web.Response(text=f"{text}\n", status=status)
