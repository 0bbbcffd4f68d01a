"""A table of a report as text in cells, independent of the format that prints it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What it shows.
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


def several(parts: Sequence[tuple[str, str]], nothing: str) -> Cell:
    """Return a cell of several figures.

    Args:
        parts: Each of them with the id of what explains it.
        nothing: What stands there where there are none.
    """
    return Cell("; ".join(text for text, _ in parts) or nothing, parts=tuple(parts))


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Its id on a page.
        title: Its heading.
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
