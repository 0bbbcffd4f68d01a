"""Integers that several processes see at once, in a small memory-mapped file.

Each process writes only its own part of a table, so no lock is needed.
"""

import mmap
from pathlib import Path

INTEGER_BYTES = 8


def make_integers(file: Path, count: int) -> None:
    """Write a file of so many zeros."""
    file.write_bytes(bytes(count * INTEGER_BYTES))


def open_integers(file: Path) -> memoryview:
    """Return the integers of a file made with ``make_integers``, to read and to write."""
    with file.open("r+b") as opened:
        return memoryview(mmap.mmap(opened.fileno(), 0)).cast("q")
