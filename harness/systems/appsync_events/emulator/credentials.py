"""The two forms in which clients that open a connection say who they are.

Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol, read November
2026; credentials in plain HTTP headers are what the official Swift and Android clients send.
Undocumented and decided here: credentials that are missing or unreadable are a bad request.
"""

from collections.abc import Mapping, Sequence

from multidict import CIMultiDictProxy

from harness.core.errors import RemoteProtocolError
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.operations import BAD_REQUEST
from harness.systems.appsync_events.wire import WireError

NO_CREDENTIALS = WireError(BAD_REQUEST, "Credentials are missing or cannot be read.")


def offered_subprotocols(headers: CIMultiDictProxy[str]) -> list[str]:
    """Return the subprotocols that an upgrade request offers, on one header line or several."""
    lines = headers.getall("Sec-WebSocket-Protocol", [])
    return [value.strip() for line in lines for value in line.split(",")]


def presented_credentials(
    headers: Mapping[str, str], subprotocols: Sequence[str]
) -> Mapping[str, str] | WireError:
    """Return the credentials with which an upgrade request was sent, or why they cannot be read.

    They come as a ``header-…`` subprotocol or, from the Swift and Android clients, as plain HTTP
    headers.
    """
    encoded = [value for value in subprotocols if value.startswith(wire.HEADER_PREFIX)]
    if not encoded:
        given = {name.lower() for name in headers} & {wire.API_KEY_HEADER, "authorization"}
        return headers if given else NO_CREDENTIALS
    try:
        authorization = wire.parse_auth_subprotocol(encoded[0])
    except RemoteProtocolError:
        return NO_CREDENTIALS
    has_host = "host" in {name.lower() for name in authorization}
    return authorization if has_host else NO_CREDENTIALS
