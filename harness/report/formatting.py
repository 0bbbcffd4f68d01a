"""Number formatting: grouped digits, units, and no more digits than were measured.

Histograms hold three significant figures, so latencies show no more decimals than those carry.
"""

from collections.abc import Callable, Mapping
from typing import Final

from harness.core.metric_types import Unit
from harness.core.metrics import unit_of

MISSING: Final = "–"
"""How a table says that there is nothing."""
THIN: Final = "\N{NARROW NO-BREAK SPACE}"
"""Between a number and its unit; never breaks over lines."""

_BYTE_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_KILO: Final = 1000
_NOTHING: Final = 0.0005
"""Less than this shows as 0: histograms begin at a microsecond."""
_LEAST_OF_THREE_DIGITS: Final = 0.01
"""A short run's gigabytes are less, and yet not 0."""
_MINUTE_S: Final = 60
_WHOLE_CENTS_USD: Final = 0.01
_WHOLE_DOLLARS_USD: Final = 100
_SECONDS_FROM_MS: Final = 10_000
"""Durations from here on are shown in seconds."""


def count(value: float | None) -> str:
    """Return a count with grouped digits, such as 76,000."""
    return MISSING if value is None else f"{value:,.0f}"


def figure(value: float | None) -> str:
    """Return a measured figure with two or three significant digits: 0.45, 4.0, 15.1, 178."""
    if value is None:
        return MISSING
    size = abs(value)
    if size < _NOTHING:
        return "0"
    for limit, digits in ((0.0995, 3), (0.995, 2), (99.95, 1)):
        if size < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def amount(value: float) -> str:
    """Return a quantity with grouped digits, and decimals only where it is small."""
    if 0 < value < _LEAST_OF_THREE_DIGITS:
        return f"{value:.6f}".rstrip("0")
    return count(value) if value >= 100 or value == int(value) else figure(value)  # noqa: PLR2004 - three digits are enough


def milliseconds(value: float | None) -> str:
    """Return a latency given in ms with its unit: 15.1 ms, or 12.3 s from ten seconds on."""
    if value is None:
        return MISSING
    if abs(value) >= _SECONDS_FROM_MS:
        return seconds(value / _KILO)
    return f"{figure(value)}{THIN}ms"


def seconds(value: float | None) -> str:
    """Return a length of time given in s: 0.18 s, 18 s, 4 min 10 s."""
    if value is None:
        return MISSING
    if abs(value) >= 2 * _MINUTE_S:
        minutes, rest = divmod(round(value), _MINUTE_S)
        return f"{minutes:,}{THIN}min" + (f" {rest}{THIN}s" if rest else "")
    text = f"{value:.0f}" if value == round(value) else figure(value)
    return f"{text}{THIN}s"


def rate(value: float | None) -> str:
    """Return a number of things per second: 7,000/s, 0.5/s."""
    if value is None:
        return MISSING
    text = count(value) if value == round(value) else figure(value)
    return f"{text}/s"


def percent(ratio: float | None) -> str:
    """Return a ratio as a percentage that says 100 only when it is whole, and 0 only when none.

    0.999993 is 99.999 %: rounding away a loss would hide the one thing that matters.
    """
    if ratio is None:
        return MISSING
    value = ratio * 100 or 0.0  # never minus zero
    for digits in range(10):
        text = f"{value:.{digits}f}"
        settled = float(text) not in {0.0, 100.0} or value in {0.0, 100.0}
        if settled and (digits or value == round(value) or value < 90):  # noqa: PLR2004 - near 100
            break
    return f"{text}{THIN}%"


def size(value: float | None) -> str:
    """Return an amount of memory or data: 90 MB, 1.5 GB."""
    if value is None:
        return MISSING
    amount = float(value)
    for unit in _BYTE_UNITS:
        if amount < _KILO or unit == _BYTE_UNITS[-1]:
            break
        amount /= _KILO
    text = f"{amount:.1f}" if amount < 10 and unit not in {"B", "kB"} else f"{amount:,.0f}"  # noqa: PLR2004 - two digits
    return f"{text}{THIN}{unit}"


def money(usd: float | None) -> str:
    """Return dollars: $0.0042 for a small run, −$3.46, and $786 where cents do not matter."""
    if usd is None:
        return MISSING
    sign, size = ("\N{MINUS SIGN}" if usd < 0 else ""), abs(usd)
    if size < _WHOLE_CENTS_USD:
        return f"{sign}${size:.2g}"
    return f"{sign}${size:,.0f}" if size >= _WHOLE_DOLLARS_USD else f"{sign}${size:,.2f}"


_BY_UNIT: Final[Mapping[Unit, Callable[[float | None], str]]] = {
    Unit.COUNT: count,
    Unit.PER_SECOND: rate,
    Unit.RATIO: percent,
    Unit.MS: milliseconds,
    Unit.SECONDS: seconds,
    Unit.BYTES: size,
    Unit.USD: money,
}
_EXACT: Final[Mapping[Unit, str]] = {
    Unit.COUNT: "{:,.10g}",
    Unit.PER_SECOND: "{:,.10g}/s",
    Unit.RATIO: f"{{:,.10g}}{THIN}%",
    Unit.MS: f"{{:,.10g}}{THIN}ms",
    Unit.SECONDS: f"{{:,.10g}}{THIN}s",
    Unit.BYTES: f"{{:,.10g}}{THIN}B",
    Unit.USD: "${:,.10g}",
}


def of_metric(metric: str, value: float | None, *, exact: bool = False) -> str:
    """Return a summary figure with its unit.

    ``exact`` keeps every digit: limits are given, not measured, so none of theirs is false.
    """
    unit = unit_of(metric)
    if exact and value is not None:
        return _EXACT[unit].format(100 * value if unit is Unit.RATIO else value)
    return _BY_UNIT[unit](value)
