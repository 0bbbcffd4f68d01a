"""The AppSync Events emulator: its routes, and settings to paste for clients.

WebSocket and HTTP publish share one port, as on a custom domain of the real service. What is not of
the service lies below ``/_emulator``. Source of the settings: docs.amplify.aws and aws-amplify
6.22.1, read November 2026. Amplify turns any endpoint into ``wss://``, so it needs TLS.
"""

import asyncio
import json
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

from harness.emulation.connection_writer import end_connection
from harness.emulation.control import (
    Answer,
    add_control_routes,
    control_response,
    log_bugs,
)
from harness.emulation.faults import refusal_status
from harness.emulation.websocket_frames import close_frame
from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.emulator.access import Caller, Request
from harness.systems.appsync_events.emulator.admission import LIMIT_EXCEEDED
from harness.systems.appsync_events.emulator.credentials import (
    offered_subprotocols,
    presented_credentials,
)
from harness.systems.appsync_events.emulator.publishing import accept_publish
from harness.systems.appsync_events.emulator.service import Service
from harness.systems.appsync_events.emulator.sessions import Session
from harness.systems.appsync_events.operations import (
    BAD_REQUEST,
    REQUEST_TOO_LARGE,
    UNAUTHORIZED,
    Refusal,
    RejectedMessageError,
    parse_object,
    refusal,
)
from harness.systems.appsync_events.options import AuthMode, Options
from harness.systems.appsync_events.wire import WireError

CLOSE_TIMEOUT_S = 2.0

INTERNAL_ERROR = 1011
"""Close code of a server that fails. Source: RFC 6455, section 7.4.1."""

ESCAPES = 6
"""Bytes of a message for each byte of its events: escapes take three at most, and Amplify sends
each event twice."""

INTERNAL_FAILURE = WireError("InternalFailure", "Internal failure.")

ENVELOPE_BYTES = 64 * 1024
"""Bytes of a message besides its events: credentials above all."""

JWKS_PATH = "/_emulator/jwks.json"
TOKENS_PATH = "/_emulator/tokens"

NO_ISSUER = Answer(
    HTTPStatus.NOT_FOUND,
    wire.http_error_body(
        WireError(BAD_REQUEST, "It accepts no tokens of its own: user_pool and oidc are off.")
    ),
)

_CORS = {"access-control-allow-origin": "*"}
_PREFLIGHT = {
    **_CORS,
    "access-control-allow-methods": "POST, OPTIONS",
    # The star does not stand for Authorization. Source: fetch.spec.whatwg.org, read November 2026.
    "access-control-allow-headers": "*, authorization",
    "access-control-max-age": "600",
}

AMPLIFY_MODES: dict[AuthMode, str] = {
    "api_key": "apiKey",
    "iam": "iam",
    "user_pool": "userPool",
    "oidc": "oidc",
    "lambda": "lambda",
}
"""What Amplify calls each auth mode."""

AMPLIFY_TITLE = "Amplify (JavaScript):"


class AppSyncEventsEmulator(Service):
    """One process of the emulator."""

    HTTP_PATH = wire.HTTP_PATH
    REALTIME_PATH = wire.REALTIME_PATH

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        self._message_bytes = ESCAPES * options.quotas.request_bytes + ENVELOPE_BYTES

    def background(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Return what keeps connections alive, and closes old ones."""
        return [self.keep_alive.run(), self.lifetime.run()]

    @property
    def stop_code(self) -> int:
        """Close code of connections when the emulator stops."""
        return self.options.undocumented.close_code

    def application(self) -> web.Application:
        """Return the application to serve."""
        application = web.Application(
            client_max_size=self._message_bytes, middlewares=[log_bugs(internal_failure)]
        )
        router = application.router
        add = partial(router.add_route, expect_handler=_expect)
        add("GET", wire.REALTIME_PATH, self._realtime)
        add("POST", wire.HTTP_PATH, self._publish)
        add("OPTIONS", wire.HTTP_PATH, _preflight)
        add_control_routes(add, self.control)
        add("GET", JWKS_PATH, self._jwks)
        add("POST", TOKENS_PATH, self._tokens)
        for path in {resource.canonical for resource in router.resources()}:
            add("*", path, partial(_refuse_route, status=405))
        add("*", "/{other:.*}", partial(_refuse_route, status=404))
        return application

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        offered = offered_subprotocols(request.headers)
        if wire.SUBPROTOCOL not in offered or transport is None:
            rule = f"The WebSocket subprotocol {wire.SUBPROTOCOL} is required."
            self.counters.add("connects.refused.bad_request")
            return error_response(WireError(BAD_REQUEST, rule), HTTPStatus.BAD_REQUEST)
        outcome = self.admission.connect()
        if status := await refusal_status(outcome, transport):
            return error_response(INTERNAL_FAILURE, status)
        if outcome.throttled and self.options.undocumented.throttle_at_upgrade:
            return error_response(LIMIT_EXCEEDED, HTTPStatus.TOO_MANY_REQUESTS)
        websocket = self._websocket()
        try:
            await websocket.prepare(request)
        except ValueError:  # The library's, of headers that are no text.
            self.counters.add("connects.refused.bad_request")
            invalid = WireError(BAD_REQUEST, "The WebSocket handshake is not valid.")
            return error_response(invalid, HTTPStatus.BAD_REQUEST)
        connection = self.writer.add(transport)
        try:
            caller = _caller(request)
            refused = LIMIT_EXCEEDED if outcome.throttled else await self._refusal(caller, offered)
            await Session(self, websocket, connection, caller, refused).run()
        except Exception:
            # The request has been answered; an HTTP answer now would be no frame.
            end_connection(transport, close_frame(INTERNAL_ERROR))
            raise
        finally:
            self.writer.remove(connection)
        return websocket

    def _websocket(self) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(
            protocols=[wire.SUBPROTOCOL],
            compress=False,
            max_msg_size=self._message_bytes,
            timeout=CLOSE_TIMEOUT_S,
            decode_text=False,
        )
        # The library looks only at the first header line of those the client may have sent.
        websocket.headers["Sec-WebSocket-Protocol"] = wire.SUBPROTOCOL
        return websocket

    async def _refusal(self, caller: Caller, offered: Sequence[str]) -> WireError | None:
        """Return why a connection is rejected, None where it is admitted; count either."""
        presented = presented_credentials(caller.headers, offered)
        identity: object = presented
        if self.faults.on_credentials():
            identity = UNAUTHORIZED
        elif not isinstance(presented, WireError):
            identity = await self.access.connect(presented, caller)
        if not isinstance(identity, WireError):
            self.counters.add("connects.accepted")
            return None
        refused = refusal(identity)
        self.counters.add(f"connects.refused.{refused.cause}")
        # The service gives this number in connection errors only.
        is_credentials = refused.status is HTTPStatus.UNAUTHORIZED
        return refused.error._replace(code=401) if is_credentials else refused.error

    async def _publish(self, request: web.Request) -> web.StreamResponse:
        try:
            text = await request.read()
            body = parse_object(text, "Body")
        except web.HTTPRequestEntityTooLarge:
            too_large = WireError(BAD_REQUEST, REQUEST_TOO_LARGE)
            return self._refused(refusal(too_large))
        except RejectedMessageError as rejected:
            return self._refused(refusal(rejected.error))
        caller = _caller(request, text)._replace(query=request.raw_path.partition("?")[2])
        asked = Request(body, request.headers, caller, over_http=True)
        publish = await accept_publish(self, asked)
        if isinstance(publish, Refusal):
            return error_response(publish.error, publish.status)
        response = _json_response(wire.http_publish_reply(publish.results), HTTPStatus.OK)
        is_reply_first = self.options.undocumented.reply_first
        if is_reply_first:
            # Sent here and not by the library, so that it leaves before the deliveries; what was
            # accepted is delivered, whether its publisher waits for the answer or not.
            with suppress(ConnectionError):
                await response.prepare(request)
                await response.write_eof()
            await asyncio.sleep(0)
        self.broadcast(publish.segments, publish.events)
        if not is_reply_first:
            await asyncio.sleep(0)
        return response

    def _refused(self, refused: Refusal) -> web.Response:
        self.counters.add(f"publishes.refused.{refused.cause}")
        return error_response(refused.error, refused.status)

    async def _jwks(self, _request: web.Request) -> web.Response:
        issuer = self.access.issuer
        return control_response(Answer(HTTPStatus.OK, issuer.jwks()) if issuer else NO_ISSUER)

    async def _tokens(self, request: web.Request) -> web.Response:
        issuer = self.access.issuer
        if issuer is None:
            return control_response(NO_ISSUER)

        async def issue(body: bytes) -> Answer:
            issued = issuer.issue(body)
            if isinstance(issued, WireError):
                return Answer(HTTPStatus.BAD_REQUEST, wire.http_error_body(issued))
            return Answer(HTTPStatus.OK, issued)

        # Without the token for changes: the users of a run ask for theirs while it goes on.
        body = await request.read()
        return control_response(await self.control.guarded(issue, "GET", body, request.headers))

    @staticmethod
    def try_it(http_url: str, api_key: str, ca_file: Path | None) -> str:
        """Return a shell command that publishes one event to a running emulator."""
        trust = f" --cacert {ca_file}" if ca_file else ""
        body = """{"channel":"/default/room-0","events":["{\\"hello\\":1}"]}"""
        return f"curl{trust} -H 'x-api-key: {api_key}' -d '{body}' {http_url}"

    @staticmethod
    def client_settings(options: Options, http_url: str) -> dict[str, str]:
        """Return settings for clients other than our own, by their title."""
        if not options.tls:
            needed = "needs TLS, whatever the endpoint says: --set target.emulator.tls=true"
            return {AMPLIFY_TITLE: f"// {needed}"}
        mode = options.connection_auth_modes[0]
        key = f", apiKey: {json.dumps(options.client_key)}" if mode == "api_key" else ""
        call = ", { authToken: token }" if mode == "lambda" else ""
        lines = [
            "import { Amplify } from 'aws-amplify'",
            "import { events } from 'aws-amplify/data'",
            "Amplify.configure({ API: { Events: {",
            f"  endpoint: {json.dumps(http_url)}, region: {json.dumps(options.region)},",
            f"  defaultAuthMode: {json.dumps(AMPLIFY_MODES[mode])}{key}",
            f"}} }} }}{_auth(options, mode)})",
            f"const channel = await events.connect('{options.namespaces[0].name}/room-0'{call})",
        ]
        return {AMPLIFY_TITLE: "\n".join([*_where_tokens_are(http_url, mode), *lines])}


async def _expect(request: web.Request) -> None:
    """Let a client send its body that asks first; the library's own fails on what is no text."""
    if request.headers["Expect"].lower() != "100-continue":
        raise web.HTTPExpectationFailed
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # What comes next is the head of the answer.


def _caller(request: web.Request, body: bytes = b"") -> Caller:
    # An empty Host header is a host too; the library would put this machine's name there.
    host = request.headers.get("Host", "")
    return Caller(request.headers, host, body, request.remote or "")


async def _preflight(_request: web.Request) -> web.Response:
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT)


async def _refuse_route(_request: web.Request, *, status: int) -> web.Response:
    phrase = HTTPStatus(status).phrase
    return error_response(WireError(BAD_REQUEST, f"{phrase}."), status)


def error_response(error: WireError, status: int) -> web.Response:
    """Return an answer of the service that says what went wrong."""
    return _json_response(wire.http_error_body(error), status)


def internal_failure() -> web.Response:
    """Return the answer to a request that hit a bug of the emulator."""
    return error_response(INTERNAL_FAILURE, HTTPStatus.INTERNAL_SERVER_ERROR)


def _json_response(body: bytes, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", headers=_CORS)


def _where_tokens_are(http_url: str, mode: AuthMode) -> list[str]:
    if mode not in {"user_pool", "oidc"}:
        return []
    address = http_url.removesuffix(wire.HTTP_PATH) + TOKENS_PATH
    return [f"// token: what {address} answers to POST {json.dumps({'mode': mode})}"]


def _auth(options: Options, mode: AuthMode) -> str:
    """Return what takes the place of a sign-in; there is no secret in it."""
    if mode == "iam":
        return (
            ", { Auth: { credentialsProvider: {\n"
            "  clearCredentialsAndIdentityId() {},\n"
            "  getCredentialsAndIdentityId: async () => ({ credentials: {\n"
            f"    accessKeyId: {json.dumps(options.iam_users[0].access_key_id)},\n"
            "    secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY } })\n"
            "} } }"
        )
    if mode in {"user_pool", "oidc"}:
        return (
            ", { Auth: { tokenProvider: { getTokens: async () => (\n"
            "  { accessToken: { toString: () => token, payload: {} } }) } } }"
        )
    return ""
