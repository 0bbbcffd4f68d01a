"""In what two runs can differ besides the system: the keys of their loads, and kinds of keys."""

from collections.abc import Mapping
from typing import Any, Final

KINDS: Final = (
    *("workload", "scale", "seed", "target", "generator"),
    *("machine", "kernel", "verdict", "record"),
)
"""In what runs can differ; scale is the workload's population."""
WIDENING: Final = frozenset({"machine", "kernel"})
"""Differences that are no reason to refuse, but make it less certain what a difference is from."""
_KIND_OF: Final = {
    "workload.seed": "seed",
    "workload.population": "scale",
    "machine.kernel": "kernel",
}


def kind_of(key: str) -> str:
    """Return the kind of a key's difference, one of ``KINDS``."""
    head, _, rest = key.partition(".")
    return _KIND_OF.get(f"{head}.{rest.partition('.')[0]}", head)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the keys in which two loads differ.

    A key that only one of them has was added by a later version of the harness; it makes a
    difference only where it adds something.
    """
    keys = dict.fromkeys((*one, *other))
    return [key for key in keys if not _agree(key, one, other)]


def _agree(key: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if key in one and key in other:
        return bool(one[key] == other[key])
    having, lacking = (one, other) if key in one else (other, one)
    if _is_left_out(key, lacking):
        return having[key] is None
    return not isinstance(having[key], list) or not having[key]


def _is_left_out(key: str, load: Mapping[str, Any]) -> bool:
    """Return whether a table around a key is known and was not given."""
    parts = key.split(".")
    return any(".".join(parts[:end]) in load for end in range(1, len(parts)))
