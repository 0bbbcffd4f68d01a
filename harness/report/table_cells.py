"""A table of a report as text in cells, independent of the format that prints it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.report import formatting as q
from harness.report.glossary import anchor


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        metric: Dotted name of the summary figure it shows, if it is one.
        tone: A verdict whose colour it takes, "detail" for smaller print, or nothing.
        link: Id of what on the page explains it, where that is no metric's definition.
        parts: Where it shows several figures, each of them with the id of what explains it.
    """

    text: str
    metric: str = ""
    tone: str = ""
    link: str = ""
    parts: tuple[tuple[str, str], ...] = ()


def several(figures: Iterable[tuple[str, str]]) -> Cell:
    """Return a cell of several figures, each with the metric or the word that explains it."""
    parts = tuple((text, anchor(explained)) for text, explained in figures)
    return Cell("; ".join(text for text, _ in parts) or q.MISSING, parts=parts)


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Its id on a page.
        note: What a reader must know to read it; may be empty.
        columns: Column headings; the first is for the rows' headings.
        rows: One list of cells a row, as many as there are columns.
        texts: How many columns, from the left, hold words and not numbers.
        meanings: Of each column, the metric or the word that explains its figures; empty for none.
    """

    name: str
    title: str
    note: str
    columns: list[str]
    rows: list[list[Cell]]
    texts: int = 1
    meanings: tuple[str, ...] = ()

    def meaning_of(self, place: int) -> str:
        """Return the metric or the word that explains a column's figures; empty where none does."""
        return self.meanings[place] if place < len(self.meanings) else ""


Row = Mapping[str, Cell | str]
"""Cells, or their texts, by the heading of their column."""


def table_of(
    name: str,
    title: str,
    note: str,
    rows: Iterable[Row],
    *,
    texts: int = 1,
    meanings: tuple[str, ...] = (),
) -> Table:
    """Return a table with the columns of its first row."""
    found = list(rows)
    columns = list(found[0]) if found else []
    cells = [
        [one if isinstance(one, Cell) else Cell(one) for one in map(row.__getitem__, columns)]
        for row in found
    ]
    return Table(name, title, note, columns, cells, texts, meanings)
