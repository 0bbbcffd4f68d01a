"""How users of AppSync Events prove who they are, at each step and in each auth mode.

Nothing here loads botocore unless the mode needs it. What is shown where: to connect, subscribe and
publish over WebSocket an authorization object, to publish over HTTP ordinary headers.
Source: docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol, November 2026.
"""

from typing import Protocol

import orjson

from harness.core.errors import NotInstalledError
from harness.net.addresses import origin
from harness.net.client import Access
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.client.tokens import TokenCredentials, listed_tokens

CONNECT_BODY = b"{}"
"""What is signed to connect."""


class Credentials(Protocol):
    """What the users of one worker show."""

    def ready(self, user: int) -> None:
        """Wait until a user has credentials; raises CredentialsError."""

    def authorization(self, user: int, body: bytes, *, reusable: bool) -> wire.Authorization:
        """Return what a user shows at one step, without waiting.

        Args:
            user: Number within its class; ``ready`` has been called for it.
            body: What is signed, where anything is.
            reusable: Whether the same body is signed for many.
        """

    def headers(self, body: bytes) -> dict[str, str]:
        """Return what is shown to publish a body over HTTP; raises CredentialsError."""

    def close(self) -> None:
        """Stop keeping credentials fresh."""


class FixedCredentials:
    """All clients present the same API key, or nothing."""

    def __init__(self, host: str, api_key: str) -> None:
        self._headers = {wire.API_KEY_HEADER: api_key}
        self._authorization = {"host": host, **self._headers}

    def ready(self, user: int) -> None:
        """Return at once."""

    def authorization(self, _user: int, _body: bytes, *, reusable: bool) -> wire.Authorization:  # noqa: ARG002 - a key signs nothing
        """Return the key with the host."""
        return self._authorization

    def headers(self, _body: bytes) -> dict[str, str]:
        """Return the header of a publish over HTTP."""
        return self._headers

    def close(self) -> None:
        """Do nothing."""


def credentials_for(access: Access, address: str) -> Credentials:
    """Return the credentials that a target asks for.

    Args:
        access: With the target's ``[auth]`` table.
        address: Where publishes over HTTP go, with the whole query.

    Raises:
        CredentialsError: If they cannot be had.
        NotInstalledError: If the mode needs botocore, which is not there.
    """
    try:
        return _credentials_for(access, address)
    except ImportError as error:
        mode = access.auth.mode if access.auth else ""
        raise NotInstalledError(f'auth.mode = "{mode}"', error, "aws") from None


def _credentials_for(access: Access, address: str) -> Credentials:
    auth, host = access.auth, origin(address)[1]
    if auth is None or auth.mode in ("api_key", "none"):
        return FixedCredentials(host, access.api_key)
    if auth.mode == "iam":
        from harness.systems.appsync_events.client.sigv4 import SignedCredentials  # noqa: PLC0415 - loads botocore

        return SignedCredentials(address, auth)
    if auth.mode == "cognito":
        from harness.systems.appsync_events.client.cognito import UserPoolTokens  # noqa: PLC0415 - loads botocore

        return TokenCredentials(host, UserPoolTokens(auth))
    return TokenCredentials(host, listed_tokens(auth))


def subscribe_body(channel: str) -> bytes:
    """Return what is signed to subscribe to a channel, as the message names it."""
    return orjson.dumps({"channel": channel})
