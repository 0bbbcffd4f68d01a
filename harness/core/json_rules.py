"""Rules for JSON from outside: keys with dots, and the values that they must lead to."""

from collections.abc import Mapping
from typing import Any

import orjson

Rules = Mapping[str, str | bool | int | float]
"""Values by keys with dots. True stands for any value but null, false, 0 and what is empty."""


def value_at(body: Any, path: str, missing: Any = None) -> Any:
    """Return what keys with dots between lead to; ``missing`` where they lead nowhere."""
    for key in path.split(".") if path else ():
        body = body.get(key, missing) if isinstance(body, dict) else missing
    return body


def text_at(body: Any, path: str) -> str:
    """Return what keys with dots lead to as text: a string as it is, all else as JSON."""
    found = value_at(body, path)
    return found if isinstance(found, str) else orjson.dumps(found).decode()


def matches_all(body: Any, rules: Rules) -> bool:
    """Return whether there are rules and a JSON value has all that they name."""
    return bool(rules) and all(_matches(value_at(body, path), rules[path]) for path in rules)


def first_match(body: Any, rules: Rules) -> str | None:
    """Return the first key of the rules with the value that they name; None if there is none."""
    return next((path for path in rules if _matches(value_at(body, path), rules[path])), None)


def _matches(value: Any, wanted: object) -> bool:
    if wanted is True:
        return bool(value)
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
