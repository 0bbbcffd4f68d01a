"""What a user of the emulator pastes: a first connection, and a call of ``@connections``."""

import json
import shlex
from pathlib import Path

from harness.systems.api_gateway_websocket.options import Options

BOTO_TITLE = "boto3:"
NOBODY = "// nobody may call @connections: iam_users is empty"


def try_it(http_url: str, api_key: str, ca_file: Path | None) -> str:
    """Return a shell command that joins a channel of a running emulator and listens."""
    trust = f"NODE_EXTRA_CA_CERTS={ca_file} " if ca_file else ""
    key = f" -H {shlex.quote(f'Authorization: {api_key}')}" if api_key else ""
    address = "ws" + http_url.removeprefix("http")
    join = json.dumps({"action": "join", "channel": "/default/room-0"})
    return f"{trust}npx wscat -c {address}{key} -x '{join}' -w 60"


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
