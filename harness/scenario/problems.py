"""Turn errors of pydantic into problems: file, key, rule, value found and a hint."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.core.errors import ScenarioProblem, closest, did_you_mean
from harness.core.outside_text import outside_text
from harness.scenario.auth import VARIABLE_PATTERN
from harness.scenario.keys import choices_of, field_at, models_at, once_keys_of
from harness.scenario.model import BROKEN_RULE, SEGMENT_PATTERN
from harness.scenario.workload import NAME_PATTERN

NOTHING = "nothing"
_ABSENT = object()
_HIDDEN = "a value that is not shown"
_LONGEST_FOUND = 61
_NUMBER = re.compile(r"[+-]?[0-9.]+$")
_UNKNOWN_KEY = "extra_forbidden"
_WRONG_TAG = {"union_tag_invalid", "union_tag_not_found"}
_SECRET = re.compile("key|secret|token|password", re.IGNORECASE)

_RULES = {
    "missing": "must be given",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "tuple_type": "must be an array",
    "timezone_aware": "must have a time zone",
    "too_short": "must not be empty",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "greater_than": "must be > {gt:g}",
    "greater_than_equal": "must be >= {ge:g}",
    "less_than": "must be < {lt:g}",
    "less_than_equal": "must be <= {le:.15g}",
}
_PATTERN_RULES = {
    NAME_PATTERN: "must be lower-case letters, digits and hyphens",
    SEGMENT_PATTERN: "must be 1 to 50 letters, digits and inner hyphens",
    VARIABLE_PATTERN: "must be the name of an environment variable",
}
_PATTERN_HINTS = {
    VARIABLE_PATTERN: "store the key in an environment variable and write its name here"
}


@dataclass(slots=True)
class Source:
    """One scenario file as read, with the changes of the command line.

    Attributes:
        file: The file, as the user wrote it.
        changed: Key to the flag that changed it, such as ``--set``.
        key_prefix: What a flag writes before the file's keys: "target." or nothing.
        readable: False where the file could not be read, so that there is nothing to validate.
    """

    file: str
    data: dict[str, Any]
    model: type[BaseModel]
    changed: dict[str, str] = field(default_factory=dict)
    key_prefix: str = ""
    readable: bool = True

    def problem(self, key: str, found: str, rule: str, hint: str | None = None) -> ScenarioProblem:
        """Return a problem at ``key``, attributed to the flag that set it or else to the file."""
        if flag := self.flag_of(key):
            return ScenarioProblem(flag, f"{self.key_prefix}{key}", found, rule, hint)
        return ScenarioProblem(self.file, key, found, rule, hint)

    def flag_of(self, key: str) -> str | None:
        """Return the flag that set a key; None where the file did."""
        for changed, flag in reversed(self.changed.items()):
            if key == changed or key.startswith(f"{changed}."):
                return flag
        return None


def problems_of(error: ValidationError, source: Source) -> list[ScenarioProblem]:
    """Return every problem of an invalid file, in the order of its keys.

    A key that is missing only because it was misspelt is reported once, at the misspelling.
    """
    details = error.errors(include_url=False)
    meant = {_meant_key(detail, source) for detail in details if detail["type"] == _UNKNOWN_KEY}
    problems = []
    for detail in details:
        path = _path(detail, source.data)
        key, value = _dotted(path), _value_at(source.data, path)
        # An array is also too short because pydantic omits invalid entries.
        if (value is _ABSENT and key in meant) or (detail["type"] == "too_short" and value):
            continue
        found = NOTHING if value is _ABSENT else shown(key, value)
        rule, hint = _rule_and_hint(detail, source, value)
        problems.append(source.problem(key, found, rule, hint))
    return problems


def shown(key: str, value: object) -> str:
    """Return ``value`` as TOML would write it, shortened; hidden where it may be a secret."""
    if isinstance(value, str) and _SECRET.search(key):
        return _HIDDEN
    if isinstance(value, dict):
        return "a table"
    if value and isinstance(value, list) and (_SECRET.search(key) or isinstance(value[0], dict)):
        return "an array"
    return outside_text(_toml_text(value), _LONGEST_FOUND)


def _toml_text(value: object) -> str:
    if isinstance(value, float):
        return repr(value)  # JSON has no word for inf and nan; TOML and Python share theirs.
    return json.dumps(value, ensure_ascii=False, default=str)


def _rule_and_hint(detail: ErrorDetails, source: Source, value: object) -> tuple[str, str | None]:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == BROKEN_RULE:
        return context["rule"], context["hint"]
    if kind == _UNKNOWN_KEY:
        return _unknown_key(detail, source)
    if kind == "literal_error" or kind in _WRONG_TAG:
        return _choice(detail, source, value)
    if kind == "string_pattern_mismatch":
        return _pattern(detail, source, value)
    rule = _RULES.get(kind)
    if rule is None:
        return f"is not valid: {detail['msg']}", None
    return rule.format(**context), _conversion_hint(detail, source, value)


def _unknown_key(detail: ErrorDetails, source: Source) -> tuple[str, str]:
    *table, written = _path(detail, source.data)
    place = _header(table) if table else _kind_of(source)
    known = _neighbours(detail, source)
    here = _dotted(table)
    elsewhere = [
        key.path for key in once_keys_of(source.model) if key.name == written and key.table != here
    ]
    hint = did_you_mean(str(written), known)
    if not hint and elsewhere:
        hint = f"did you mean {' or '.join(elsewhere)}?"
    its_keys = f"its keys are {', '.join(known)}" if known else "it has no keys"
    return f"is not a key of {place}", hint or its_keys


def _kind_of(source: Source) -> str:
    name = source.model.__name__
    return "a file of SLOs" if name == "SloFile" else f"a {name.lower()}"


def _meant_key(detail: ErrorDetails, source: Source) -> str | None:
    *table, written = _path(detail, source.data)
    meant = closest(str(written), _neighbours(detail, source))
    return _dotted([*table, meant]) if meant else None


def _neighbours(detail: ErrorDetails, source: Source) -> list[str]:
    models = models_at(source.model, detail["loc"][:-1])
    return [name for model in models for name in model.model_fields]


def _choice(detail: ErrorDetails, source: Source, value: object) -> tuple[str, str | None]:
    if detail["type"] in _WRONG_TAG:
        models = models_at(source.model, detail["loc"])
        fields = [model.model_fields[_tag(detail)] for model in models]
    else:
        field_found = field_at(source.model, detail["loc"])
        fields = [field_found] if field_found else []
    choices = [word for one in fields for word in choices_of(one)]
    hint = did_you_mean(value, choices) if isinstance(value, str) else None
    return f"must be one of {', '.join(choices)}", hint


def _pattern(detail: ErrorDetails, source: Source, value: object) -> tuple[str, str | None]:
    pattern = detail["ctx"]["pattern"]
    if pattern in _PATTERN_RULES:
        return _PATTERN_RULES[pattern], _PATTERN_HINTS.get(pattern) or _tidied(value)
    described = field_at(source.model, detail["loc"])
    return f"must match {pattern}", described.description if described else None


def _conversion_hint(detail: ErrorDetails, source: Source, value: object) -> str | None:
    kind = detail["type"]
    if kind == "missing":
        missing = field_at(source.model, detail["loc"])
        return missing.description if missing else None
    if kind in {"float_type", "int_type"} and isinstance(value, str) and _NUMBER.match(value):
        return f"write it without quotes: {value}"
    if kind == "bool_type" and str(value).casefold() in {"true", "false"}:
        return f"write {str(value).casefold()}, without quotes"
    if kind == "string_type" and isinstance(value, int | float):
        return f'put it in double quotes: "{value}"'
    if kind.startswith("model_"):
        return f"write {_header(_path(detail, source.data))} with its keys below"
    return None


def _tidied(value: object) -> str | None:
    tidy = re.sub("[^a-z0-9]+", "-", str(value).casefold()).strip("-")
    return f"for example {tidy}" if tidy else None


def _path(detail: ErrorDetails, data: object) -> list[str | int]:
    """Return the keys that lead to the invalid value, without pydantic's tags."""
    path: list[str | int] = []
    current = data
    for place, part in enumerate(detail["loc"], start=1):
        inside = _value_at(current, [part])
        if inside is _ABSENT and place < len(detail["loc"]):
            continue  # A tag such as "lognormal": it is in no file, and never comes last.
        if not isinstance(current, dict | list):
            continue  # A bare word may stand for a table of one key; the word is what is wrong.
        path.append(part)
        current = inside
    if detail["type"] in _WRONG_TAG:
        path.append(_tag(detail))
    below = detail.get("ctx", {}).get("key", "") if detail["type"] == BROKEN_RULE else ""
    parts = below.split(".") if below else []
    return path + [int(part) if part.isdecimal() else part for part in parts]


def _tag(detail: ErrorDetails) -> str:
    discriminator: str = detail["ctx"]["discriminator"]
    return discriminator.strip("'")


def _value_at(data: object, path: Iterable[str | int]) -> object:
    for part in path:
        try:
            data = data[part]  # type: ignore[index]  # A wrong kind of container means absent.
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return data


def _header(table: list[str | int]) -> str:
    """Return the TOML header of a table or of an entry of an array."""
    name = _dotted(part for part in table if isinstance(part, str))
    return f"[[{name}]]" if isinstance(table[-1], int) else f"[{name}]"


def _dotted(path: Iterable[str | int]) -> str:
    return ".".join(map(str, path))
