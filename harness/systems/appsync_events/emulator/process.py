"""The AppSync Events emulator, and settings to paste for its clients.

Source of the settings: docs.amplify.aws and aws-amplify 6.22.1, read November 2026. Amplify turns
any endpoint into ``wss://``, so it needs TLS.
"""

import json
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.emulator.routes import TOKENS_PATH, Routes
from harness.systems.appsync_events.emulator.service import Service
from harness.systems.appsync_events.options import AuthMode, Options

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
        self._routes = Routes(self)

    def application(self) -> web.Application:
        """Return the application to serve."""
        return self._routes.application()

    def background(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Return the clocks of the connections."""
        return [self._routes.clocks.run()]

    @property
    def stop_code(self) -> int:
        """Close code of connections when the emulator stops."""
        return self.options.undocumented.close_code

    @staticmethod
    def try_it(http_url: str, api_key: str, ca_file: Path | None) -> str:
        """Return a shell command that publishes one event to a running emulator."""
        trust = f" --cacert {ca_file}" if ca_file else ""
        body = """{"channel":"/default/room-0","events":["{\\"hello\\":1}"]}"""
        return f"curl{trust} -H 'x-api-key: {api_key}' -d '{body}' {http_url}"

    @staticmethod
    def client_settings(options: Options, http_url: str) -> dict[str, str]:
        """Return settings for clients other than our own, by their title.

        Args:
            options: How the emulator is set up.
            http_url: Where it takes publishes.
        """
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
