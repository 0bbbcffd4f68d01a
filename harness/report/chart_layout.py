"""A chart before and after it is drawn.

Every chart is drawn twice, wide and narrow: a wide drawing shrunk to a phone cannot be read.
"""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from harness.report.canvas import HALF, NARROW, WIDE, Size
from harness.report.theme import to_png, to_svg


@dataclass(frozen=True)
class Chart:
    """One chart, drawn for two widths.

    Attributes:
        name: File name without its ending, and prefix of its ids.
        title: What it shows.
        caption: What there is to see in it, in figures.
        wide: SVG document for screens and paper.
        narrow: SVG document for phones.
        png: The wide drawing as a PNG, for slides.
        is_full_width: Whether it takes the page's whole width.
    """

    name: str
    title: str
    caption: str
    wide: str
    narrow: str
    png: bytes
    is_full_width: bool


@dataclass(frozen=True)
class ChartLayout:
    """What to draw, before it is drawn at a size."""

    name: str
    title: str
    caption: str
    draw: Callable[[Figure, Size], None]
    size: Size = HALF

    def chart(self) -> Chart:
        """Draw it at both of its sizes."""
        wide, narrow = self._figure(self.size), self._figure(NARROW)
        return Chart(
            name=self.name,
            title=self.title,
            caption=self.caption,
            wide=to_svg(wide, f"{self.name}-{self.size.width}"),
            narrow=to_svg(narrow, f"{self.name}-{NARROW.width}"),
            png=to_png(wide),
            is_full_width=self.size.width == WIDE.width,
        )

    def _figure(self, size: Size) -> Figure:
        figure = Figure(figsize=(size.width / 72, size.height / 72), dpi=72)
        self.draw(figure, size)
        return figure
