"""The credentials of a connection, and what AppSync Events has signed with Signature Version 4.

What is signed is always ``POST /event``, over HTTP with the query of the request, else with none.
Over WebSocket the body is not the text of the message but its channel and events, serialised anew;
see ``message_body``.

Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol, read November
2026; credentials in plain HTTP headers are what the official Swift and Android clients send.
Undocumented and decided here: credentials that are missing or unreadable are a bad request.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from multidict import CIMultiDictProxy

from harness.core.errors import RemoteProtocolError
from harness.emulation import signatures
from harness.emulation.signatures import RefusedSignature, Scope, Signed
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.operations import BAD_REQUEST, UNAUTHORIZED
from harness.systems.appsync_events.options import IamUser
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


SERVICE = "appsync"


def message_body(channel: str, events: Any = None) -> bytes:
    r"""Return what is signed for a subscribe, or with events for a publish over WebSocket.

    It is serialised anew from the parsed message, without HTML escapes, slash escapes or ``\u``
    for what is not ASCII, so the text of the message itself plays no part.
    """
    content = {"channel": channel} if events is None else {"channel": channel, "events": events}
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:
        return b""  # Nested deeper than any list of strings: no client signs this.


def verify(
    given: Mapping[str, str],
    body: bytes,
    *,
    query: str = "",
    request_host: str,
    users: Mapping[str, IamUser],
    region: str,
    now: datetime,
) -> IamUser | WireError:
    """Return whose signature this is, or why it is refused; see ``signatures.verify``.

    ``given`` is the authorization object or HTTP headers, by names in lower case.
    """
    signed = Signed(given, body, path=wire.HTTP_PATH, query=query)
    scope = Scope(region, SERVICE)
    user = signatures.verify(signed, request_host=request_host, users=users, scope=scope, now=now)
    if not isinstance(user, RefusedSignature):
        return user
    return UNAUTHORIZED if user.is_unknown else WireError(BAD_REQUEST, user.message)
