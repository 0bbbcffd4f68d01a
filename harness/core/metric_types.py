"""What the metric catalogue is made of: figures, and the terms that explain them."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Unit(StrEnum):
    """What a figure is measured in, as the documentation prints it."""

    COUNT = ""
    PER_SECOND = "1/s"
    RATIO = "ratio"
    MS = "ms"
    SECONDS = "s"
    BYTES = "bytes"
    USD = "USD"


class Better(StrEnum):
    """In which direction a figure improves."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a figure is computed over.

    Attributes:
        over: In words.
        narrowed_by: The keys by which an SLO may narrow it down: the record keeps them apart.
    """

    over: str
    narrowed_by: frozenset[str] = frozenset()


SUBSCRIBER: Final = "subscriber"
CHATTER: Final = "chatter"
"""The classes of users that hold connections to the system under test."""

MEASURE: Final = "measure"
"""The phase that the summary is about."""

_MEASURED: Final = "measured"
_BOTH: Final = frozenset({"phase", "user_class"})
MEASURED: Final = Scope(_MEASURED)
MEASURED_BY_PHASE: Final = Scope(_MEASURED, frozenset({"phase"}))
MEASURED_BY_BOTH: Final = Scope(_MEASURED, _BOTH)
WHOLE_RUN: Final = Scope("whole run")
WHOLE_RUN_BY_CLASS: Final = Scope(WHOLE_RUN.over, frozenset({"user_class"}))
WHOLE_RUN_BY_BOTH: Final = Scope(WHOLE_RUN.over, _BOTH)

PERCENTILES: Final = MappingProxyType(
    {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
)
"""Every list of percentiles is made of this one."""
STATISTICS: Final = (*PERCENTILES, "max")
WAIT_LIMITS_S: Final = (1, 10, 60, 120)
"""A subscriber notices one second, doubts at ten, and has left by one or two minutes."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of the summary.

    Attributes:
        name: Dotted path in the summary; ``NAME`` stands for the name of any ordinary request.
        title: What running text calls it.
    """

    name: str
    title: str
    unit: Unit
    better: Better
    scope: Scope
    formula: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A term that pages explain, and the figures that it explains.

    Attributes:
        key: A figure, a block of figures or a word; the explanation's id on a page is made of it.
        meaning: What it means, for a reader of a page.
    """

    key: str
    name: str
    meaning: str
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Latency(Definition):
    """A block of percentiles in ms, with the number of values as ``count``.

    Attributes:
        histogram: Its metric in the histogram log; empty where it comes from a table.
        phase: The phase that it is about; None for the whole run.
        spans_clocks: Whether it begins on the publisher's clock and ends on the subscriber's.
    """

    histogram: str = ""
    phase: str | None = None
    spans_clocks: bool = False


def percentile_name(key: str) -> str:
    """Return a percentile's name as printed: p999 is p99.9."""
    return "p99.9" if key == "p999" else key


def single(
    name: str, title: str, unit: Unit, scope: Scope, formula: str, meaning: str
) -> Definition:
    """Return a term that is one figure."""
    return Definition(
        name, title, meaning, (Metric(name, title, unit, Better.LOWER, scope, formula),)
    )


def latency(
    key: str,
    name: str,
    histogram: str,
    scope: Scope,
    formula: str,
    meaning: str,
    *,
    spans_clocks: bool = False,
) -> Latency:
    """Return the percentiles of a latency; see ``Latency`` for the arguments."""
    metrics = tuple(
        Metric(
            f"{key}.{one}", f"{name} {percentile_name(one)}", Unit.MS, Better.LOWER, scope, formula
        )
        for one in STATISTICS
    )
    phase = MEASURE if scope.over == _MEASURED else None
    return Latency(key, name, meaning, metrics, histogram, phase, spans_clocks)


def wait(
    key: str, name: str, who_waited: str, formula: str, share: str, meaning: str
) -> Definition:
    """Return percentiles of how long users waited, and the shares of users that waited longer.

    Percentiles are computed by ``formula``, shares by ``share``; ``who_waited`` is the title of the
    shares, without the limit.
    """
    times = [(one, f"{name} {percentile_name(one)}", Unit.SECONDS, formula) for one in STATISTICS]
    shares = [
        (f"over_{limit_s}s_ratio", f"{who_waited} over {limit_s} s", Unit.RATIO, share)
        for limit_s in WAIT_LIMITS_S
    ]
    metrics = tuple(
        Metric(f"{key}.{one}", title, unit, Better.LOWER, WHOLE_RUN_BY_CLASS, how)
        for one, title, unit, how in (*times, *shares)
    )
    return Definition(key, name, meaning, metrics)
