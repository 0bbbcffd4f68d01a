"""How charts look: colours that follow the page, and SVG that can stand inside it.

Colours are drawn as the light theme's hex values and then replaced by CSS variables, so that one
drawing serves light, dark and paper. Hues stay apart for colour-blind readers, and percentiles are
one hue that darkens, because they are an order and not a choice.
"""

import io
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from harness.core.system import installed_systems

INK: Final = "#20242a"
MUTED: Final = "#66707c"
LINE: Final = "#dcdfe3"
BAND: Final = "#eef1f4"
BLUE: Final = "#0f62ac"
SKY: Final = "#74aede"
ORANGE: Final = "#c2560c"
P50: Final = "#6ba9dc"
P90: Final = "#2f7fc3"
P99: Final = "#0b4680"
MAXIMUM: Final = "#7a8087"
CARD: Final = "#ffffff"
DISTURBED: Final = "#8d3a86"
GREEN: Final = "#0a7d68"
ROSE: Final = "#c66fa0"
SAND: Final = "#e0975a"
MINT: Final = "#5cb5a2"
PLUM: Final = "#7c3a63"

VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--rule",
    BAND: "--band",
    CARD: "--card",
    P50: "--p50",
    P90: "--p90",
    P99: "--p99",
    MAXIMUM: "--maximum",
    DISTURBED: "--disturbed",
    BLUE: "--blue",
    SKY: "--sky",
    ORANGE: "--orange",
    SAND: "--sand",
    GREEN: "--green",
    MINT: "--mint",
    ROSE: "--rose",
    PLUM: "--plum",
}
"""The CSS variable that each drawn colour becomes inside a page."""

STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.parse_math": False,  # Labels of runs are no formulas.
    "text.color": MUTED,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "xtick.major.size": 4,
    "xtick.minor.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_joinstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}

CAUSES: Final = (ORANGE, BLUE, ROSE, GREEN)
"""For things that have no order; hues after Okabe and Ito (2008), made to differ in lightness."""

SOFTER: Final = {BLUE: SKY, ORANGE: SAND, GREEN: MINT, ROSE: PLUM}
"""For something else of the same system, beside it: the same hue at another lightness."""

Dashes = str | tuple[int, tuple[float, ...]]

_PATTERNS: Final[tuple[Dashes, ...]] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1.5, 1.5)),
    (0, (5, 1.5, 1.5, 1.5)),
)

_EDGE: Final = 12
"""Distance of a PNG's heading from its edges, in points."""
_CHARACTER_RATIO: Final = 0.57
_LINE_RATIO: Final = 1.25
"""Width of a character and height of a line, relative to the size of the font."""

_FONT = re.compile(r"font-family: [^;\"]*")
_PREAMBLE = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
_PATH_DATA = re.compile(r' d="[^"]*"')
_FINER_DIGITS = re.compile(r"(?<=\.\d\d)\d+")
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_PAGE_WIDE_STYLE = re.compile(r"<style\b.*?</style>\s*", re.DOTALL)
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def system_colour(system: str) -> str:
    """Return the colour that a system has in every chart of several systems."""
    found = installed_systems().get(system)
    return found.colour if found else MAXIMUM


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


def to_png(figure: Figure, title: str, source: str) -> bytes:
    """Return a figure as a PNG for slides: on white, two pixels to a point.

    Above the drawing stand its title and its source, such as the name of the run.
    """
    data = io.BytesIO()
    width, height = 72 * figure.get_size_inches()
    with mpl.rc_context({**STYLE, "savefig.facecolor": CARD}):
        top = height
        for text, size, colour in ((source, 10, MUTED), (title, 13, INK)):
            lines = textwrap.wrap(text, int((width - 2 * _EDGE) / (_CHARACTER_RATIO * size)))
            place = (_EDGE / width, (top + _EDGE / 2) / height)
            figure.text(*place, "\n".join(lines), fontsize=size, color=colour, va="bottom")
            top += _EDGE / 2 + _LINE_RATIO * size * len(lines)
        box = Bbox.from_bounds(0, 0, width / 72, (top + _EDGE) / 72)
        figure.savefig(data, format="png", dpi=144, metadata={"Software": None}, bbox_inches=box)
    return data.getvalue()


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG document whose text stays text.

    The name makes the ids inside the SVG its own, and the same every time.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = _FONT.sub(f"font-family: {_FONTS}", _METADATA.sub("", text.getvalue()))
    # A hundredth of a point cannot be seen; the digits beyond it are half of a file.
    return _PATH_DATA.sub(lambda data: _FINER_DIGITS.sub("", data[0]), svg)


def inline(svg: str, name: str, label: str) -> str:
    """Return an SVG document as an element for a page: themed, labelled and with its own ids.

    The name is the prefix of all ids, unique on the page; a screen reader says the label.
    """
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = _PAGE_WIDE_STYLE.sub("", _PREAMBLE.sub("", svg))
    svg = svg.replace(f"font-family: {_FONTS}; ", "")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    head, _, body = svg.partition(">")
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(label, quote=True)}">{body}'
