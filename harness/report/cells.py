"""A table of a report, as text in cells, for whatever prints it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What it shows.
        metric: Dotted name of the summary figure it shows, if it is one.
        tone: A verdict whose colour it takes, "detail" for smaller print, or nothing.
    """

    text: str
    metric: str = ""
    tone: str = ""


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
    """

    name: str
    title: str
    note: str
    columns: list[str]
    rows: list[list[Cell]]
    texts: int = 1
