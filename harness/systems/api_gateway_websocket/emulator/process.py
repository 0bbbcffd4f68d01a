"""The API Gateway WebSocket emulator: the upgrade, and the ``@connections`` API.

Both lie below the stage, on one port. What is not of the service lies below ``/_emulator``. Which
words refuse a call is undocumented; boto3 tells refusals apart by the error type in a header.
"""

import asyncio
import hmac
import json
import shlex
import uuid
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web

from harness.emulation.control import add_control_routes, log_bugs
from harness.emulation.faults import refusal_status
from harness.emulation.signatures import RefusedSignature, Scope, Signed, verify
from harness.emulation.worker import WorkerContext
from harness.systems.api_gateway_websocket import wire
from harness.systems.api_gateway_websocket.emulator.management import LIMIT_EXCEEDED, Reply
from harness.systems.api_gateway_websocket.emulator.service import Service
from harness.systems.api_gateway_websocket.emulator.sessions import FrameLimit, Session
from harness.systems.api_gateway_websocket.options import Options

CLOSE_TIMEOUT_S = 2.0
SERVICE = "execute-api"
KEY_NAME = "authorization"
"""Header and query parameter from which the authorizer of $connect reads a key."""

ERROR_TYPES = {
    HTTPStatus.BAD_REQUEST: "BadRequestException",
    HTTPStatus.FORBIDDEN: "ForbiddenException",
    HTTPStatus.GONE: "GoneException",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "PayloadTooLargeException",
    HTTPStatus.TOO_MANY_REQUESTS: "LimitExceededException",
}
"""Source: the service model of ``apigatewaymanagementapi`` in botocore; the first is observed."""

UNAUTHORIZED = "Unauthorized"

BOTO_TITLE = "boto3:"
NO_USERS = "// no user may call @connections: iam_users is empty"


class ApiGatewayEmulator(Service):
    """One process of the emulator.

    Attributes:
        HTTP_PATH: The WebSocket address, and the base of the ``@connections`` API.
    """

    HTTP_PATH = REALTIME_PATH = wire.STAGE_PATH

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        self._users = {user.access_key_id: user for user in options.iam_users}

    def background(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Return what closes idle and old connections."""
        return [self.idle.run(), self.lifetime.run()]

    @property
    def stop_code(self) -> int:
        """Close code of connections when the emulator stops."""
        return self.options.undocumented.close_code

    def application(self) -> web.Application:
        """Return the application to serve."""
        # Twice what is accepted, so that the service itself answers what is too large.
        limit = 2 * self.options.quotas.message_bytes
        application = web.Application(client_max_size=limit, middlewares=[log_bugs()])
        add = application.router.add_route
        add("GET", wire.STAGE_PATH, self._connect)
        add("*", f"{wire.CONNECTIONS_PATH}{{id:.+}}", self._call)
        add_control_routes(add, self.control)
        add("*", "/{other:.*}", _forbid)
        return application

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            return _refused(HTTPStatus.BAD_REQUEST, "Bad Request")
        outcome = self.admission.connect()
        if status := await refusal_status(outcome, transport):
            return _refused(status, wire.INTERNAL_SERVER_ERROR)
        if outcome.throttled:
            return _refused(HTTPStatus.TOO_MANY_REQUESTS, wire.TOO_MANY_REQUESTS)
        if refused := self._unauthorized(request):
            self.counters.add("connects.refused.unauthorized")
            return refused
        if not await self._has_connected():
            self.counters.add("connects.refused.function")
            return _refused(HTTPStatus.BAD_GATEWAY, wire.INTERNAL_SERVER_ERROR)
        return await self._upgrade(request, transport)

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        """Return the authorizer's refusal; None where a client is admitted."""
        key = self.options.api_key
        if self.faults.on_credentials():
            return _refused(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED)
        if not key:
            return None
        given = request.headers.get(KEY_NAME) or request.query.get(KEY_NAME)
        if given is None:
            return _refused(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED)
        is_key = hmac.compare_digest(given.encode(errors="replace"), key.encode())
        return None if is_key else _refused(HTTPStatus.FORBIDDEN, wire.FORBIDDEN)

    async def _has_connected(self) -> bool:
        """Wait for the function of $connect; return whether it ran."""
        has_run = asyncio.Event()
        if not self.functions.call(has_run.set):
            return False
        await has_run.wait()
        return True

    async def _upgrade(
        self, request: web.Request, transport: asyncio.Transport
    ) -> web.StreamResponse:
        quotas = self.options.quotas
        websocket = web.WebSocketResponse(
            compress=False,
            # The library refuses what has as many bytes, the service what has more.
            max_msg_size=quotas.message_bytes + 1,
            timeout=CLOSE_TIMEOUT_S,
            decode_text=False,
            autoping=False,
        )
        try:
            await websocket.prepare(request)
        except ValueError:  # The library's, of headers that are no text.
            self.counters.add("connects.refused.bad_request")
            return _refused(HTTPStatus.BAD_REQUEST, "Bad Request")
        self.counters.add("connects.accepted")
        connection = self.writer.add(transport)
        user_agent = request.headers.get("User-Agent", "")
        managed = self.management.add(connection, request.remote or "", user_agent)
        self.metering.connected(managed)
        session = Session(self, websocket, managed)
        protocol: Any = request.protocol
        # The library limits messages only, and offers no place between the socket and its reader.
        protocol._payload_parser = FrameLimit(  # noqa: SLF001 - see above
            protocol._payload_parser,  # noqa: SLF001 - see above
            quotas.frame_bytes,
            session.too_large,
        )
        try:
            await session.run()
        finally:
            self.metering.disconnected(managed)
            self.management.remove(managed)
            self.writer.remove(connection)
        return websocket

    async def _call(self, request: web.Request) -> web.Response:
        """Serve a call of ``@connections``: who calls, may they, is there room, do it."""
        method = request.method
        limit = self.options.quotas.message_bytes
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            body = bytes(limit + 1)
        refusal = self._refusal(request, body)
        if refusal or method not in {"GET", "POST", "DELETE"}:
            self.counters.add("calls.refused")
            return _api_response(Reply(HTTPStatus.FORBIDDEN, refusal or wire.FORBIDDEN))
        if not self.admission.request():
            self.counters.add("calls.throttled")
            return _api_response(LIMIT_EXCEEDED)
        if len(body) > limit:
            return _api_response(Reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        self.counters.add("calls.accepted")
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        number = self.management.number_event() if method == "POST" else 0
        connection_id = request.match_info["id"]
        self.management.call(method, connection_id, partial(_set, answer), body, number)
        return _api_response(await answer)

    def _refusal(self, request: web.Request, body: bytes) -> str:
        """Return why a caller may not call; empty where they may."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        if "authorization" not in headers:
            return "Missing Authentication Token"
        path, _, query = request.raw_path.partition("?")
        user = verify(
            # Each segment of the path is encoded a second time, but for Amazon S3.
            Signed(headers, body, request.method, quote(path, safe="/~"), query),
            request_host=headers.get("host", ""),
            users=self._users,
            scope=Scope(self.options.region, SERVICE),
            now=datetime.now(UTC),
        )
        if isinstance(user, RefusedSignature):
            return user.message
        if user.may_manage_connections:
            return ""
        return (
            f"User {user.access_key_id} is not authorized to perform: execute-api:ManageConnections"
        )

    @staticmethod
    def try_it(http_url: str, api_key: str, ca_file: Path | None) -> str:
        """Return a shell command that joins a channel of a running emulator and listens."""
        trust = f"NODE_EXTRA_CA_CERTS={ca_file} " if ca_file else ""
        key = f" -H {shlex.quote(f'Authorization: {api_key}')}" if api_key else ""
        address = "ws" + http_url.removeprefix("http")
        join = json.dumps({"action": "join", "channel": "/default/room-0"})
        return f"{trust}npx wscat -c {address}{key} -x '{join}' -w 60"

    @staticmethod
    def client_settings(options: Options, http_url: str) -> dict[str, str]:
        """Return settings for clients other than our own, by their title."""
        if not options.iam_users:
            return {BOTO_TITLE: NO_USERS}
        user = options.iam_users[0]
        lines = [
            "import boto3",
            "client = boto3.client('apigatewaymanagementapi',",
            f"    endpoint_url={http_url!r}, region_name={options.region!r},",
            f"    aws_access_key_id={user.access_key_id!r},",
            f"    aws_secret_access_key={user.secret_access_key!r})",
            "client.post_to_connection(ConnectionId=…, Data=b'hello')",
        ]
        return {BOTO_TITLE: "\n".join(lines)}


async def _forbid(_request: web.Request) -> web.Response:
    return _refused(HTTPStatus.FORBIDDEN, wire.FORBIDDEN)


def _set(future: "asyncio.Future[Reply]", reply: Reply) -> None:
    if not future.done():
        future.set_result(reply)


def _refused(status: int, message: str) -> web.Response:
    """Return the service's refusal of an upgrade."""
    error = wire.ErrorFrame(message, "", str(uuid.uuid4()))
    return web.Response(body=error.encode(), status=status, content_type="application/json")


def _api_response(reply: Reply) -> web.Response:
    """Return the answer to a call of ``@connections``."""
    error = ERROR_TYPES.get(HTTPStatus(reply.status))
    if error is None:
        body = orjson.dumps(reply.body) if reply.body is not None else b""
        kind = "application/json" if body else None
        return web.Response(body=body, status=reply.status, content_type=kind)
    return web.Response(
        body=orjson.dumps({"message": reply.body}),
        status=reply.status,
        content_type="application/json",
        headers={"x-amzn-ErrorType": error},
    )
