"""Checks AWS Signature Version 4 as AppSync Events does: pure, no I/O.

What is signed is always ``POST /event`` with an empty query. Over WebSocket the body is not the
text of the message but its channel and events, serialised anew; see ``message_body``.

Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol and
docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request, read November 2026; which spellings
of the host real clients sign was observed. The sentences are those other AWS services answer with.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from harness.systems.appsync_events.operations import BAD_REQUEST, UNAUTHORIZED
from harness.systems.appsync_events.options import IamUser
from harness.systems.appsync_events.wire import WireError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "appsync"
TERMINATOR = "aws4_request"

MAX_SKEW = timedelta(minutes=5)
"""How far the time of a signature may be from now, either way."""

DATE_HEADER = "x-amz-date"
TOKEN_HEADER = "x-amz-security-token"  # noqa: S105 - the name of a header.

_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_AUTHORIZATION = re.compile(
    ALGORITHM + r"\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)
_PORT = re.compile(r":[0-9]+$")

_SHOWN = {
    "accept",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    DATE_HEADER,
    "x-amz-content-sha256",
    "x-amz-user-agent",
}
"""Signed headers whose values an error repeats; any other may be a secret."""


class _Signature(NamedTuple):
    """The parts of an ``Authorization`` header."""

    access_key_id: str
    scope: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str


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
    signature = _parse(given.get("authorization", ""))
    if signature is None:
        return _bad("Authorization requires Credential, SignedHeaders and Signature.")
    user = users.get(signature.access_key_id)
    if user is None or not _same(given.get(TOKEN_HEADER, ""), user.session_token):
        return UNAUTHORIZED
    refusal = _scope_refusal(signature, given.get(DATE_HEADER, ""), region, now)
    if refusal is not None:
        return refusal
    if "host" not in signature.headers or len(set(signature.headers)) < len(signature.headers):
        return _bad("SignedHeaders must include host, and no header twice.")
    key = _signing_key(user.secret_access_key, signature)
    for host in _spellings(given.get("host", ""), request_host):
        values = {"content-length": str(len(body)), **given, "host": host}
        text = _string_to_sign(signature, values, _canonical(signature.headers, values, body))
        if _same(signature.signature, _hmac(key, text).hex()):
            return user
    values = {"host": request_host, **given}
    return _mismatch(signature, values, body)


def _parse(authorization: str) -> _Signature | None:
    found = _AUTHORIZATION.fullmatch(authorization.strip())
    if found is None:
        return None
    credential, headers, signature = found.groups()
    access_key_id, *scope = credential.rsplit("/", 4)
    if len(scope) != 4 or scope[3] != TERMINATOR:  # noqa: PLR2004 - date, region, service, end.
        return None
    date, region, service, _ = scope
    names = tuple(headers.lower().split(";"))
    return _Signature(access_key_id, "/".join(scope), date, region, service, names, signature)


def _scope_refusal(
    signature: _Signature, date: str, region: str, now: datetime
) -> WireError | None:
    """Return what is wrong with where and when a signature is valid."""
    if signature.region != region:
        return _bad(f"Credential should be scoped to a valid region, {region}.")
    if signature.service != SERVICE:
        return _bad(f"Credential should be scoped to correct service: {SERVICE}.")
    try:
        signed_at = datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        signed_at = None
    if signed_at is None or not _DATE.fullmatch(date):
        return _bad("Authorization requires an X-Amz-Date of the form YYYYMMDDTHHMMSSZ.")
    if not date.startswith(signature.date):
        return _bad("Date in Credential scope does not match that of X-Amz-Date.")
    if abs(now - signed_at) > MAX_SKEW:
        state = "expired" if signed_at < now else "not yet current"
        return _bad(f"Signature {state}: {date} is more than 5 min. from {now:{_DATE_FORMAT}}.")
    return None


def _spellings(host: str, request_host: str) -> Iterable[str]:
    """Return each form in which a client may have signed the host, the given one first."""
    forms = [form for given in (host, request_host) for form in (given, _PORT.sub("", given))]
    return dict.fromkeys(forms)


def _canonical(names: Iterable[str], values: Mapping[str, str], body: bytes) -> str:
    """Return the canonical request over these headers, in this order."""
    lines = [f"{name}:{' '.join(values.get(name, '').split())}" for name in names]
    body_hash = hashlib.sha256(body).hexdigest()
    return "\n".join(["POST", "/event", "", *lines, "", ";".join(names), body_hash])


def _string_to_sign(signature: _Signature, values: Mapping[str, str], canonical: str) -> str:
    digest = hashlib.sha256(_bytes(canonical)).hexdigest()
    return "\n".join([ALGORITHM, values[DATE_HEADER], signature.scope, digest])


def _signing_key(secret: str, signature: _Signature) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in signature.scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, _bytes(text), "sha256")


def _same(found: str, expected: str) -> bool:
    """Compare in a time that tells nothing about what is expected."""
    return hmac.compare_digest(_bytes(found), _bytes(expected))


def _bytes(text: str) -> bytes:
    """Encode text from outside, which may hold lone surrogates."""
    return text.encode(errors="replace")


def _mismatch(signature: _Signature, given: Mapping[str, str], body: bytes) -> WireError:
    """Return the error for a wrong signature; its canonical string shows no secret."""
    names = signature.headers
    values = {name: given.get(name, "") if name in _SHOWN else "(hidden)" for name in names}
    canonical = _canonical(names, values, body)
    return _bad(
        "The request signature we calculated does not match the signature you provided. Check "
        "your AWS Secret Access Key and signing method. Consult the service documentation for "
        f"details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n"
    )


def _bad(message: str) -> WireError:
    return WireError(BAD_REQUEST, message)
