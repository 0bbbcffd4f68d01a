"""How each of several things is drawn beside the others, the same on every page."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from harness.report.theme import INK, MUTED, SOFTER, system_colour

Dashes = str | tuple[int, tuple[float, ...]]

_PATTERNS: Final[tuple[Dashes, ...]] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1.5, 1.5)),
    (0, (5, 1.5, 1.5, 1.5)),
)


class Look(NamedTuple):
    """How the lines of one thing are drawn."""

    colour: str
    dashes: Dashes


def looks_of(systems: Sequence[str]) -> list[Look]:
    """Return a look for each of several things, given the system that each of them is.

    A system has its own colour everywhere; a second thing of the same system takes another shade
    of it; neighbours have unlike patterns, so that colour never stands alone.
    """
    seen: Counter[str] = Counter()
    looks = []
    for place, system in enumerate(systems):
        colour = system_colour(system)
        shades = (colour, SOFTER.get(colour, MUTED), INK, MUTED)
        looks.append(
            Look(shades[min(seen[system], len(shades) - 1)], _PATTERNS[place % len(_PATTERNS)])
        )
        seen[system] += 1
    return looks
