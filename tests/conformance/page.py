"""Writes the conformance table as a page: ``python -m tests.conformance.page``."""

from collections import Counter
from itertools import groupby
from pathlib import Path

from tests.conformance.rows import MARKS, ROOT, rows_by_test

PAGE = ROOT / "docs" / "emulator-conformance.md"
FOLDER = Path(__file__).parent / "appsync_events"

HEAD = """# What the AppSync Events emulator does, and how sure that is

Made from the marks on the tests in `tests/conformance/appsync_events` by
`python -m tests.conformance.page`; `make conformance` runs them and prints this table with results.

- **documented**: a page of docs.aws.amazon.com/appsync/latest/eventapi says so.
- **observed**: the service was seen to do so, or a client that works against it relies on it.
- **assumed**: neither documented nor observed; the source column gives the reason for the choice.
"""


def page() -> str:
    """Return the page as its tests would have it now."""
    found = list(rows_by_test(FOLDER))
    marks = Counter(row.mark for _, _, _, rows in found for row in rows)
    sums = ", ".join(f"{marks[mark]} {mark}" for mark in MARKS)
    parts = [HEAD, f"{marks.total()} rows: {sums}.\n"]
    for topic, tests in groupby(found, key=lambda test: test[0]):
        lines = ["| behaviour | mark | source | test |", "| --- | --- | --- | --- |"]
        for _, file, name, rows in tests:
            cells = [(*row, f"`{file}::{name}`") for row in rows]
            lines += [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in cells]
        parts.append(f"## {topic}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
