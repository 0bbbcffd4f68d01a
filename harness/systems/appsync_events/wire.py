"""The wire format of AppSync Events, for both sides: bytes in, bytes out, no I/O.

Every WebSocket message is a text frame that holds one JSON object; its payload bytes are what
these functions take and return. HTTP bodies are the same JSON.

Source: docs.aws.amazon.com/appsync/latest/eventapi, pages event-api-websocket-protocol and
publish-http, read November 2026; the shape of ``data`` (a string, not an array) and of errors
is what the service was observed to send.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from harness.core.errors import RemoteProtocolError
from harness.core.json_rules import read_json
from harness.core.outside_text import excerpt

SUBPROTOCOL = "aws-appsync-event-ws"
"""The subprotocol every client offers and the service selects."""

HEADER_PREFIX = "header-"
"""Start of the second subprotocol a client may offer: its credentials. Never selected."""

HTTP_PATH = "/event"
REALTIME_PATH = "/event/realtime"

API_KEY_HEADER = "x-api-key"

HTTP_OK = 200

MAX_EVENTS = 5
"""Events in one publish. Source: Service Quotas code L-B6E463BF."""

MAX_EVENT_BYTES = 240 * 1024
"""UTF-8 bytes of one event, 240 KB. Source: Service Quotas code L-F21064F0."""

MAX_REQUEST_BYTES = 1_258_291
"""UTF-8 bytes of all events of one publish, 1.2 MB. Source: Service Quotas code L-16CCBB05."""

Authorization = Mapping[str, str]
"""Names and values that authorise one operation: ``host`` and, say, ``x-api-key``."""


class WireError(NamedTuple):
    """One error as the service reports it.

    Attributes:
        error_type: The service's own name for it, such as ``UnauthorizedException``.
        message: Its sentence; empty where the service gives none.
        code: HTTP-like number, which only some connection errors carry.
    """

    error_type: str
    message: str = ""
    code: int | None = None


class EventResult(NamedTuple):
    """What became of one event of a publish.

    Attributes:
        identifier: The UUID the service gave the event.
        position: Its place in the request, from 0; ``index`` on the wire.
        error: Why it was not broadcast; None where it was.
    """

    identifier: str
    position: int
    error: WireError | None = None


class ServerMessage(NamedTuple):
    """A message from the service, as a client sees it.

    Attributes:
        type: Such as ``data``, ``ka`` or ``subscribe_success``.
        id: The subscription or operation it belongs to; empty where it names none.
        event: JSON text of the event; only in ``data``.
        errors: What went wrong; only in ``*_error`` and ``error``.
        body: The whole JSON object, for what is not lifted out.
    """

    type: str
    id: str
    event: str | None
    errors: tuple[WireError, ...]
    body: dict[str, Any]


def auth_subprotocol(authorization: Authorization) -> str:
    """Return credentials as the subprotocol that carries them: base64url without padding."""
    encoded = base64.urlsafe_b64encode(orjson.dumps(dict(authorization)))
    return HEADER_PREFIX + encoded.rstrip(b"=").decode()


def parse_auth_subprotocol(value: str) -> dict[str, str]:
    """Return the credentials in a ``header-…`` subprotocol.

    Raises:
        RemoteProtocolError: If it is not base64url of a JSON object of strings.
    """
    encoded = value.removeprefix(HEADER_PREFIX)
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        body = orjson.loads(text)
    except (binascii.Error, ValueError) as error:
        raise _bad_credentials("something else") from error
    if not isinstance(body, dict) or not all(isinstance(item, str) for item in body.values()):
        raise _bad_credentials("other JSON")
    return body


def _bad_credentials(found: str) -> RemoteProtocolError:
    """Return the error for undecodable credentials; never quotes them."""
    rule = "base64url of a JSON object of strings required"
    return RemoteProtocolError(f"subprotocol {HEADER_PREFIX}…", found, rule)


# What a client sends.


CONNECTION_INIT = b'{"type":"connection_init"}'
"""The optional first message of a connection, answered with ``connection_ack``."""


def subscribe(operation_id: str, channel: str, authorization: Authorization) -> bytes:
    """Return the message that subscribes to a channel; its id will mark each delivery."""
    return orjson.dumps(
        {
            "type": "subscribe",
            "id": operation_id,
            "channel": channel,
            "authorization": dict(authorization),
        }
    )


def publish(
    operation_id: str,
    channel: str,
    events: Sequence[str | bytes],
    authorization: Authorization,
) -> bytes:
    """Return the message that publishes 1-5 events, each given as JSON text."""
    return orjson.dumps(
        {
            "type": "publish",
            "id": operation_id,
            "channel": channel,
            "events": _texts(events),
            "authorization": dict(authorization),
        }
    )


def http_publish_body(channel: str, events: Sequence[str | bytes]) -> bytes:
    """Return the body of an HTTP publish of 1-5 events, each given as JSON text."""
    return orjson.dumps({"channel": channel, "events": _texts(events)})


def _texts(events: Sequence[str | bytes]) -> list[str]:
    return [event if isinstance(event, str) else event.decode() for event in events]


# What the service sends.


def connection_ack(timeout_ms: int) -> bytes:
    """Return the answer to ``connection_init``: give up after this much silence."""
    return orjson.dumps({"type": "connection_ack", "connectionTimeoutMs": timeout_ms})


KEEP_ALIVE = b'{"type":"ka"}'
"""The message that says only that the service is still there."""


def operation_message(message_type: str, operation_id: str) -> bytes:
    """Return a message of no more than these two, such as ``subscribe_success``."""
    return orjson.dumps({"type": message_type, "id": operation_id})


def publish_success(operation_id: str, results: Sequence[EventResult]) -> bytes:
    """Return the answer to a publish over WebSocket, with the outcome of each event."""
    body = {"type": "publish_success", "id": operation_id, **_result_lists(results)}
    return orjson.dumps(body)


def http_publish_reply(results: Sequence[EventResult]) -> bytes:
    """Return the body of the answer to an HTTP publish, with the outcome of each event."""
    return orjson.dumps(_result_lists(results))


_RESULT_LISTS = frozenset(("successful", "failed"))


def _result_lists(results: Sequence[EventResult]) -> dict[str, list[dict[str, Any]]]:
    """Return both lists; clients require both even when one is empty."""
    successful: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for identifier, position, error in results:
        if error is None:
            successful.append({"identifier": identifier, "index": position})
        else:
            reason = {"code": error.error_type, "message": error.message}
            failed.append({"identifier": identifier, "index": position, **reason})
    return {"successful": successful, "failed": failed}


def encode_event(event: str) -> bytes:
    """Return an event as it stands inside ``data``, to be encoded once for all subscribers."""
    return orjson.dumps(event)


def data(operation_id: str, event: str) -> bytes:
    """Return the delivery of one event to the subscription with this id."""
    return encoded_data(operation_id, encode_event(event))


def encoded_data(operation_id: str, encoded_event: bytes) -> bytes:
    """Return the delivery of an event that ``encode_event`` has encoded.

    The id must be valid, as ``parse_client_message`` has made sure: it is not escaped.
    """
    return b'{"type":"data","id":"%b","event":%b}' % (operation_id.encode(), encoded_event)


def error_message(message_type: str, operation_id: str, error: WireError) -> bytes:
    """Return an error of any type; an empty id is left out."""
    body: dict[str, Any] = {"type": message_type}
    if operation_id:
        body["id"] = operation_id
    return orjson.dumps({**body, "errors": [_error_body(error)]})


def http_error_body(error: WireError) -> bytes:
    """Return the body of an HTTP answer that refuses a publish."""
    return orjson.dumps({"errors": [_error_body(error)]})


def _error_body(error: WireError) -> dict[str, Any]:
    body: dict[str, Any] = {"errorType": error.error_type}
    if error.code is not None:
        body["errorCode"] = error.code
    if error.message:
        body["message"] = error.message
    return body


# How a client reads what the service sends.


def parse_server_message(payload: bytes | str) -> ServerMessage:
    """Decode a message from the service; types unknown to us pass through.

    Raises:
        RemoteProtocolError: If it is not a JSON object with a type, if its id is no string, or
            if it is ``data`` whose event is neither a string nor an array of one string.
    """
    try:
        body = read_json(payload)
    except ValueError as error:
        raise _bad_message("no JSON", "a JSON object required") from error
    if not isinstance(body, dict):
        raise _bad_message(f"JSON {type(body).__name__}", "a JSON object required")
    message_type, message_id = body.get("type"), body.get("id") or ""
    if not isinstance(message_type, str) or not isinstance(message_id, str):
        raise _bad_message("type or id that is no string", "strings required")
    event = _unwrap_event(body.get("event")) if message_type == "data" else None
    return ServerMessage(message_type, message_id, event, parse_errors(body), body)


def parse_http_reply(status: int, body: bytes) -> ServerMessage:
    """Return the answer to an HTTP publish as the message a WebSocket publisher would get.

    Args:
        status: HTTP status; any other than 200 refuses the publish.
        body: JSON, or from a gateway on the way anything at all.

    Returns:
        ``publish_success``, or ``publish_error`` with at least one error.

    Raises:
        RemoteProtocolError: If the status is 200 and the body lists neither events nor errors.
    """
    try:
        reply = read_json(body)
    except ValueError:
        reply = None
    reply = reply if isinstance(reply, dict) else {}
    errors = parse_errors(reply)
    text = excerpt(body, 200)
    if not errors and (status != HTTP_OK or reply.get("errors")):
        errors = (WireError(f"HTTP {status}", text),)
    if not errors and reply.keys().isdisjoint(_RESULT_LISTS):
        raise _bad_message(f"status 200 with {excerpt(body, 80)!r}", "a list of events required")
    return ServerMessage("publish_error" if errors else "publish_success", "", None, errors, reply)


def _unwrap_event(event: Any) -> str:
    """Return the event's text; other servers than AWS's send it in an array of one."""
    if isinstance(event, list) and len(event) == 1:
        event = event[0]
    if not isinstance(event, str):
        raise _bad_message("data without an event string", "a string of JSON required")
    return event


def parse_errors(body: Mapping[str, Any]) -> tuple[WireError, ...]:
    """Return the errors in a message or an HTTP body; whatever is malformed in them is left out.

    An error tells why something failed: a badly written one must not hide that it did.
    """
    listed = body.get("errors")
    items = listed if isinstance(listed, list) else []
    return tuple(_parse_error(item) for item in items if isinstance(item, dict))


def _parse_error(item: Mapping[str, Any]) -> WireError:
    error_type, message, code = item.get("errorType"), item.get("message"), item.get("errorCode")
    return WireError(
        error_type if isinstance(error_type, str) else "",
        message if isinstance(message, str) else "",
        code if isinstance(code, int) else None,
    )


def _bad_message(found: str, required: str) -> RemoteProtocolError:
    return RemoteProtocolError("message from the service", found, required)
