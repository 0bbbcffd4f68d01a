"""Authorisation of connects, subscribes and publishes, in every auth mode.

The credentials determine the auth mode, which must be one of those that the API, or the namespace,
accepts for this step. The mode of a connection does not affect the operations on it.

Source: docs.aws.amazon.com/appsync/latest/eventapi, pages configure-event-api-auth and
event-api-websocket-protocol, and .../context-reference for identities, read November 2026. How
the service tells the token of a Lambda authorizer from a JWT is undocumented; decided here: by its
form, where both modes are accepted.
"""

import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from harness.emulation.signatures import ALGORITHM
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.emulator import credentials
from harness.systems.appsync_events.emulator.lambda_authorizer import (
    Authorizer,
    Operation,
    Question,
)
from harness.systems.appsync_events.emulator.tokens import (
    Issuer,
    TokenMode,
    TokenRefusedError,
    TokenVerifier,
    issuer_of,
    make_key_pair,
    settings_of,
)
from harness.systems.appsync_events.operations import UNAUTHORIZED
from harness.systems.appsync_events.options import AuthMode, IamUser, Namespace, Options, Statement
from harness.systems.appsync_events.wire import WireError

CONNECT = "appsync:EventConnect"
SUBSCRIBE = "appsync:EventSubscribe"
PUBLISH = "appsync:EventPublish"


def resource_arn(options: Options, namespace: str) -> str:
    """Return what a subscribe or publish is done to; with no namespace, a connect."""
    api = f"arn:aws:appsync:{options.region}:{options.account_id}:apis/{options.api_id}"
    return f"{api}/channelNamespace/{namespace}" if namespace else api


def allows(statements: Sequence[Statement], action: str, resource: str) -> bool:
    """Say whether these statements let an action be done to a resource, as IAM evaluates them.

    Nothing is allowed by itself, and a deny wins over any allow. Names of actions have no case.
    Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic, read
    November 2026.
    """
    effects = {
        statement.effect
        for statement in statements
        if any(_pattern(text, re.IGNORECASE).fullmatch(action) for text in statement.actions)
        and any(_pattern(text, re.NOFLAG).fullmatch(resource) for text in statement.resources)
    }
    return effects == {"allow"}


@cache
def _pattern(text: str, flags: re.RegexFlag) -> re.Pattern[str]:
    """Return what a text with wildcards matches: ``*`` any characters, ``?`` any one."""
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), flags | re.DOTALL)


LOGGER = logging.getLogger(__name__)

TOKEN_MODES: tuple[TokenMode, ...] = ("user_pool", "oidc")

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_BEARER = "bearer "
_NOTHING_SIGNED = b"{}"

_ACTIONS: dict[Operation, str] = {
    "EVENT_CONNECT": CONNECT,
    "EVENT_SUBSCRIBE": SUBSCRIBE,
    "EVENT_PUBLISH": PUBLISH,
}


class Identity(NamedTuple):
    """An authorised caller.

    Attributes:
        claims: ``ctx.identity`` of handlers; None for an API key.
    """

    mode: AuthMode
    claims: Mapping[str, Any] | None


class Caller(NamedTuple):
    """The HTTP request that something came by: a publish, or the upgrade of the connection.

    Attributes:
        host: Its ``Host``; may be empty.
        body: As received; empty for an upgrade.
        address: Where it came from, as handlers see it.
        query: As received; empty for an upgrade, whose query no client signs.
    """

    headers: Mapping[str, str]
    host: str
    body: bytes = b""
    address: str = "127.0.0.1"
    query: str = ""

    def __repr__(self) -> str:
        return f"Caller({self.address}, {len(self.headers)} headers, {len(self.body)} bytes)"


class Request(NamedTuple):
    """A publish or subscribe, and who asks for it.

    Attributes:
        body: The message or the body of the HTTP request.
        caller: The HTTP request that brought it, or opened its connection.
        over_http: Whether it is a request of its own, whose body was signed as it came.
    """

    body: Mapping[str, Any]
    authorization: Mapping[str, str]
    caller: Caller
    over_http: bool = False


class _Step(NamedTuple):
    """One operation to authorise; a connect has neither namespace nor channel."""

    operation: Operation
    allowed: tuple[AuthMode, ...]
    signed: Callable[[], bytes]
    namespace: str = ""
    channel: str = ""


class Access:
    """Authorises callers.

    Args:
        clock: Returns the time in seconds since 1970.

    Attributes:
        issuer: Issues tokens; None where it accepts no tokens of its own.

    Raises:
        ScenarioError: If a file or function that the options name cannot be loaded.
    """

    def __init__(
        self, options: Options, folder: Path, clock: Callable[[], float] = time.time
    ) -> None:
        if _issues_tokens(options):
            make_key_pair(folder)
        self._options = options
        self._clock = clock
        self._api_keys = [
            (api_key.key.encode(), api_key.expires.timestamp() if api_key.expires else None)
            for api_key in options.api_keys
        ]
        self._users = {user.access_key_id: user for user in options.iam_users}
        self._tokens = {
            mode: TokenVerifier(mode, options, folder, clock)
            for mode in TOKEN_MODES
            if mode in options.auth_modes
        }
        settings = options.lambda_authorizer
        self._authorizer = Authorizer(settings, options) if settings else None
        self.issuer = Issuer(options, folder) if _issues_tokens(options) else None

    async def connect(
        self, authorization: Mapping[str, str], caller: Caller
    ) -> Identity | WireError:
        """Return who connects, or why they may not."""
        allowed = self._options.connection_auth_modes
        step = _Step("EVENT_CONNECT", allowed, lambda: _NOTHING_SIGNED)
        return await self._check(step, authorization, caller)

    async def subscribe(
        self, namespace: Namespace, channel: str, request: Request
    ) -> Identity | WireError:
        """Return who subscribes to a channel, as the message names it, or why they may not."""
        modes = namespace.subscribe_auth_modes or self._options.default_subscribe_auth_modes
        signed = partial(credentials.message_body, channel)
        step = _Step("EVENT_SUBSCRIBE", modes, signed, namespace.name, channel)
        return await self._check(step, request.authorization, request.caller)

    async def publish(
        self, namespace: Namespace, channel: str, request: Request
    ) -> Identity | WireError:
        """Return who publishes to a channel, as the message names it, or why they may not."""

        def signed() -> bytes:
            if request.over_http:
                return request.caller.body
            return credentials.message_body(channel, request.body.get("events", []))

        modes = namespace.publish_auth_modes or self._options.default_publish_auth_modes
        step = _Step("EVENT_PUBLISH", modes, signed, namespace.name, channel)
        return await self._check(step, request.authorization, request.caller)

    async def _check(
        self, step: _Step, authorization: Mapping[str, str], caller: Caller
    ) -> Identity | WireError:
        """Check credentials; an API key first, where the mode is accepted."""
        given = {name.lower(): value for name, value in authorization.items()}
        key = given.get(wire.API_KEY_HEADER)
        if key is not None and "api_key" in step.allowed:
            return _API_KEY_IDENTITY if self._knows(key) else UNAUTHORIZED
        shown = given.get("authorization", "")
        if shown.startswith(ALGORITHM):
            return self._check_signature(step, given, caller)
        token = shown[len(_BEARER) :] if shown.lower().startswith(_BEARER) else shown
        modes = [mode for mode in TOKEN_MODES if mode in step.allowed]
        if modes and ("lambda" not in step.allowed or _JWT.fullmatch(token)):
            return self._check_token(modes, token, caller)
        if shown and "lambda" in step.allowed:
            return await self._ask_lambda(step, shown, caller)
        return UNAUTHORIZED

    def _knows(self, key: str) -> bool:
        """Say whether this is an API key that has not expired."""
        offered, now_s = key.encode(errors="replace"), self._clock()
        # Each key is compared, in constant time: how long it takes tells nothing about any.
        known = [
            hmac.compare_digest(offered, api_key) and (expires_s is None or now_s < expires_s)
            for api_key, expires_s in self._api_keys
        ]
        return any(known)

    def _check_signature(
        self, step: _Step, given: Mapping[str, str], caller: Caller
    ) -> Identity | WireError:
        if "iam" not in step.allowed:
            return UNAUTHORIZED
        user = credentials.verify(
            given,
            step.signed(),
            query=caller.query,
            request_host=caller.host,
            users=self._users,
            region=self._options.region,
            now=datetime.fromtimestamp(self._clock(), UTC),
        )
        if isinstance(user, WireError):
            return user
        resource = resource_arn(self._options, step.namespace)
        if not allows(user.statements, _ACTIONS[step.operation], resource):
            return UNAUTHORIZED
        return Identity("iam", _iam_claims(user, caller))

    def _check_token(
        self, modes: list[TokenMode], token: str, caller: Caller
    ) -> Identity | WireError:
        for mode in modes:
            try:
                claims = self._tokens[mode].claims(token)
            except TokenRefusedError as refused:
                LOGGER.info("%s: %s", mode, refused)
            else:
                issuer = issuer_of(mode, self._options)
                return Identity(mode, _TOKEN_CLAIMS[mode](claims, issuer, caller))
        return UNAUTHORIZED

    async def _ask_lambda(self, step: _Step, token: str, caller: Caller) -> Identity | WireError:
        if self._authorizer is None:
            return UNAUTHORIZED
        channel = f"/{step.channel.strip('/')}" if step.channel else ""
        question = Question(step.operation, token, step.namespace, channel)
        answer = await self._authorizer.answer(question, caller.headers)
        if answer is None or not answer.is_authorized:
            return UNAUTHORIZED
        return Identity("lambda", {"handlerContext": answer.handler_context})


def _issues_tokens(options: Options) -> bool:
    return any(
        mode in options.auth_modes and settings_of(mode, options).jwks_file is None
        for mode in TOKEN_MODES
    )


_API_KEY_IDENTITY = Identity("api_key", None)


def _iam_claims(user: IamUser, caller: Caller) -> dict[str, Any]:
    account = user.arn.split(":")[4:5]
    return {
        "accountId": account[0] if account else "",
        "cognitoIdentityPoolId": None,
        "cognitoIdentityId": None,
        "sourceIp": [caller.address],
        "username": user.arn.rpartition("/")[2],
        "userArn": user.arn,
        "cognitoIdentityAuthType": None,
        "cognitoIdentityAuthProvider": None,
    }


def _user_pool_claims(claims: dict[str, Any], issuer: str, caller: Caller) -> dict[str, Any]:
    return {
        "sub": claims["sub"],
        "issuer": issuer,
        "username": claims.get("cognito:username", claims.get("username")),
        "claims": claims,
        "sourceIp": [caller.address],
        "defaultAuthStrategy": "ALLOW",
        "groups": claims.get("cognito:groups"),
    }


def _oidc_claims(claims: dict[str, Any], issuer: str, _caller: Caller) -> dict[str, Any]:
    return {"sub": claims["sub"], "issuer": issuer, "claims": claims}


_TOKEN_CLAIMS = {"user_pool": _user_pool_claims, "oidc": _oidc_claims}
