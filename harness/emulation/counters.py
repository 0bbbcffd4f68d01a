"""Counts that several processes keep and any of them can add up.

Each process writes only its own row of a small memory-mapped file, so no lock is needed; a sum
read while others write may be behind by what they are just counting.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path

INTEGER_BYTES = 8


class Counters:
    """One process's row of counts, in a table with one row a process.

    Args:
        file: The table; made with ``make_table``.
        row: Which row is ours.
        names: The columns, the same for all processes.
    """

    def __init__(self, file: Path, row: int, names: Sequence[str]) -> None:
        with file.open("r+b") as table:
            self._map = mmap.mmap(table.fileno(), 0)
        self._names = tuple(names)
        self._values = memoryview(self._map).cast("q")
        self._columns = {name: row * len(names) + place for place, name in enumerate(names)}

    @staticmethod
    def make_table(file: Path, rows: int, columns: int) -> None:
        """Write a table of zeros."""
        file.write_bytes(bytes(rows * columns * INTEGER_BYTES))

    def add(self, name: str, amount: int = 1) -> None:
        """Add to our own count; a negative amount takes away."""
        self._values[self._columns[name]] += amount

    def totals(self) -> dict[str, int]:
        """Return each count summed over all processes."""
        width = len(self._names)
        return {name: sum(self._values[place::width]) for place, name in enumerate(self._names)}
