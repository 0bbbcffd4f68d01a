"""A small line of the last minutes, as SVG that follows the page's colours."""

from collections.abc import Sequence

WIDTH = 300
HEIGHT = 44
_MARGIN = 2


def sparkline(values: Sequence[float | None]) -> str:
    """Return a drawing of values from zero up to their largest; gaps stay gaps.

    Args:
        values: One a second, the newest last; None where there was nothing to measure.
    """
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    step = (WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    height = HEIGHT - 2 * _MARGIN
    parts: list[str] = []
    pen = "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        parts.append(
            f"{pen}{_MARGIN + place * step:.1f} {_MARGIN + height * (1 - value / most):.1f}"
        )
        pen = "L"
    return (
        f'<svg class="line" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true"><path d="{" ".join(parts)}" fill="none" stroke="var(--blue)" '
        f'stroke-width="1.6" vector-effect="non-scaling-stroke" stroke-linecap="round"/></svg>'
    )
