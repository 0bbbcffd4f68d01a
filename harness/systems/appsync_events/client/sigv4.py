"""Users of AppSync Events who sign with AWS credentials, by botocore.

What is signed is always ``POST /event``; over HTTP with the query that is sent. A signature proves
the body and the moment, and the service takes it for five minutes, so users who open a connection
or subscribe to one channel show the same one for a minute: signing costs a run nothing that grows
with its joins.

Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol and
docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request, read November 2026.
"""

import logging
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import gevent
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from harness.core.outside_text import register_secret
from harness.net.addresses import host_header, is_encrypted
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.client.tokens import CredentialsError

SERVICE = "appsync"
REUSED_FOR_S = 60.0
"""How long one signature is shown again; the service takes it for 300 s."""

LOOK_EVERY_S = 15.0
"""How often temporary credentials are looked at; botocore replaces them 10 to 15 minutes ahead."""

REALTIME_HEADERS = {
    "accept": "application/json, text/javascript",
    "content-encoding": "amz-1.0",
    "content-type": "application/json; charset=UTF-8",
}
"""What is signed beside host and date to connect, subscribe or publish over WebSocket."""

_REGION_IN_HOST = re.compile(r"\.appsync(?:-realtime)?-api\.([a-z0-9-]+)\.amazonaws\.com")

LOGGER = logging.getLogger(__name__)


class SignedCredentials:
    """Signs for all users with the credentials that the AWS chain finds.

    Args:
        address: Where publishes over HTTP go, with the whole query.
        auth: The target's ``[auth]`` table.

    Raises:
        CredentialsError: If the chain finds no credentials, or nothing says which region.
    """

    def __init__(self, address: str, auth: Any) -> None:
        # Without the scheme's own port, as AWS's clients sign it.
        host = host_header(address).removesuffix(":443" if is_encrypted(address) else ":80")
        self._host, self._query = host, urlsplit(address).query
        session = aws_session(auth)
        try:
            self._source = session.get_credentials()
            found = _REGION_IN_HOST.search(host)
            self._region = (
                auth.region
                or (found[1] if found else None)
                or session.get_config_variable("region")
            )
            self._credentials = self._source.get_frozen_credentials() if self._source else None
        except BotoCoreError as error:
            raise CredentialsError("auth", first_line(error), "AWS credentials needed") from None
        if self._credentials is None:
            raise CredentialsError(
                "auth",
                "no AWS credentials found",
                'mode = "iam" signs with them',
                "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or auth.profile",
            )
        if not self._region:
            rule, hint = "signatures name one", "write auth.region, or set AWS_REGION"
            raise CredentialsError("auth.region", "no AWS region found", rule, hint)
        self._made: dict[bytes, tuple[float, wire.Authorization]] = {}
        self._keeper = gevent.spawn(self._keep_fresh)

    def ready(self, user: int) -> None:
        """Return at once: all clients sign with the same credentials."""

    def authorization(self, _user: int, body: bytes, *, reusable: bool) -> wire.Authorization:
        """Return the signature of one step, made now or, where reusable, a moment ago."""
        if not reusable:
            return self._sign(body, REALTIME_HEADERS)
        now_s = time.monotonic()
        made_s, authorization = self._made.get(body, (-REUSED_FOR_S, {}))
        if now_s - made_s >= REUSED_FOR_S:
            authorization = self._sign(body, REALTIME_HEADERS)
            self._made[body] = now_s, authorization
        return authorization

    def headers(self, body: bytes) -> dict[str, str]:
        """Return the headers of a publish over HTTP with this body."""
        return self._sign(body, {"content-type": "application/json"}, self._query)

    def close(self) -> None:
        """Look after the credentials no more."""
        self._keeper.kill(block=False)

    def _sign(self, body: bytes, headers: Mapping[str, str], query: str = "") -> dict[str, str]:
        return signed(body, headers, self._host, self._credentials, self._region, query)

    def _keep_fresh(self) -> None:
        """Take temporary credentials that botocore has replaced; a greenlet's body."""
        while True:
            gevent.sleep(LOOK_EVERY_S)
            try:
                fresh = self._source.get_frozen_credentials()
            except (BotoCoreError, ClientError) as error:
                LOGGER.warning("AWS credentials: %s; the old ones sign for now", first_line(error))
                continue
            if fresh != self._credentials:
                self._credentials = fresh
                self._made.clear()


def signed(
    body: bytes,
    headers: Mapping[str, str],
    host: str,
    credentials: Any,
    region: str,
    query: str = "",
) -> dict[str, str]:
    """Return headers with host, date and signature of a request, or of a message as one."""
    if credentials.token:
        register_secret("AWS_SESSION_TOKEN", credentials.token)
    given = {**headers, "host": host}
    # As parameters, which botocore encodes as the service does before it compares.
    params = parse_qsl(query, keep_blank_values=True)
    url = f"https://{host}{wire.HTTP_PATH}"
    request = AWSRequest("POST", url, given, data=body, params=params)
    SigV4Auth(credentials, SERVICE, region).add_auth(request)
    return dict(request.headers.items())


def aws_session(auth: Any) -> Any:
    """Return botocore's session for an ``[auth]`` table, with its talk of requests turned off.

    At the level of debugging botocore logs what it sends, passwords and session tokens included.

    Raises:
        CredentialsError: If the profile does not exist.
    """
    logging.getLogger("botocore").setLevel(logging.INFO)
    session = Session(profile=auth.profile)
    try:
        session.get_scoped_config()
    except BotoCoreError as error:
        rule = "an AWS profile of that name is needed"
        raise CredentialsError("auth.profile", first_line(error), rule) from None
    return session


def first_line(error: Exception) -> str:
    """Return the beginning of what an error says."""
    return str(error).partition("\n")[0].rstrip(".")
