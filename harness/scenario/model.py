"""What every model of a scenario file has in common: strictness, units and broken rules."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializationInfo,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

BROKEN_RULE = "broken_rule"

SEGMENT_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?$"
"""One segment of a channel's path: 1-50 letters, digits and inner hyphens."""


class ScenarioModel(BaseModel):
    """A table of a scenario file: no unknown keys, no silent conversions, no changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a key, shown where keys are documented."""

    name: str


class PathKind(Enum):
    """Marks a key that holds a path, which is relative to the file that it stands in."""

    FILE = "a file that exists"
    FOLDER = "a folder, made where it does not exist"
    FUNCTION = "file.py:function, or package.module:function, which is no path"


HIDE_SECRETS = "hide secrets"
"""Context of ``model_dump`` for what people will read: each ``Secret`` in it is left out."""


def _unless_hidden(value: str, info: SerializationInfo) -> str:
    return "(hidden)" if value and info.context == HIDE_SECRETS else value


Secret = Annotated[str, Field(repr=False), PlainSerializer(_unless_hidden)]
FilePath = Annotated[str, Field(min_length=1), PathKind.FILE]
FolderPath = Annotated[str, Field(min_length=1), PathKind.FOLDER]
Segment = Annotated[str, Field(pattern=SEGMENT_PATTERN)]
Count = Annotated[int, Unit("count")]
Bytes = Annotated[int, Unit("bytes")]
Seconds = Annotated[float, Unit("s")]
Milliseconds = Annotated[float, Unit("ms")]
PerSecond = Annotated[float, Unit("1/s")]
Ratio = Annotated[float, Unit("ratio")]


def above(
    other: str, *, word: str = "above", or_equal: bool = False, hint: str | None = None
) -> Callable[[Any, ValidationInfo], Any]:
    """Return a field validator: where given, a number is above that of an earlier key."""

    def check(value: Any, info: ValidationInfo) -> Any:
        bound = info.data.get(other)
        if value is None or bound is None or value > bound or (or_equal and value == bound):
            return value
        raise broken_rule(f"must be {word} {other} = {bound:.15g}", hint=hint)

    return check


def broken_rule(rule: str, *, hint: str | None = None, key: str = "") -> PydanticCustomError:
    """Return the error a validator raises for a rule that pydantic does not know.

    Args:
        rule: What the value must be: "must be below every_s".
        hint: What to write instead.
        key: Where the rule concerns a key below the one validated, its path from there.
    """
    return PydanticCustomError(BROKEN_RULE, "{rule}", {"rule": rule, "hint": hint, "key": key})
