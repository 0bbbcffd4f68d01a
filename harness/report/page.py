"""The frame that all pages share: one HTML file that needs nothing else, for screens and paper."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.core.distribution import VERSION
from harness.report.canvas import BOTTOM, HEAD, LEFT, RIGHT, Chart
from harness.report.glossary import anchor, definitions
from harness.report.readings import Readings
from harness.report.summary_text import evidence
from harness.report.theme import inline


@dataclass(frozen=True)
class Figure:
    """One number on the first screen.

    Attributes:
        metric: The summary metric it shows.
        name: What stands beside it, where a tile has several.
        link: Id of what on the page explains it, where it is no figure of a run's summary.
    """

    metric: str
    text: str
    name: str = ""
    link: str = ""


@dataclass(frozen=True)
class Tile:
    """One of the few things that matter: a title, one or more figures, a line below."""

    title: str
    figures: list[Figure]
    unit: str
    detail: str
    is_wide: bool = False


def render_page(
    template: str, terms: Iterable[str], *, charts: Sequence[Chart] = (), **content: Any
) -> str:
    """Return a page as one HTML document.

    ``terms`` are the metrics and words that the page defines; ``charts`` those of its main part.
    """
    read = {chart.name: chart.readings for chart in charts if chart.readings}
    frame = {
        "css": _file("report.css"),
        "readings": _readings_json(read) if read else "",
        "scripts": [_file("sort.js"), *([_file("crosshair.js")] if read else [])],
        "version": VERSION,
    }
    return _TEMPLATES.get_template(f"{template}.html.j2").render(
        definitions=definitions(list(terms)), charts=charts, **frame, **content
    )


def _file(name: str) -> Markup:
    text = resources.files("harness.report").joinpath(name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own file


def _readings_json(readings: Mapping[str, Readings]) -> Markup:
    """Return readings by the names of their charts, as JSON that can stand in a page.

    All charts have the same distances from their edges to the plotted area, in points.
    """
    plain = {
        "frame": {"left": LEFT, "right": RIGHT, "top": HEAD, "bottom": BOTTOM},
        "readings": {name: found.plain() for name, found in readings.items()},
    }
    return Markup(orjson.dumps(plain).decode().replace("<", "\\u003c"))  # noqa: S704 - no markup is left


def _drawings(chart: Chart) -> list[tuple[str, Markup]]:
    """Return the wide and the narrow drawing with their class names, as HTML."""
    label = f"{chart.title}. {chart.caption}"
    return [
        (kind, Markup(inline(svg, f"{chart.name}-{kind}", label)))  # noqa: S704 - our own drawing
        for kind, svg in (("wide", chart.wide), ("narrow", chart.narrow))
    ]


def _contents(sections: Markup) -> list[tuple[str, Markup]]:
    """Return the id and the title of each heading that has an id."""
    return [(id_, Markup(title)) for id_, title in _HEADING.findall(sections)]  # noqa: S704 - of our own page


_HEADING: Final = re.compile(r'<h2 id="([^"]*)"[^>]*>(.*?)</h2>')
_TEMPLATES: Final = Environment(
    loader=PackageLoader("harness.report", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "evidence": evidence,
    "anchor": anchor,
    "contents": _contents,
    "drawings": _drawings,
}
