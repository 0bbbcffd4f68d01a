"""The emulator of a service of server-sent events: its routes, and what they share.

The service that is emulated has no public specification; decided here after nchan and Mercure:
``GET /sub/{channel}`` is the stream of a channel, of several with commas between them, or of all
below ``default/*``; ``POST /pub/{channel}`` publishes its body as one event and answers 201. A
refused credential is answered 401, too many of anything 429.
"""

import asyncio
import hmac
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from harness.core.channels import channels_in, is_wildcard
from harness.emulation.bus import Parts
from harness.emulation.connection_writer import Connection, Transport
from harness.emulation.control import add_control_routes, log_bugs
from harness.emulation.counters import SHARED_COUNTS
from harness.emulation.emulated_service import EmulatedService
from harness.emulation.faults import refusal_status
from harness.emulation.scheduler import Intervals
from harness.emulation.worker import WorkerContext
from harness.systems.server_sent_events import wire
from harness.systems.server_sent_events.emulator.broadcast import REPLAYED, Hub, chunk
from harness.systems.server_sent_events.emulator.events import EventLog
from harness.systems.server_sent_events.emulator.servers import ARRIVED, ASKED, Fleet, Server
from harness.systems.server_sent_events.emulator.write_queues import (
    DELAYED,
    QueuedWriter,
    WriteQueue,
)
from harness.systems.server_sent_events.options import Options

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

COUNTS = (
    *SHARED_COUNTS,
    REPLAYED,  # written besides to clients that came back, not among owed or sent
    DELAYED,  # waited for a server to come to them
    "connects.accepted",
    "connects.refused.unauthorized",
    "connects.refused.bad_request",
    "subscribes.accepted",
    "publishes.accepted",
    "publishes.refused.unauthorized",
    "publishes.refused.bad_request",
    "events.published",
    "events.failed.too_large",
    ASKED,
    ARRIVED,
)
"""What the emulator counts; a throttled connect or publish is not among those refused."""

_MORE = b"more"
"""First part of messages between processes about a new event."""

MALFORMED_CHUNKS = {
    "not_json": chunk(b'data: {"type":"data"\n\n'),
    "not_a_message": chunk(b"data: []\n\n"),
    "unknown_type": chunk(b'event: no such type\ndata: {"type":"no such type"}\n\n'),
    "binary": chunk(b"data: \x00\x01\x02\x03\n\n"),
    "bad_utf8": chunk(b"data: \xff\n\n"),
    "reserved_bits": b"no size\r\n",
}
"""A chunk of each form that the fault ``malformed`` knows; the last breaks the chunked coding."""


class ServerSentEventsEmulator(EmulatedService[Options]):
    """One process of the emulator.

    Attributes:
        fleet: Its servers; None where nothing is limited.
        heartbeats: When each stream gets its next comment.
    """

    HTTP_PATH = PUBLISH_PATH
    REALTIME_PATH = STREAM_PATH
    OPTIONS = Options
    COUNTS = COUNTS
    MALFORMED_FRAMES = MALFORMED_CHUNKS
    WRITER = QueuedWriter

    writer: QueuedWriter

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        self._token = options.token.encode()
        self._log = EventLog(worker_context.folder)
        self.hub = Hub(options, self.writer, self.deliveries)
        self.fleet = self._make_fleet()
        self.heartbeats: Intervals[Connection] = Intervals(
            options.heartbeat_s, lambda connection: connection.keep_alive(HEARTBEAT)
        )
        for event in self._log.read():
            self.hub.keep(event)

    @classmethod
    def accept_queue(cls, options: Options) -> int | None:
        """Return the accept queue in front of the servers; None where there are none."""
        return None if options.servers is None else options.servers.accept_queue

    def _make_fleet(self) -> Fleet | None:
        limits, listener = self.options.servers, self.worker_context.shared_listener
        if limits is None or listener is None:
            return None
        delays = self.deliveries.delays
        return Fleet(self, limits, listener, lambda rate: WriteQueue(self.writer, rate, delays))

    def is_authorized(self, authorization: str) -> bool:
        """Say whether this header has the right token, which no fault has expired."""
        is_expired = self.faults.on_credentials()
        scheme, _, shown = authorization.partition(" ")
        is_right = scheme.lower() == "bearer" and hmac.compare_digest(
            shown.strip().encode(errors="replace"), self._token
        )
        return not is_expired and (is_right or not self._token)

    def publish(self, channel: str, data: bytes) -> int:
        """Deliver an event to all listeners of all processes; return its number."""
        number = self._log.append(channel, data)
        self.counters.add("events.published")
        self._read_on()
        self.bus.publish([_MORE])
        return number

    def _read_on(self) -> None:
        for event in self._log.read():
            self.hub.broadcast(event)

    def receive(self, _parts: Parts) -> None:
        """Broadcast what was published in another process."""
        self._read_on()

    def refresh(self) -> None:
        """Bring the figures of the servers up to now."""
        if self.fleet:
            self.fleet.note()

    def reset(self) -> None:
        """Number events from the beginning again."""
        self.hub.reset()

    def report(self, _totals: Mapping[str, int]) -> Mapping[str, Any]:
        """Return the state of each server."""
        return {"fleet": self.fleet.report()} if self.fleet else {}

    def close(self) -> None:
        """End the faults, leave the bus and close the log of events."""
        super().close()
        self._log.close()

    def background(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Return the heartbeats, and the servers."""
        yield self.heartbeats.run()
        if self.fleet is not None:
            yield self.fleet.run(self.runner, self.tls)

    def application(self) -> web.Application:
        """Return the application of the emulator's own port."""
        application = self._empty_application()
        router = application.router
        router.add_post(PUBLISH_PATH.format(channel=_ANY_SEGMENTS), self._publish)
        add_control_routes(router.add_route, self.control)
        if self.fleet is None:
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
            handler_cancellation=True,  # How a stream notices that its client has gone.
            shutdown_timeout=0.0,
        )

    def _empty_application(self) -> web.Application:
        most_bytes = self.options.event_bytes
        return web.Application(client_max_size=most_bytes, middlewares=[log_bugs()])

    async def _stream(
        self, request: web.Request, server: Server | None = None
    ) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        # As it came: a comma within a name is encoded, one between two is not.
        channels = channels_in(request.raw_path.partition("?")[0].partition(STREAM_PREFIX)[2])
        refused = await self._refusal(request, transport)
        if refused is not None:
            return refused
        self.counters.add("subscribes.accepted", len(channels))
        response = web.StreamResponse(headers=_HEADERS)
        response.enable_chunked_encoding()
        await response.prepare(request)
        connection = self.writer.add(transport)
        if server is not None and server.queue is not None:
            self.writer.queues[connection] = server.queue
        try:
            # From here to the write of the head no other task runs: a client that learns that its
            # stream is open gets all that is published from then on.
            self.hub.add(channels, connection)
            self.heartbeats.restart(connection)
            await response.write(self._beginning(request, channels))
            await asyncio.get_running_loop().create_future()
        finally:
            self.heartbeats.stop(connection)
            self.hub.remove(channels, connection)
            self.writer.queues.pop(connection, None)
            self.writer.remove(connection)
        return response

    def _beginning(self, request: web.Request, channels: Sequence[str]) -> bytes:
        """Return what a stream begins with: the reconnection time, and what was missed."""
        last_event_id = request.headers.get(wire.LAST_EVENT_ID_HEADER, "")
        retry = wire.encode_retry(round(self.options.retry_ms))
        return retry + self.hub.replay(channels, last_event_id)

    async def _refusal(self, request: web.Request, transport: Transport) -> web.Response | None:
        """Return why a client gets no stream; None where it does; count either."""
        count = self.counters.add
        if request.version < (1, 1):
            count("connects.refused.bad_request")
            return _text("HTTP/1.1 is required.", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        outcome = self.faults.on_connect()
        if refused := await refusal_status(outcome, transport):
            return _text("Refused on purpose.", refused)
        if outcome.throttled:
            return _text("Too many connects.", HTTPStatus.TOO_MANY_REQUESTS)
        if not self.is_authorized(request.headers.get("Authorization", "")):
            count("connects.refused.unauthorized")
            return _text("A bearer token is required.", HTTPStatus.UNAUTHORIZED)
        count("connects.accepted")
        return None

    async def _publish(self, request: web.Request) -> web.Response:
        count = self.counters.add
        if not self.is_authorized(request.headers.get("Authorization", "")):
            count("publishes.refused.unauthorized")
            return _text("A bearer token is required.", HTTPStatus.UNAUTHORIZED)
        if self.faults.on_publish():
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
        number = self.publish(channel, data)
        body = orjson.dumps({"id": str(number)})
        return web.Response(body=body, status=HTTPStatus.CREATED, content_type="application/json")

    @staticmethod
    def try_it(http_url: str, api_key: str, ca_file: Path | None) -> str:
        """Return a shell command that publishes one event to a running emulator."""
        trust = f" --cacert {ca_file}" if ca_file else ""
        token = f" -H 'Authorization: Bearer {api_key}'" if api_key else ""
        return f"curl{trust}{token} -d hello {http_url.replace('{channel}', 'default/room-0')}"


def _text(text: str, status: int) -> web.Response:
    return web.Response(text=f"{text}\n", status=status)
