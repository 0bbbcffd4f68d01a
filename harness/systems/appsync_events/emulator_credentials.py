"""Who may open a connection to the emulator, and the two forms in which clients say who they are.

Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol, read November
2026; credentials in plain HTTP headers are what the official Swift and Android clients send.
Undocumented and decided here: credentials that are missing or unreadable are a bad request.
"""

from collections.abc import Mapping, Sequence

from multidict import CIMultiDictProxy

from harness.core.errors import RemoteProtocolError
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.emulator_service import UNAUTHORIZED, Service
from harness.systems.appsync_events.operations import BAD_REQUEST
from harness.systems.appsync_events.wire import WireError

NO_CREDENTIALS = WireError(BAD_REQUEST, "Credentials are missing or cannot be read.")


def offered_subprotocols(headers: CIMultiDictProxy[str]) -> list[str]:
    """Return the subprotocols that an upgrade request offers, on one header line or several."""
    lines = headers.getall("Sec-WebSocket-Protocol", [])
    return [value.strip() for line in lines for value in line.split(",")]


def connect_refusal(
    service: Service, headers: Mapping[str, str], subprotocols: Sequence[str]
) -> WireError | None:
    """Return why an upgrade request does not let its sender in; None where it does.

    Credentials come as a ``header-…`` subprotocol or, from the Swift and Android clients, as
    plain HTTP headers.
    """
    encoded = [value for value in subprotocols if value.startswith(wire.HEADER_PREFIX)]
    if not encoded:
        given = {name.lower() for name in headers} & {wire.API_KEY_HEADER, "authorization"}
        return _with_code(service.refusal(headers)) if given else NO_CREDENTIALS
    try:
        authorization = wire.parse_auth_subprotocol(encoded[0])
    except RemoteProtocolError:
        return NO_CREDENTIALS
    if "host" not in {name.lower() for name in authorization}:
        return NO_CREDENTIALS
    return _with_code(service.refusal(authorization))


def _with_code(refusal: WireError | None) -> WireError | None:
    """Give a refusal the number that the service sends in connection errors only."""
    return refusal._replace(code=401) if refusal == UNAUTHORIZED else refusal
