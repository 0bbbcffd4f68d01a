"""The ``[auth]`` table of an AppSync Events target: every authorisation mode of the service."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from harness.scenario import auth
from harness.scenario.auth import Variable
from harness.scenario.model import FilePath, broken_rule

Text = Annotated[str, Field(min_length=1)]

_TOKENS: Final = ("token_env", "token_file", "token_command")
_SIGN_IN: Final = ("client_id", "users_file", "password_env")
_AWS: Final = ("profile", "region")


class Auth(auth.Auth):
    """How clients authenticate. Secrets stay in the environment, in files or with AWS."""

    KEYS_OF_MODES: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {
            **auth.Auth.KEYS_OF_MODES,
            "iam": _AWS,
            "cognito": (
                *(*_AWS, *_SIGN_IN),
                *("client_secret_env", "user_pool_id", "sign_in", "token_use"),
            ),
            "oidc": _TOKENS,
            "lambda": _TOKENS,
        }
    )

    mode: Literal["api_key", "iam", "cognito", "oidc", "lambda", "none"] = Field(  # type: ignore[assignment]  # more modes
        default="api_key",
        description="Kind of credentials: an API key, requests signed with AWS credentials, "
        "tokens of a Cognito user pool whose users the run signs in, tokens of OpenID Connect or "
        "of a Lambda authorizer, or none.",
    )
    profile: Text | None = Field(
        default=None,
        description="Profile of the AWS configuration, for iam and for cognito's "
        "admin_user_password; left out, the usual AWS chain is followed: environment, "
        "configuration, role of the machine or container.",
    )
    region: Text | None = Field(
        default=None,
        description="AWS region, for iam and cognito; left out, that of an AppSync host name, or "
        "else of the AWS configuration.",
    )
    token_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds the token, for oidc and lambda, which need "
        "exactly one of token_env, token_file and token_command. Several lines are several users.",
    )
    token_file: FilePath | None = Field(
        default=None,
        description="File of tokens, one a line, relative to this file; user k shows the "
        "token of line k, from the top again where there are more users. Read again before the "
        "first of its tokens expires.",
    )
    token_command: tuple[Text, ...] = Field(
        default=(),
        strict=False,
        description="Program and arguments, without a shell, that print tokens, one a line. "
        "Run in the working directory, and again before the first of them expires. It stands in "
        "the record, so no argument may be a secret.",
    )
    client_id: Text | None = Field(
        default=None, description="App client of the user pool. Needed for cognito."
    )
    client_secret_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds the app client's secret, where it has one.",
    )
    user_pool_id: Text | None = Field(
        default=None, description="The user pool. Needed for admin_user_password."
    )
    users_file: FilePath | None = Field(
        default=None,
        description="File of test users' names, one a line, relative to this file; anything "
        "after a comma is left out. User k signs in as line k, from the top again where there are "
        "more users. Needed for cognito.",
    )
    password_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds the test users' password. Needed for cognito.",
    )
    sign_in: Literal["user_password", "admin_user_password"] = Field(
        default="user_password",
        description="How test users sign in. The app client must allow it; admin_user_password "
        "also needs AWS credentials that may call AdminInitiateAuth.",
    )
    token_use: Literal["access", "id"] = Field(
        default="access",
        description="Which of the user pool's tokens clients show, for cognito.",
    )

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self) -> Self:
        if self.mode in ("oidc", "lambda") and sum(map(self._has, _TOKENS)) != 1:
            rule = f'must have exactly one of {", ".join(_TOKENS)} where mode = "{self.mode}"'
            raise broken_rule(rule, hint="say where the token comes from, never the token itself")
        needed: tuple[str, ...] = _SIGN_IN if self.mode == "cognito" else ()
        needed += ("user_pool_id",) if self.sign_in == "admin_user_password" else ()
        for key in needed:
            if not self._has(key):
                raise broken_rule(f'must be given where mode = "{self.mode}"', key=key)
        return self

    def _has(self, key: str) -> bool:
        return bool(getattr(self, key))
