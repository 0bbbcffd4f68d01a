"""What AppSync Events has signed with AWS Signature Version 4: pure, no I/O.

What is signed is always ``POST /event`` with an empty query. Over WebSocket the body is not the
text of the message but its channel and events, serialised anew; see ``message_body``.

Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol, November 2026.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from harness.emulation import signatures
from harness.emulation.signatures import RefusedSignature, Scope, Signed
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.operations import BAD_REQUEST, UNAUTHORIZED
from harness.systems.appsync_events.options import IamUser
from harness.systems.appsync_events.wire import WireError

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
        return b""  # Nested deeper than any list of strings: nobody has signed this.


def verify(
    given: Mapping[str, str],
    body: bytes,
    *,
    request_host: str,
    users: Mapping[str, IamUser],
    region: str,
    now: datetime,
) -> IamUser | WireError:
    """Return whose signature this is, or why it is refused.

    Args:
        given: Names in lower case and values: the authorization object, or HTTP headers.
        body: What should have been signed.
        request_host: The HTTP request's own host, which some clients sign.
        users: Those known, by access key id.
        region: The API's.
        now: The time, with a time zone.
    """
    signed = Signed(given, body, path=wire.HTTP_PATH)
    scope = Scope(region, SERVICE)
    user = signatures.verify(signed, request_host=request_host, users=users, scope=scope, now=now)
    if not isinstance(user, RefusedSignature):
        return user
    return UNAUTHORIZED if user.is_stranger else WireError(BAD_REQUEST, user.message)
