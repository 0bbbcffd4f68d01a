"""The AppSync Events emulator: its routes, its processes, and how to start it.

WebSocket and HTTP publish share one port, as on a custom domain of the real service. It emulates
API keys; the service's other credentials, quotas and handlers it does not have.

Run as a module, this is one of its processes; see ``start``.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from pathlib import Path

import orjson
from aiohttp import web

from harness.emulation.certificate import make_certificate, server_tls
from harness.emulation.counters import Counters
from harness.emulation.keep_alive import KeepAlive
from harness.emulation.options import EmulatorOptions
from harness.emulation.processes import BACKLOG, EmulatorProcesses
from harness.emulation.worker import Lifeline, Seat, run_worker
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.emulator_credentials import (
    connect_refusal,
    offered_subprotocols,
)
from harness.systems.appsync_events.emulator_service import (
    COUNTS,
    UNAUTHORIZED,
    Service,
)
from harness.systems.appsync_events.emulator_sessions import Session
from harness.systems.appsync_events.operations import (
    BAD_REQUEST,
    REQUEST_TOO_LARGE,
    RejectedMessageError,
    parse_publish_body,
)
from harness.systems.appsync_events.wire import WireError

HTTP_PATH = wire.HTTP_PATH
REALTIME_PATH = wire.REALTIME_PATH
STATS_PATH = "/_emulator/stats"

MAX_MESSAGE_BYTES = 4 * wire.MAX_REQUEST_BYTES
"""JSON text of a publish: its events at their largest, with room for escapes."""

CLOSE_TIMEOUT_S = 2.0
STOP_GRACE_S = 0.2

LOGGER = logging.getLogger(__name__)

_CORS = {"access-control-allow-origin": "*"}
_PREFLIGHT = {
    **_CORS,
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "*",
}


def start(options: EmulatorOptions) -> EmulatorProcesses:
    """Return the emulator's processes, to be entered; with TLS, ``ca.pem`` is in their folder."""

    def prepare(folder: Path) -> None:
        Counters.make_table(folder / "counters", options.processes, len(COUNTS))
        if options.tls:
            make_certificate(folder)

    return EmulatorProcesses(
        module=__name__,
        settings=asdict(options),
        processes=options.processes,
        host=options.host,
        port=options.port,
        prepare=prepare,
    )


def try_it(http_url: str, api_key: str, ca_file: Path | None) -> str:
    """Return a shell command that publishes one event to a running emulator."""
    trust = f" --cacert {ca_file}" if ca_file else ""
    body = """{"channel":"/default/room-0","events":["{\\"hello\\":1}"]}"""
    return f"curl{trust} -H 'x-api-key: {api_key}' -d '{body}' {http_url}"


class Application:
    """The routes of one emulator process; made inside the running event loop.

    Args:
        service: What all connections share.
        keep_alive_s: Time between two keep-alive messages.
    """

    def __init__(self, service: Service, keep_alive_s: float) -> None:
        self._service = service
        self._sessions: set[Session] = set()
        self.keep_alive = KeepAlive(keep_alive_s)

    def routes(self) -> web.Application:
        """Return the application to serve."""
        application = web.Application(client_max_size=MAX_MESSAGE_BYTES, middlewares=[tell_of_bugs])
        application.router.add_get(REALTIME_PATH, self._realtime)
        application.router.add_post(HTTP_PATH, self._publish)
        application.router.add_options(HTTP_PATH, _preflight)
        application.router.add_get(STATS_PATH, self._stats)
        for path in (REALTIME_PATH, HTTP_PATH, STATS_PATH):
            application.router.add_route("*", path, partial(_refuse_route, status=405))
        application.router.add_route("*", "/{other:.*}", partial(_refuse_route, status=404))
        return application

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        offered = offered_subprotocols(request.headers)
        transport = request.transport
        if wire.SUBPROTOCOL not in offered or transport is None:
            rule = f"The WebSocket subprotocol {wire.SUBPROTOCOL} is required."
            return _error_response(WireError(BAD_REQUEST, rule), HTTPStatus.BAD_REQUEST)
        websocket = web.WebSocketResponse(
            protocols=[wire.SUBPROTOCOL],
            compress=False,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=CLOSE_TIMEOUT_S,
            decode_text=False,
        )
        # The library looks only at the first header line of those the client may have sent.
        websocket.headers["Sec-WebSocket-Protocol"] = wire.SUBPROTOCOL
        await websocket.prepare(request)
        refusal = connect_refusal(self._service, request.headers, offered)
        session = Session(self._service, self.keep_alive, websocket, transport, refusal)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
        return websocket

    async def _publish(self, request: web.Request) -> web.StreamResponse:
        try:
            body = parse_publish_body(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return _error_response(REQUEST_TOO_LARGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except RejectedMessageError as rejected:
            return _error_response(rejected.error, HTTPStatus.BAD_REQUEST)
        publish = self._service.accept(request.headers, body, over_http=True)
        if isinstance(publish, WireError):
            return _error_response(publish, _http_status(publish))
        response = _json_response(wire.http_publish_reply(publish.results), HTTPStatus.OK)
        # Sent here and not by the library, so that it leaves before the deliveries.
        await response.prepare(request)
        await response.write_eof()
        self._service.broadcast(publish)
        return response

    async def _stats(self, _request: web.Request) -> web.Response:
        return _json_response(orjson.dumps(self._service.counters.totals()), HTTPStatus.OK)

    def close_sessions(self) -> None:
        """Close every WebSocket, because the emulator stops."""
        for session in self._sessions:
            session.go_away()


@web.middleware
async def tell_of_bugs(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Log what no handler expects; the library's own log of it is off, see ``run_worker``."""
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:
        LOGGER.exception("a bug of the emulator")
        return _error_response(WireError("InternalFailure"), HTTPStatus.INTERNAL_SERVER_ERROR)


async def _preflight(_request: web.Request) -> web.Response:
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT)


async def _refuse_route(_request: web.Request, *, status: int) -> web.Response:
    phrase = HTTPStatus(status).phrase
    return _error_response(WireError(BAD_REQUEST, f"{phrase}."), status)


def _http_status(error: WireError) -> int:
    if error == REQUEST_TOO_LARGE:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    is_authorization = error.error_type == UNAUTHORIZED.error_type
    return HTTPStatus.UNAUTHORIZED if is_authorization else HTTPStatus.BAD_REQUEST


def _error_response(error: WireError, status: int) -> web.Response:
    return _json_response(wire.http_error_body(error), status)


def _json_response(body: bytes, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", headers=_CORS)


async def serve(seat: Seat, lifeline: Lifeline) -> None:
    """Be one process of the emulator until it is told to stop."""
    options = EmulatorOptions(**seat.settings)
    service = Service(options, seat, Counters(seat.folder / "counters", seat.index, COUNTS))
    application = Application(service, options.keep_alive_s)
    runner = web.AppRunner(
        application.routes(),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=STOP_GRACE_S,
        tcp_keepalive=False,
    )
    await runner.setup()
    tls = server_tls(seat.folder / "server.pem") if options.tls else None
    await web.SockSite(runner, seat.listener, ssl_context=tls, backlog=BACKLOG).start()
    keeping_alive = asyncio.create_task(application.keep_alive.run())
    await lifeline.serving()
    keeping_alive.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping_alive
    application.close_sessions()
    await runner.cleanup()
    service.close()


if __name__ == "__main__":
    run_worker(serve)
