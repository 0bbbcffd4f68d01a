"""The settings of the CDK app, read from ``cdk --context NAME=VALUE``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from harness.core.errors import ScenarioError, ScenarioProblem

AuthMode = Literal["api_key", "iam", "cognito", "lambda"]
"""Words of a target's ``[auth]``."""

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,23}$"
NAMESPACE_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?$"
"""Source: docs.aws.amazon.com/appsync/latest/eventapi, "Channel namespaces"."""

HANDLER_BYTES_MAX = 32_768
"""Source: ``codeHandlers`` of CreateChannelNamespace, AppSync API reference."""


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        message = "must name each one once"
        raise ValueError(message)
    return values


def _small_file(file: Path) -> Path:
    if not file.is_file() or not 0 < file.stat().st_size <= HANDLER_BYTES_MAX:
        message = f"must be a file of 1 to {HANDLER_BYTES_MAX:,} bytes"
        raise ValueError(message)
    return file


class Settings(BaseModel):
    """All settings; those without a default are required."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alarm_email: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    """Address for cost alerts; required, because a run can cost thousands of dollars a day."""
    budget_usd: float = Field(default=100.0, gt=0)
    """Monthly budget of the account's costs that it warns about."""
    hourly_usd: float = Field(default=20.0, gt=0)
    """The alarm fires within minutes if an hour's deliveries cost more than this."""
    name: str = Field(default="fanout", pattern=NAME_PATTERN)
    """First part of every stack's name."""
    namespaces: Annotated[
        tuple[Annotated[str, Field(pattern=NAMESPACE_PATTERN)], ...],
        BeforeValidator(_listed),
        AfterValidator(_unique),
        Field(min_length=1, max_length=50),
    ] = ("default",)
    """Channel namespaces, separated by commas."""
    auth_modes: Annotated[
        tuple[AuthMode, ...], BeforeValidator(_listed), AfterValidator(_unique), Field(min_length=1)
    ] = ("api_key",)
    """Authorisation modes, separated by commas; each works for every operation."""
    api_key_days: int = Field(default=7, ge=1, le=365)
    """When the API key expires, in days from the deployment."""
    handlers: Annotated[Path, AfterValidator(_small_file)] | None = None
    """APPSYNC_JS file with the handlers of every namespace; none where it is left out."""
    image: str | None = Field(default=None, min_length=1)
    """Image of the fleet; built from the Containerfile of this checkout where it is left out."""
    worker_memory_mib: int = Field(default=2048, ge=2048, le=8192, multiple_of=1024)
    """Memory of a worker, which has one core; an encrypted connection takes about 47 KB."""


def read_settings(context: Mapping[str, Any]) -> Settings:
    """Return the settings of a context; keys of CDK's own, which hold a colon, play no part.

    Raises:
        ScenarioError: With every problem there is.
    """
    ours = {key: value for key, value in context.items() if re.fullmatch(r"[a-z_]+", key)}
    try:
        return Settings.model_validate(ours)
    except ValidationError as error:
        raise ScenarioError([_problem(one) for one in error.errors()]) from error


def _problem(error: Any) -> ScenarioProblem:
    key = ".".join(str(part) for part in error["loc"])
    known = ", ".join(Settings.model_fields)
    missing = error["type"] == "missing"
    return ScenarioProblem(
        file="--context",
        key=key,
        found="" if missing else repr(error["input"]),
        rule="must be given" if missing else f"is not usable: {error['msg']}",
        hint=f"--context {key}=…" if missing else f"there are {known}",
    )
