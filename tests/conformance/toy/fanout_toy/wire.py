"""The messages of the toy system."""

from typing import Any

import orjson

from harness.core.errors import RemoteProtocolError

SUBPROTOCOL = "toy"
KEY_PARAMETER = "key"
REALTIME_PATH = "/toy"
HTTP_PATH = "/toy/publish"


def message(**keys: object) -> bytes:
    """Return a message of either side."""
    return orjson.dumps(keys)


def parse(payload: bytes) -> dict[str, Any]:
    """Return a message of the server's.

    Raises:
        RemoteProtocolError: If it is no JSON object.
    """
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise RemoteProtocolError("toy message", repr(payload[:80]), "a JSON object was needed")
    return found
