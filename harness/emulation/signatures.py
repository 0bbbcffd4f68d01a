"""Checks AWS Signature Version 4 as AWS services do: pure, no I/O.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request, read November 2026; which
spellings of the host real clients sign was observed. The sentences are those AWS services answer
with.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote

from harness.scenario.emulator import Credentials

CredentialsT = TypeVar("CredentialsT", bound=Credentials)

ALGORITHM = "AWS4-HMAC-SHA256"

MAX_SKEW = timedelta(minutes=5)
"""How far the time of a signature may be from now, either way."""

DATE_HEADER = "x-amz-date"
TOKEN_HEADER = "x-amz-security-token"  # noqa: S105 - the name of a header.

_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_AUTHORIZATION = re.compile(
    ALGORITHM + r"\s+Credential=([^,\s]*)/(([^,/\s]*)/([^,/\s]*)/([^,/\s]*)/aws4_request),"
    r"\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
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


class Signed(NamedTuple):
    """What should have been signed.

    Attributes:
        headers: Names in lower case and values, the signature's own among them.
        path: Canonical URI, encoded as often as the service wants it.
        query: As it was sent.
    """

    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    path: str = "/"
    query: str = ""


class Scope(NamedTuple):
    """Where a signature is valid."""

    region: str
    service: str


class RefusedSignature(NamedTuple):
    """Why a signature is refused.

    Attributes:
        message: What is wrong with it.
        is_unknown: Whether the credentials are unknown; else the signature itself is wrong.
    """

    message: str
    is_unknown: bool = False


def verify(
    signed: Signed,
    *,
    request_host: str,
    users: Mapping[str, CredentialsT],
    scope: Scope,
    now: datetime,
) -> CredentialsT | RefusedSignature:
    """Return whose signature this is, or why it is refused.

    Users are known by access key id. Some clients sign ``request_host``, the HTTP request's own.
    """
    given = signed.headers
    signature = _parse(given.get("authorization", ""))
    if signature is None:
        return RefusedSignature("Authorization requires Credential, SignedHeaders and Signature.")
    user = users.get(signature.access_key_id)
    if user is None or not _same(given.get(TOKEN_HEADER, ""), user.session_token):
        return RefusedSignature("The security token included in the request is invalid.", True)
    if refused := _scope_refusal(signature, given.get(DATE_HEADER, ""), scope, now):
        return RefusedSignature(refused)
    if "host" not in signature.headers or len(set(signature.headers)) < len(signature.headers):
        return RefusedSignature("SignedHeaders must include host, and no header twice.")
    key = _signing_key(user.secret_access_key, signature)
    for host in _spellings(given.get("host", ""), request_host):
        values = {"content-length": str(len(signed.body)), **given, "host": host}
        text = _string_to_sign(signature, values, _canonical(signature.headers, values, signed))
        if _same(signature.signature, _hmac(key, text).hex()):
            return user
    values = {"host": request_host, **given}
    return RefusedSignature(_mismatch(signature, values, signed))


def _parse(authorization: str) -> _Signature | None:
    found = _AUTHORIZATION.fullmatch(authorization.strip())
    if found is None:
        return None
    access_key_id, scope, date, region, service, headers, signature = found.groups()
    names = tuple(headers.lower().split(";"))
    return _Signature(access_key_id, scope, date, region, service, names, signature)


def _scope_refusal(signature: _Signature, date: str, scope: Scope, now: datetime) -> str:
    """Return what is wrong with where and when a signature is valid; empty if nothing is."""
    if signature.region != scope.region:
        return f"Credential should be scoped to a valid region, {scope.region}."
    if signature.service != scope.service:
        return f"Credential should be scoped to correct service: {scope.service}."
    try:
        signed_at = datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        signed_at = None
    if signed_at is None or not _DATE.fullmatch(date):
        return "Authorization requires an X-Amz-Date of the form YYYYMMDDTHHMMSSZ."
    if not date.startswith(signature.date):
        return "Date in Credential scope does not match that of X-Amz-Date."
    if abs(now - signed_at) > MAX_SKEW:
        state = "expired" if signed_at < now else "not yet current"
        return f"Signature {state}: {date} is more than 5 min. from {now:{_DATE_FORMAT}}."
    return ""


def _spellings(host: str, request_host: str) -> Iterable[str]:
    """Return each form in which a client may have signed the host, the given one first."""
    forms = [form for given in (host, request_host) for form in (given, _PORT.sub("", given))]
    return dict.fromkeys(forms)


def _canonical(names: Iterable[str], values: Mapping[str, str], signed: Signed) -> str:
    """Return the canonical request over these headers, in this order."""
    lines = [f"{name}:{' '.join(values.get(name, '').split())}" for name in names]
    body_hash = hashlib.sha256(signed.body).hexdigest()
    first = (signed.method, signed.path, _canonical_query(signed.query))
    return "\n".join([*first, *lines, "", ";".join(names), body_hash])


def _canonical_query(query: str) -> str:
    """Return a query with its parameters encoded in one way, and sorted."""
    pairs = parse_qsl(query, keep_blank_values=True)
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


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


def _mismatch(signature: _Signature, given: Mapping[str, str], signed: Signed) -> str:
    """Return what to say of a wrong signature; the canonical string in it shows no secret."""
    names = signature.headers
    values = {name: given.get(name, "") if name in _SHOWN else "(hidden)" for name in names}
    canonical = _canonical(names, values, signed)
    return (
        "The request signature we calculated does not match the signature you provided. Check "
        "your AWS Secret Access Key and signing method. Consult the service documentation for "
        f"details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n"
    )
