"""The charts of the live page: lines over the last seconds, with the looks of the report's."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 400
HEIGHT: Final = 190
_LEFT: Final = 44
_RIGHT: Final = 14
_TOP: Final = 30
_BOTTOM: Final = 26
_CHARACTER: Final = 6.2
_SWATCH: Final = 20
_MOST_TICKS: Final = 5
_LEAST_SPAN_S: Final = 10
_IN_THOUSANDS: Final = 100_000
"""Ticks from here on are written in thousands: there is no room for more digits."""


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        colour: Name of a colour of the reports' style sheet.
        values: One for each second; None makes a gap.
        dashes: As in SVG; empty for a solid line.
        is_filled: Whether the area below is filled too.
    """

    name: str
    colour: str
    values: Sequence[float | None]
    dashes: str = ""
    is_filled: bool = False


def chart(seconds: Sequence[int], lines: Sequence[Line], unit: str, label: str) -> str:
    """Return lines over seconds of the run as SVG, with axes from zero and from the first second.

    A screen reader says the label.
    """
    axes = _Axes(seconds, [value for line in lines for value in line.values if value is not None])
    parts = [
        f'<text x="2" y="14">{escape(unit)}</text>',
        *_key(lines),
        *axes.grid(),
        *(part for line in lines for part in axes.drawn(seconds, line)),
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}" '
        f'fill="var(--muted)" font-size="11">{"".join(parts)}</svg>'
    )


def ticks(low: float, high: float) -> list[float]:
    """Return at most six round values between two bounds."""
    least = (high - low) / _MOST_TICKS
    decade = 10.0 ** math.floor(math.log10(least))
    step = next(decade * one for one in (1, 2, 2.5, 5, 10) if decade * one >= least * (1 - 1e-9))
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


class _Axes:
    """Places on the drawing."""

    def __init__(self, seconds: Sequence[int], values: Sequence[float]) -> None:
        self._first = seconds[0] if seconds else 0
        self._last = max(seconds[-1] if seconds else 0, self._first + _LEAST_SPAN_S)
        self._top = max(values, default=0.0) or 1.0

    def x(self, second: float) -> float:
        share = (second - self._first) / (self._last - self._first)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value / self._top * (HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> Iterator[str]:
        """Yield the lines and numbers of both axes."""
        for value in ticks(0.0, self._top):
            y = self.y(value)
            yield f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="var(--rule)"/>'
            yield f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_tick(value)}</text>'
        for second in ticks(self._first, self._last):
            place = f'x="{self.x(second):.1f}" y="{HEIGHT - 8}"'
            yield f'<text {place} text-anchor="middle">{second:,.10g} s</text>'

    def drawn(self, seconds: Sequence[int], line: Line) -> Iterator[str]:
        """Yield a line as paths, one for each stretch without a gap."""
        for stretch in _stretches(seconds, line.values):
            path = "M" + "L".join(f"{self.x(at):.1f} {self.y(value):.1f}" for at, value in stretch)
            if line.is_filled:
                base = f"V{self.y(0):.1f}H{self.x(stretch[0][0]):.1f}Z"
                yield f'<path d="{path}{base}" fill="var(--{line.colour})" fill-opacity="0.55"/>'
            else:
                yield f'<path d="{path}" fill="none" {_stroke(line)} stroke-linecap="round"/>'


def _stretches(
    seconds: Sequence[int], values: Sequence[float | None]
) -> Iterator[list[tuple[int, float]]]:
    stretch: list[tuple[int, float]] = []
    for second, value in zip(seconds, values, strict=True):
        if value is not None:
            stretch.append((second, value))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _key(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the names of the lines with their marks, beside each other at the upper right."""
    right = float(WIDTH - _RIGHT)
    for line in reversed(lines):
        start = right - len(line.name) * _CHARACTER
        yield f'<text x="{start:.1f}" y="14">{escape(line.name)}</text>'
        mark = f"M{start - _SWATCH:.1f} 10h{_SWATCH - 5}"
        width = 8 if line.is_filled else 2
        yield f'<path d="{mark}" {_stroke(line, width)}/>'
        right = start - _SWATCH - 10


def _stroke(line: Line, width: float = 1.8) -> str:
    dashes = f' stroke-dasharray="{line.dashes}"' if line.dashes else ""
    return f'stroke="var(--{line.colour})" stroke-width="{width}"{dashes}'


def _tick(value: float) -> str:
    return f"{value / 1000:,.10g}k" if value >= _IN_THOUSANDS else f"{value:,.10g}"
