"""The ``[emulator]`` table of an AppSync Events target: one API, its namespaces and credentials.

Defaults are AWS's where AWS documents one; what it does not document is in ``Undocumented``.
Source: docs.aws.amazon.com/appsync/latest/eventapi and the Service Quotas of AppSync, read
November 2026.
"""

import re
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from harness.scenario.emulator import Credentials, Emulator
from harness.scenario.model import (
    Bytes,
    Count,
    FilePath,
    Milliseconds,
    PathKind,
    PerSecond,
    ScenarioModel,
    Seconds,
    Secret,
    Segment,
    Unit,
    broken_rule,
)
from harness.systems.appsync_events import SYSTEM

AuthMode = Literal["api_key", "iam", "user_pool", "oidc", "lambda"]

Modes = Annotated[tuple[AuthMode, ...], Field(strict=False, min_length=1)]
Text = Annotated[str, Field(min_length=1)]


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise broken_rule("must be a regular expression", hint=str(error)) from error
    return pattern


RegularExpression = Annotated[str, AfterValidator(_compiled)]
PythonCallable = Annotated[
    str,
    Field(
        pattern=r"^[^:]+:[A-Za-z_][A-Za-z0-9_]*$",
        description="`file.py:function`, relative to this file, or `package.module:function`.",
    ),
    PathKind.FUNCTION,
]


class ApiKey(ScenarioModel):
    """One API key; a bare string stands for one that never expires."""

    key: Secret = Field(
        min_length=1, description="The key itself. It guards nothing but a local emulator."
    )
    expires: AwareDatetime | None = Field(
        default=None, strict=False, description="When it expires, with a time zone."
    )


class Statement(ScenarioModel):
    """What an IAM user may or may not do."""

    effect: Literal["allow", "deny"] = Field(default="allow", description="A deny always wins.")
    actions: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = Field(
        default=("appsync:*",),
        description="`appsync:EventConnect`, `appsync:EventSubscribe`, `appsync:EventPublish`; "
        "`*` stands for anything.",
    )
    resources: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = Field(
        default=("*",),
        description="ARNs of the API or a channel namespace; `*` stands for anything.",
    )


class IamUser(Credentials):
    """One pair of AWS credentials that signatures are checked against."""

    arn: Text = Field(
        default="arn:aws:iam::000000000000:user/local", description="ARN that handlers see."
    )
    statements: Annotated[tuple[Statement, ...], Field(strict=False)] = Field(
        default=(Statement(),), description="What it may do. Default: anything."
    )


class TokenIssuer(ScenarioModel):
    """Who signs the tokens of a user pool or of OpenID Connect."""

    issuer: str = Field(
        default="", description="The `iss` of its tokens; empty for the emulator's own issuer."
    )
    client_id: RegularExpression = Field(
        default="",
        description="Regular expression that all of `aud`, `client_id` or `azp` must match; "
        "empty for any.",
    )
    jwks_file: FilePath | None = Field(
        default=None,
        description="File of the public keys (JWKS) of another issuer, relative to this file.",
    )
    iat_ttl_s: Seconds | None = Field(
        default=None, gt=0, description="Age since `iat` at which a token is refused."
    )
    auth_ttl_s: Seconds | None = Field(
        default=None, gt=0, description="Age since `auth_time` at which a token is refused."
    )

    @model_validator(mode="after")
    def _names_the_issuer_of_its_keys(self) -> Self:
        if self.jwks_file is not None and not self.issuer:
            hint = "the `iss` in the tokens that these keys sign"
            raise broken_rule("must be given with jwks_file", key="issuer", hint=hint)
        return self


class LambdaAuthorizer(ScenarioModel):
    """The function that judges opaque tokens."""

    function: PythonCallable
    ttl_s: Seconds = Field(
        default=300.0, ge=0, le=3600, description="How long an answer holds, unless it says."
    )
    identity_validation: RegularExpression = Field(
        default="",
        description="Regular expression that all of a token must match to be asked about; "
        "empty for any.",
    )


class Namespace(ScenarioModel):
    """One channel namespace; a bare string stands for one without handlers of its own."""

    name: Segment = Field(description="First segment of its channels.")
    publish_auth_modes: Modes | None = Field(default=None, description="Default: those of the API.")
    subscribe_auth_modes: Modes | None = Field(
        default=None, description="Default: those of the API."
    )
    code: FilePath | None = Field(
        default=None,
        description="File of APPSYNC_JS source with `onPublish` and `onSubscribe`, 32 KB at most, "
        "relative to this file.",
    )
    data_source: PythonCallable | None = Field(
        default=None,
        description="What `request` of a handler in `code` asks; its answer is `ctx.result`.",
    )
    on_publish: PythonCallable | None = Field(
        default=None, description="Direct Lambda in place of code, as a Python function."
    )
    on_subscribe: PythonCallable | None = Field(default=None, description="The same.")
    invoke_type: Literal["request_response", "event"] = Field(
        default="request_response",
        description="Whether `on_publish` is waited for; `event` broadcasts unchanged.",
    )

    @model_validator(mode="after")
    def _one_kind_of_handler(self) -> Self:
        if self.code is not None and (self.on_publish or self.on_subscribe):
            raise broken_rule("must not have both code and Python functions", key="code")
        if self.code is None and self.data_source:
            raise broken_rule("must not be there without code", key="data_source")
        return self


class Quotas(ScenarioModel):
    """Limits of the API, summed over the emulator's processes; AWS's defaults."""

    enabled: bool = Field(
        default=True, description="Whether any but the payload sizes is enforced."
    )
    connects_per_s: PerSecond = Field(default=2000.0, gt=0, description="L-10498098.")
    inbound_events_per_s: PerSecond = Field(default=10_000.0, gt=0, description="L-D91E563A.")
    outbound_messages_per_s: PerSecond = Field(
        default=1_000_000.0, gt=0, description="In steps of 5 KB delivered. L-F643C244."
    )
    publishes_per_s_per_connection: PerSecond = Field(default=25.0, gt=0, description="L-D33F7C2A.")
    subscriptions_per_connection: Count = Field(
        default=SYSTEM.most_subscriptions, gt=0, description="L-AA33EB36."
    )
    event_bytes: Bytes = Field(default=240 * 1024, gt=0, description="240 KB. L-F21064F0.")
    request_bytes: Bytes = Field(default=1_258_291, gt=0, description="1.2 MB. L-16CCBB05.")


class Undocumented(ScenarioModel):
    """What AWS does not document; each default is what real clients tolerate best."""

    reply_first: bool = Field(
        default=True,
        description="Whether a publisher receives the success before its own deliveries.",
    )
    shuffle_deliveries: bool = Field(
        default=False,
        description="Whether a batch's events leave in a random order, from the seed.",
    )
    publish_to_wildcard: bool = Field(
        default=False, description="Whether `*` may end the channel of a publish."
    )
    throttle_at_upgrade: bool = Field(
        default=False, description="Whether too many connects get HTTP 429 in place of a message."
    )
    outbound_overflow: Literal["delay", "drop"] = Field(
        default="delay", description="What happens to deliveries above the outbound quota."
    )
    close_code: int = Field(default=1000, description="Code of a close by the server; 1006 aborts.")
    keep_alive_billed: bool = Field(default=False, description="Whether `ka` is an operation.")
    batch_billed_once: bool = Field(
        default=False, description="Whether a batch of events is one inbound operation."
    )
    handler_billed_per_event: bool = Field(
        default=False, description="Whether a handler call is billed for each event."
    )
    unsubscribe_billed: bool = Field(
        default=False, description="Whether `unsubscribe` is an operation."
    )
    minutes_rounded_up: bool = Field(
        default=True, description="Whether a connection's last minute is billed in full."
    )


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _keyed(value: Any) -> Any:
    return {"key": value} if isinstance(value, str) else value


NamespaceOrName = Annotated[
    Namespace, BeforeValidator(_named, json_schema_input_type=Namespace | Segment)
]
ApiKeyOrText = Annotated[ApiKey, BeforeValidator(_keyed, json_schema_input_type=ApiKey | Text)]


class Options(Emulator):
    """One Event API, as the emulator implements it."""

    RELOADABLE: ClassVar[frozenset[str]] = frozenset(
        {
            "namespaces",
            "connection_auth_modes",
            "default_publish_auth_modes",
            "default_subscribe_auth_modes",
            "api_keys",
            "iam_users",
            "user_pool",
            "oidc",
            "lambda_authorizer",
        }
    )

    api_id: Text = Field(default="local", description="In ARNs and in what handlers see.")
    region: Text = Field(default="us-east-1", description="In signatures and ARNs.")
    account_id: Text = Field(default="000000000000", description="In ARNs.")
    keep_alive_s: Seconds = Field(
        default=60.0, gt=0, description="Time between two keep-alive messages."
    )
    connection_timeout_ms: Annotated[int, Unit("ms")] = Field(
        default=300_000, gt=0, description="Silence after which clients are to close; sent to them."
    )
    connection_lifetime_s: Seconds = Field(
        default=86_400.0, gt=0, description="Age at which a connection is closed."
    )
    subscribe_settle_ms: Milliseconds = Field(
        default=0.0,
        ge=0,
        description="Time after a confirmation in which events are not yet delivered to it.",
    )
    namespaces: tuple[NamespaceOrName, ...] = Field(
        default=(Namespace(name="default"),),
        strict=False,
        min_length=1,
        description="Channel namespaces, or just their names.",
    )
    connection_auth_modes: Modes = Field(
        default=("api_key",), description="What connections may be opened with."
    )
    default_publish_auth_modes: Modes = Field(
        default=("api_key",), description="What publishes need, unless their namespace says."
    )
    default_subscribe_auth_modes: Modes = Field(
        default=("api_key",), description="What subscribing needs, unless the namespace says."
    )
    api_keys: tuple[ApiKeyOrText, ...] = Field(
        default=(ApiKey(key="da2-emulator-local"),),
        strict=False,
        min_length=1,
        description="Accepted keys, or just their texts; clients of a run present the first.",
    )
    iam_users: Annotated[tuple[IamUser, ...], Field(strict=False)] = Field(
        default=(), description="Needed where `iam` is among the auth modes."
    )
    user_pool: TokenIssuer | None = Field(default=None, description="Default: its own issuer.")
    oidc: TokenIssuer | None = Field(default=None, description="Default: its own issuer.")
    lambda_authorizer: LambdaAuthorizer | None = Field(
        default=None, description="Needed where `lambda` is among the auth modes."
    )
    quotas: Quotas = Field(default=Quotas(), description="Limits of the API.")
    undocumented: Undocumented = Field(default=Undocumented(), description="What AWS does not say.")

    @model_validator(mode="after")
    def _modes_have_their_credentials(self) -> Self:
        if "iam" in self.auth_modes and not self.iam_users:
            hint = "write [[emulator.iam_users]] with access_key_id and secret_access_key"
            raise broken_rule("must not be empty with auth mode iam", key="iam_users", hint=hint)
        if "lambda" in self.auth_modes and self.lambda_authorizer is None:
            hint = "write [emulator.lambda_authorizer] with function"
            rule = "must be given with auth mode lambda"
            raise broken_rule(rule, key="lambda_authorizer", hint=hint)
        return self

    @property
    def auth_modes(self) -> frozenset[AuthMode]:
        """Every mode that the API or one of its namespaces accepts."""
        overridden = (
            modes or ()
            for namespace in self.namespaces
            for modes in (namespace.publish_auth_modes, namespace.subscribe_auth_modes)
        )
        return frozenset(
            {
                *self.connection_auth_modes,
                *self.default_publish_auth_modes,
                *self.default_subscribe_auth_modes,
                *chain.from_iterable(overridden),
            }
        )

    @property
    def client_key(self) -> str:
        """The first API key."""
        return self.api_keys[0].key

    def require_namespace(self, name: str) -> None:
        """Raise ``broken_rule`` unless there is a namespace of this name."""
        if name not in {namespace.name for namespace in self.namespaces}:
            raise broken_rule(
                f"must include channel_namespace = {name}",
                key="namespaces",
                hint="otherwise no client could subscribe",
            )
