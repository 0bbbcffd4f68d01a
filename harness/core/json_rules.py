"""JSON from outside: read within bounds, and rules of keys with dots and values they lead to."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import orjson

Rules = Mapping[str, str | bool | int | float]
"""Values by keys with dots. True stands for any value but null, false, 0 and what is empty."""


MAX_VALUES = 100_000
"""Of one JSON text: as many take about 10 ms."""


def read_json(text: bytes | str, most: int = MAX_VALUES) -> Any:
    """Return the value of a JSON text; raises ValueError if it is none, or has more values.

    What many parsers take is taken: a byte order mark, invalid UTF-8, NaN, and half a surrogate
    pair, for which ``?`` stands. A number that no float can hold is no JSON here.
    """
    marks = (b",", b"[", b"{") if isinstance(text, bytes) else (",", "[", "{")
    count = sum(map(text.count, marks))  # type: ignore[arg-type]  # both of one kind
    if count > most:
        raise ValueError(f"about {count:,} values, {most:,} are taken")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _lenient(text)


def _lenient(text: bytes | str) -> Any:
    line = text if isinstance(text, str) else text.decode("utf-8", "replace")
    try:
        value = json.loads(line.removeprefix("\N{BYTE ORDER MARK}"), parse_int=_whole)
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _whole(digits: str) -> int:
    if len(digits) > sys.float_info.max_10_exp:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def value_at(body: Any, path: str, missing: Any = None) -> Any:
    """Return what keys with dots between lead to; ``missing`` where they lead nowhere."""
    for key in path.split(".") if path else ():
        body = body.get(key, missing) if isinstance(body, dict) else missing
    return body


def text_at(body: Any, path: str) -> str:
    """Return what keys with dots lead to as text: a string as it is, all else as JSON."""
    found = value_at(body, path)
    try:
        return found if isinstance(found, str) else orjson.dumps(found).decode()
    except orjson.JSONEncodeError:  # It writes 254 levels, and whole numbers of 64 bits.
        return "a value that cannot be shown"


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
