"""The API Gateway WebSocket emulator, and settings to paste for its clients."""

import json
import shlex
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from harness.emulation.worker import WorkerContext
from harness.systems.api_gateway_websocket import wire
from harness.systems.api_gateway_websocket.emulator.routes import Routes
from harness.systems.api_gateway_websocket.emulator.service import Service
from harness.systems.api_gateway_websocket.options import Options

BOTO_TITLE = "boto3:"
NOBODY = "// nobody may call @connections: iam_users is empty"


class ApiGatewayEmulator(Service):
    """One process of the emulator.

    Attributes:
        HTTP_PATH: The WebSocket address, and the base of the ``@connections`` API.
    """

    HTTP_PATH = REALTIME_PATH = wire.STAGE_PATH

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
        """Return a shell command that joins a channel of a running emulator and listens."""
        trust = f"NODE_EXTRA_CA_CERTS={ca_file} " if ca_file else ""
        key = f" -H {shlex.quote(f'Authorization: {api_key}')}" if api_key else ""
        address = "ws" + http_url.removeprefix("http")
        join = json.dumps({"action": "join", "channel": "/default/room-0"})
        return f"{trust}npx wscat -c {address}{key} -x '{join}' -w 60"

    @staticmethod
    def client_settings(options: Options, http_url: str) -> dict[str, str]:
        """Return settings for clients other than our own, by their title.

        Args:
            options: How the emulator is set up.
            http_url: Where it serves ``@connections``.
        """
        if not options.iam_users:
            return {BOTO_TITLE: NOBODY}
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
