"""Terminal output: one table renderer, wrapped paragraphs, and streams whose reader may close."""

import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Column
from rich.table import Table as Grid
from rich.text import Text

if TYPE_CHECKING:
    from harness.report.table_cells import Table

LOG_WIDTH = 120
"""Columns of prose where stdout is no terminal."""
TABLE_WIDTH = 220
"""Columns of tables where stdout is no terminal: wide enough for one line a row."""

COLOURS = {"pass": "green", "fail": "red", "invalid": "yellow", "no_data": "blue"}


def stdout_console(width: int | None = None) -> Console:
    """Return a console for results; ``width`` applies where stdout is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else width or LOG_WIDTH)


def print_table(table: "Table", console: Console) -> None:
    """Print a table of a report, with its title and its note."""
    console.print(Text(plain(table.title), style="bold"), soft_wrap=True)
    columns = [
        Column(name, justify="right" if place >= table.texts else "left")
        for place, name in enumerate(table.columns)
    ]
    rows = (
        [Text(plain(cell.text), COLOURS.get(cell.tone, "")) for cell in row] for row in table.rows
    )
    console.print(grid(columns, rows))
    if table.note:
        console.print(paragraph(table.note, console))
    console.print()


def grid(columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> Grid:
    """Return rows in aligned columns without lines, below their headings if there are any."""
    found = Grid(
        *columns,
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_header=any(column.header for column in columns),
        header_style="dim",
    )
    for column in columns:
        column.overflow = "fold"
    for row in rows:
        found.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    return found


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, all columns aligned and none wrapped."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def paragraph(text: str, console: Console) -> Text:
    """Wrap a text, but never between a figure and its unit."""
    width = min(console.width, LOG_WIDTH)
    return Text(plain(textwrap.fill(text, width, break_long_words=False)))


def plain(text: str) -> str:
    """Replace the thin spaces of pages, which many terminals render badly."""
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")


class _Dropping(io.FileIO):
    """A file descriptor that drops what it cannot write.

    Attributes:
        failure: Why it dropped the first bytes, unless the reader of a pipe has closed it.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write or drop some bytes; return how many."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)
        except OSError as error:
            self.failure = self.failure or error
            return len(data)


def tolerate_closed_output() -> Callable[[], OSError | None]:
    """Let a subcommand finish, with its exit code, after the reader of a pipe has closed it.

    ``harness examples | head -1`` is no error. Returns a function that flushes standard output, and
    returns why results could not be written; None where all were, or their reader has gone.
    """
    # Leave alone the streams that a caller has put in place of the process's own.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # Closed from the start, as by ``>&-``.
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
            setattr(sys, name, nowhere)
        elif stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _dropping(stream))
    return _output_failure


def _output_failure() -> OSError | None:
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Dropping) else None


def _dropping(stream: TextIO) -> TextIO:
    stream.flush()
    raw = _Dropping(stream.fileno(), "w", closefd=False)
    is_line_buffered = stream is sys.__stderr__ or raw.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        # A terminal that cannot show a character shows another: that is no error.
        errors="backslashreplace" if stream is sys.__stderr__ else "replace",
        line_buffering=is_line_buffered,
    )
