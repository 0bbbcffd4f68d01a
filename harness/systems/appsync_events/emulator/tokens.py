"""JSON Web Tokens of user pools and OpenID Connect: checked, and issued by the emulator itself.

The emulator has one key pair, made before its processes start. Its own tokens and those of
another issuer, whose public keys are in a file, are checked alike.

Source: docs.aws.amazon.com/appsync/latest/eventapi/configure-event-api-auth and
docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt,
read November 2026.
"""

import contextlib
import json
import math
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import JWSRegistry
from pydantic import Field, ValidationError

from harness.core.errors import HarnessError, ScenarioError, ScenarioProblem
from harness.scenario.model import ScenarioModel
from harness.systems.appsync_events.operations import BAD_REQUEST
from harness.systems.appsync_events.options import Options, TokenIssuer
from harness.systems.appsync_events.wire import WireError

TokenMode = Literal["user_pool", "oidc"]

ALGORITHMS: dict[TokenMode, list[str]] = {
    "user_pool": ["RS256"],
    "oidc": [kind + size for kind in ("RS", "PS", "ES") for size in ("256", "384", "512")],
}
"""Accepted signature algorithms, all with public keys; a token chooses among these only."""

KEY_FILE = "token-issuer.json"
_KEY_BITS = 2048


class TokenRefusedError(HarnessError):
    """A token does not let its bearer in; quotes none of it."""

    def __init__(self, found: str) -> None:
        super().__init__("token", found, "a valid one is required")


class TokenVerifier:
    """Checks the tokens of one auth mode.

    Args:
        mode: Chooses the algorithms, and the claims that only Cognito has.
        folder: Holds the emulator's own key pair, from ``make_key_pair``.
        clock: Returns the time in seconds since 1970.

    Raises:
        ScenarioError: If the other issuer's keys cannot be read.
    """

    def __init__(
        self,
        mode: TokenMode,
        options: Options,
        folder: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._mode = mode
        self._settings = settings_of(mode, options)
        self._clock = clock
        self._keys = _keys_of(mode, self._settings, folder)
        self._registry = JWSRegistry(algorithms=ALGORITHMS[mode])
        self._rules = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            iss={"essential": True, "value": issuer_of(mode, options)},
            exp={"essential": True},
            sub={"essential": True},
        )

    def claims(self, token: str) -> dict[str, Any]:
        """Return what a token says, once its signature and its claims are found good.

        Raises:
            TokenRefusedError: If they are not.
        """
        try:
            claims = jwt.decode(token, self._keys, registry=self._registry).claims
            self._rules.validate(claims)
        except JoseError as error:
            raise TokenRefusedError(repr(str(error))) from None
        except ValueError:
            raise TokenRefusedError("text that is no token") from None
        self._check_age(claims)
        self._check_client(claims)
        if self._mode == "user_pool" and claims.get("token_use") not in ("access", "id"):
            raise TokenRefusedError("no token_use of a user pool")
        return claims

    def _check_age(self, claims: dict[str, Any]) -> None:
        limits = {"iat": self._settings.iat_ttl_s, "auth_time": self._settings.auth_ttl_s}
        for claim, limit_s in limits.items():
            since = claims.get(claim)
            age_s = self._clock() - since if isinstance(since, int | float) else math.inf
            # Written so that NaN is too old.
            if limit_s is not None and not age_s <= limit_s:
                raise TokenRefusedError(f"{claim} absent or more than {limit_s:g} s ago")

    def _check_client(self, claims: dict[str, Any]) -> None:
        pattern = self._settings.client_id
        audience = claims.get("aud")
        ids = [*(audience if isinstance(audience, list) else [audience])]
        ids += [claims.get("client_id"), claims.get("azp")]
        if pattern and not any(re.fullmatch(pattern, one) for one in ids if isinstance(one, str)):
            raise TokenRefusedError("another client's aud, client_id and azp")


class TokenRequest(ScenarioModel):
    """What to put into a token; anything left out is made up."""

    mode: TokenMode = "user_pool"
    subject: str = Field(default="local-user", min_length=1)
    groups: tuple[str, ...] = ()
    client_id: str | None = None
    token_use: Literal["access", "id"] = "access"  # noqa: S105 - the name of a kind.
    lifetime_s: float = 3600.0
    claims: dict[str, Any] = Field(default={}, description="Added last; replaces any other.")


class Issuer:
    """Issues tokens signed with the emulator's own key.

    Args:
        folder: Holds the key pair, from ``make_key_pair``.
    """

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._key = _own_key(folder)

    def jwks(self) -> bytes:
        """Return the public keys that its tokens are verified with, as a JWKS document."""
        return orjson.dumps(KeySet([self._key]).as_dict(private=False))

    def issue(self, body: bytes) -> bytes | WireError:
        """Return a new token and its claims as JSON, or what is wrong with the request.

        Args:
            body: JSON of a ``TokenRequest``; empty for one with nothing in it.
        """
        try:
            request = TokenRequest.model_validate_json(body or b"{}")
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            sentences = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found]
            return WireError(BAD_REQUEST, "; ".join(sentences))
        claims = {**_claims(request, self._options), **request.claims}
        header = {"alg": "RS256", "kid": self._key.kid}
        try:
            token = jwt.encode(header, claims, self._key)
            return orjson.dumps({"token": token, "claims": claims})
        except (JoseError, ValueError, orjson.JSONEncodeError) as error:
            return WireError(BAD_REQUEST, f"claims: {error}")


def make_key_pair(folder: Path) -> None:
    """Make the emulator's key pair in a folder, unless it is there; only its owner may read it."""
    if (folder / KEY_FILE).exists():
        return
    key = RSAKey.generate_key(_KEY_BITS, {"use": "sig", "alg": "RS256"}, auto_kid=True)
    with tempfile.NamedTemporaryFile(dir=folder) as written:
        written.write(orjson.dumps(key.as_dict(private=True)))
        written.flush()
        # Of several processes that reload at once, the first makes it for all.
        with contextlib.suppress(FileExistsError):
            os.link(written.name, folder / KEY_FILE)


def settings_of(mode: TokenMode, options: Options) -> TokenIssuer:
    """Return the settings of a mode, or those that stand for none."""
    return (options.user_pool if mode == "user_pool" else options.oidc) or TokenIssuer()


def issuer_of(mode: TokenMode, options: Options) -> str:
    """Return the ``iss`` of a mode's tokens; the emulator's own issuers have no server."""
    own = {
        "user_pool": f"https://cognito-idp.{options.region}.amazonaws.com/"
        f"{options.region}_{options.api_id}",
        "oidc": f"https://openid.invalid/{options.api_id}",
    }
    return settings_of(mode, options).issuer or own[mode]


def _own_key(folder: Path) -> RSAKey:
    return RSAKey.import_key(json.loads((folder / KEY_FILE).read_bytes()))


def _keys_of(mode: TokenMode, settings: TokenIssuer, folder: Path) -> KeySet:
    if settings.jwks_file is None:
        return KeySet([_own_key(folder)])
    try:
        return KeySet.import_key_set(json.loads(Path(settings.jwks_file).read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, JoseError) as error:
        rule, found = "must name a file of public keys (JWKS)", repr(settings.jwks_file)
        hint = f"{type(error).__name__}: {error}"
        problem = ScenarioProblem("[emulator]", f"{mode}.jwks_file", found, rule, hint)
        raise ScenarioError([problem]) from error


def _claims(request: TokenRequest, options: Options) -> dict[str, Any]:
    """Return the claims that Cognito, or any issuer of OpenID Connect, puts into a token."""
    now_s = int(time.time())
    client_id = request.client_id or settings_of(request.mode, options).client_id or "local"
    claims = {
        "sub": request.subject,
        "iss": issuer_of(request.mode, options),
        "jti": str(uuid.uuid4()),
        "auth_time": now_s,
        "iat": now_s,
        "exp": int(now_s + request.lifetime_s),
    }
    if request.mode == "oidc":
        return {**claims, "aud": client_id}
    claims["token_use"] = request.token_use
    if request.groups:
        claims["cognito:groups"] = list(request.groups)
    if request.token_use == "id":  # noqa: S105 - the name of a kind.
        return {**claims, "aud": client_id, "cognito:username": request.subject}
    scope = "aws.cognito.signin.user.admin"
    return {**claims, "client_id": client_id, "username": request.subject, "scope": scope}
