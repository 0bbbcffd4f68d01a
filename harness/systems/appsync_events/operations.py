"""What clients may ask of AppSync Events, parsed and checked as the service does: no I/O.

Every refusal carries the error type of the service, or, where it is undocumented, one that
its clients take as final: ``BadRequestException`` for what is malformed.

Source: docs.aws.amazon.com/appsync/latest/eventapi, pages event-api-websocket-protocol and
publish-http, read November 2026; the two forms of the five-event error were observed.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import (
    ChannelError,
    Segments,
    is_wildcard,
    normalise_channel,
)
from harness.systems.appsync_events.wire import WireError

BAD_REQUEST = "BadRequestException"
INVALID_INPUT = "InvalidInputError"

UNAUTHORIZED = WireError("UnauthorizedException", "You are not authorized to make this call.")
UNKNOWN_NAMESPACE = WireError("UnauthorizedException")
"""The service gives no sentence for it."""

REQUEST_TOO_LARGE = "Request is too large."

_KINDS = {
    UNAUTHORIZED.error_type: (HTTPStatus.UNAUTHORIZED, "unauthorized"),
    "LimitExceededError": (HTTPStatus.TOO_MANY_REQUESTS, "throttled"),
}

_ID = re.compile(r"[A-Za-z0-9_+-]{1,128}")
_OPERATIONS = ("subscribe", "unsubscribe", "publish")
_SILENT = ("connection_init", "ka")


class RejectedMessageError(Exception):
    """A client's message that is answered with an error and otherwise ignored.

    Args:
        message_type: Type of the answer, such as ``publish_error``.
        operation_id: The client's id for the operation; empty where it gave no valid one.
    """

    def __init__(
        self, error: WireError, message_type: str = "error", operation_id: str = ""
    ) -> None:
        super().__init__(error, message_type, operation_id)
        self.error = error
        self.message_type = message_type
        self.operation_id = operation_id

    def __str__(self) -> str:
        return f"{self.message_type}: {self.error.error_type}: {self.error.message}"

    def payload(self) -> bytes:
        """Return the answer as a WebSocket message."""
        return wire.error_message(self.message_type, self.operation_id, self.error)


class Refusal(NamedTuple):
    """Why something is not done that a client asked for.

    Attributes:
        cause: What it is counted as.
    """

    error: WireError
    status: HTTPStatus
    cause: str


def refusal(error: WireError) -> Refusal:
    """Return a refusal with the status and the cause that an error of the service has."""
    status, cause = _KINDS.get(error.error_type, (HTTPStatus.BAD_REQUEST, "bad_request"))
    if error.message == REQUEST_TOO_LARGE:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return Refusal(error, status, cause)


class ClientMessage(NamedTuple):
    """A message from a client, sound in its form; channel and events are not yet checked.

    Attributes:
        type: ``connection_init``, ``ka``, ``subscribe``, ``unsubscribe`` or ``publish``.
        id: The client's id for the operation; empty for the first two.
        body: The whole JSON object; keys that no rule names are ignored.
    """

    type: str
    id: str
    body: Mapping[str, Any]

    @property
    def authorization(self) -> dict[str, str]:
        """The credentials in the message; empty where it has none, or none of the right form."""
        found = self.body.get("authorization")
        items = found.items() if isinstance(found, dict) else ()
        return {name: value for name, value in items if isinstance(value, str)}


def parse_client_message(payload: bytes | str) -> ClientMessage:
    """Decode a text message from a client.

    Raises:
        RejectedMessageError: If it is no JSON object, its type is unknown, or its id is
            missing or invalid.
    """
    body = parse_object(payload, "Message")
    message_type, found_id = body.get("type"), body.get("id")
    operation_id = found_id if isinstance(found_id, str) and _ID.fullmatch(found_id) else ""
    if message_type in _SILENT:
        return ClientMessage(message_type, "", body)
    if message_type not in _OPERATIONS:
        unknown = WireError("UnsupportedOperation", "Operation not supported.")
        raise RejectedMessageError(unknown, operation_id=operation_id)
    if not operation_id:
        rule = WireError(BAD_REQUEST, "An id of 1-128 letters, digits, '-', '_', '+' is required.")
        raise RejectedMessageError(rule, f"{message_type}_error")
    return ClientMessage(message_type, operation_id, body)


def parse_object(text: bytes | str, what: str) -> dict[str, Any]:
    """Decode a message, or the body of an HTTP publish.

    Raises:
        RejectedMessageError: If it is no JSON object; the error calls it ``what``.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        rejected = WireError(BAD_REQUEST, f"{what} is not valid JSON.")
        raise RejectedMessageError(rejected) from error
    if not isinstance(found, dict):
        raise RejectedMessageError(WireError(BAD_REQUEST, f"{what} is not a JSON object."))
    return found


def checked_channel(body: Mapping[str, Any], *, wildcard_allowed: bool) -> Segments | WireError:
    """Return the channel of a subscribe or publish in normal form, or why it is refused."""
    channel = body.get("channel")
    if not isinstance(channel, str):
        return WireError(BAD_REQUEST, "A channel is required.")
    try:
        segments = normalise_channel(channel)
    except ChannelError:
        return WireError(BAD_REQUEST, "Channel name is not valid.")
    if is_wildcard(segments) and not wildcard_allowed:
        return WireError(BAD_REQUEST, "Cannot publish to a wildcard channel.")
    return segments


def checked_events(
    body: Mapping[str, Any], *, over_http: bool, request_bytes: int = wire.MAX_REQUEST_BYTES
) -> list[str] | WireError:
    """Return the events of a publish, or why the whole request is refused.

    An event that is only too large does not fail the request; see ``event_error``.

    Args:
        body: The publish.
        over_http: Chooses between the two error types the service uses for broken limits.
        request_bytes: What all events may have together.
    """
    events = body.get("events")
    if not isinstance(events, list):
        return WireError(BAD_REQUEST, "A list of events is required.")
    limit_error = BAD_REQUEST if over_http else INVALID_INPUT
    if len(events) > wire.MAX_EVENTS:
        text = f"nput exceeded {wire.MAX_EVENTS} event limit"
        return WireError(limit_error, ("I" if over_http else "i") + text)
    if not events:
        return WireError(limit_error, "At least one event is required.")
    if not all(isinstance(event, str) and _is_json(event) for event in events):
        return WireError(BAD_REQUEST, "Each event must be a string of valid JSON.")
    if sum(map(size_bytes, events)) > request_bytes:
        return WireError(limit_error, REQUEST_TOO_LARGE)
    return events


def event_error(event: str, event_bytes: int = wire.MAX_EVENT_BYTES) -> WireError | None:
    """Return why this one event is not broadcast, as it left its handler; None where it is."""
    if size_bytes(event) <= event_bytes:
        return None
    message = f"Transformed event is larger than {event_bytes // 1024}KB"
    return WireError("EventTooLargeException", message)


def size_bytes(event: str) -> int:
    """Return the size of an event in UTF-8."""
    return len(event) if event.isascii() else len(event.encode())


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
