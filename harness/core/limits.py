"""How a figure must compare with the limit of an objective, and what ends a run that fails one."""

import operator
from collections.abc import Callable, Mapping
from typing import Final

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}
OPERATOR_WORDS: Final[Mapping[str, str]] = {
    "<=": "at most",
    "<": "under",
    ">=": "at least",
    ">": "over",
    "==": "exactly",
}
SLO_STOP: Final = "slo_failed"
"""The cause of a run that an SLO stopped; its exit code is that of its verdict."""
