"""The ``[auth]`` table of a target: how clients prove who they are. It names secrets only."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from harness.core.secrets import PLACEHOLDER
from harness.scenario.model import ScenarioModel, broken_rule

VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""Name of an environment variable."""

Variable = Annotated[str, Field(pattern=VARIABLE_PATTERN)]


class Auth(ScenarioModel):
    """How clients authenticate. Secrets stay in the environment."""

    # A system may bring a model of its own with more modes and keys. A key that ends in ``_env``
    # names an environment variable.

    KEYS_OF_MODES: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {"api_key": ("api_key_env",), "none": ()}
    )
    """What each mode takes besides ``mode``."""

    mode: Literal["api_key", "none"] = Field(
        default="api_key",
        description="Kind of credentials: an API key, or none where the system asks for none. "
        "Some systems have more.",
    )
    api_key_env: Variable | None = Field(
        default=None,
        description="Name of the environment variable that holds the API key. "
        "Needed for api_key unless the target is emulated; then the emulator's first key is used "
        "without it.",
    )

    @model_validator(mode="after")
    def _keys_of_its_mode(self) -> Self:
        allowed = self.KEYS_OF_MODES[self.mode]
        for key, field in type(self).model_fields.items():
            if key not in ("mode", *allowed) and getattr(self, key) != field.default:
                rule = f'must not be given where mode = "{self.mode}"'
                raise broken_rule(rule, key=key, hint="remove one of them")
        return self


def variables_in(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the keys of a table that name variables, with the names.

    A key that ends in ``_env`` holds a name or a table of them; lists hold ``${NAME}``.
    """
    return [(key, name) for key, value in table.items() for name in _named(key, value) if name]


def _named(key: str, value: Any) -> Iterator[str]:
    entries = value.values() if isinstance(value, dict) else [value]
    if key.endswith("_env"):
        yield from (name for name in entries if isinstance(name, str))
    elif isinstance(value, list | tuple):
        for text in value:
            yield from PLACEHOLDER.findall(text) if isinstance(text, str) else ()
