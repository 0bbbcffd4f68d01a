"""What goes over an API Gateway WebSocket API: frames of clients, answers, addresses. No I/O.

A client's frame is a JSON object in which one key, mostly ``action``, selects the route. What the
backend sends back for it, if the route has a response, is up to the backend, and so is what it
posts to others: the service itself only has its error frame.
Source: docs.aws.amazon.com/apigateway/latest/developerguide, "Overview of WebSocket APIs in API
Gateway" and "Use @connections commands in your backend service", read November 2026.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from harness.core.json_rules import Rules, matches_all, read_json, text_at

STAGE = "production"
"""The stage of the emulated API; of a real one it stands in the target's addresses."""

STAGE_PATH = f"/{STAGE}"
CONNECTIONS_PATH = f"{STAGE_PATH}/@connections/"

FRAME_BYTES = 32 * 1024
"""Longest payload of a frame; longer messages come in several. Source: quotas of WebSocket APIs."""

TOO_MANY_REQUESTS = "Too Many Requests"
LIMIT_EXCEEDED = "Limit Exceeded"
THROTTLED = frozenset((TOO_MANY_REQUESTS, LIMIT_EXCEEDED))
"""Words of an error frame that mean "too much": assumed, no source gives those of a WebSocket API.

They are those of the gateway responses THROTTLED and QUOTA_EXCEEDED of REST APIs.
"""

FORBIDDEN = "Forbidden"
"""No route matches a frame and the API has no ``$default``."""
AT_ONCE = THROTTLED | {FORBIDDEN}
"""What the service says without asking the backend, so most likely of the newest frame."""

INTERNAL_SERVER_ERROR = "Internal server error"
"""The route's integration failed."""
TIMED_OUT = "Endpoint request timed out"
LONGEST_INTEGRATION_S = 29.0
"""The service answers ``TIMED_OUT`` then. Source: "Integration timeout" in the quotas."""


_ERROR_KEYS = {"message", "connectionId", "requestId"}


class ErrorFrame(NamedTuple):
    """The service's own answer to a frame it could not serve.

    Attributes:
        message: What is wrong; the only part that differs by cause.
        connection_id: Of the connection it came by.
        request_id: Of the frame that is answered.
    """

    message: str
    connection_id: str
    request_id: str

    def encode(self) -> bytes:
        """Return it as JSON."""
        ids = {"connectionId": self.connection_id, "requestId": self.request_id}
        return orjson.dumps({"message": self.message, **ids})


def request(keys: Mapping[str, str], data_key: str = "", data: bytes = b"") -> bytes:
    """Return a client's frame.

    Args:
        keys: Action, channel and whatever else the route needs, by their keys.
        data_key: Where ``data`` goes; empty for a frame without it.
        data: JSON, taken as it is.
    """
    body: dict[str, Any] = dict(keys)
    if data_key:
        body[data_key] = orjson.Fragment(data)
    return orjson.dumps(body)


def parse(payload: bytes) -> Any:
    """Return the JSON value a client received; None for what is no JSON: a backend may send it."""
    try:
        return read_json(payload)
    except ValueError:
        return None


def error_of(body: Any) -> ErrorFrame | None:
    """Return the service's error frame; None for all that has other keys, more or less."""
    if not isinstance(body, dict) or body.keys() != _ERROR_KEYS:
        return None
    error = ErrorFrame(body["message"], body["connectionId"], body["requestId"])
    return error if all(isinstance(each, str) for each in error) else None


def words_of(text: str) -> str:
    """Return what an error says, without the ids that make each of them another."""
    try:
        body = read_json(text)
    except ValueError:
        return text
    return text_at(body, "message") if isinstance(body, dict) and "message" in body else text


def answered_id(body: Any, id_key: str) -> str | None:
    """Return the id that an answer of the backend repeats; None where it repeats none."""
    found = body.get(id_key) if isinstance(body, dict) else None
    return str(found) if isinstance(found, str | int) else None


def is_answer(payload: bytes, body: Any, wanted: str | Rules) -> bool:
    """Return whether a frame is the answer that a target describes.

    Args:
        payload: The frame.
        body: The same as JSON.
        wanted: All of its text, or what its JSON has; nothing describes no answer.
    """
    if isinstance(wanted, str):
        return payload == wanted.encode()
    return matches_all(body, wanted)
