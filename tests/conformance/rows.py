"""Rows of the conformance table: what a service does, how sure that is, and which test shows it."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT

MARKER = "conformance"
MARKS = ("documented", "observed", "assumed")


class Row(NamedTuple):
    """One row of the table: what the service does, how sure that is, and who says so."""

    behaviour: str
    mark: str
    source: str


def documented(behaviour: str, source: str) -> pytest.MarkDecorator:
    """Mark the test of something the service's documentation says, on the page named."""
    return pytest.mark.conformance(behaviour, "documented", source)


def observed(behaviour: str, source: str) -> pytest.MarkDecorator:
    """Mark the test of something the service, or a client of it, was seen to do."""
    return pytest.mark.conformance(behaviour, "observed", source)


def assumed(behaviour: str, reason: str) -> pytest.MarkDecorator:
    """Mark the test of something nobody has said or seen, with the reason for our choice."""
    return pytest.mark.conformance(behaviour, "assumed", reason)


def row_of(item: pytest.Item) -> Row | None:
    """Return the row that a test stands for."""
    marker = item.get_closest_marker(MARKER)
    return Row(*marker.args) if marker else None


def topic_of(module: object) -> str:
    """Return what the rows of a test module have in common: the first line of its docstring."""
    return (inspect.getdoc(module) or "").partition("\n")[0].rstrip(".")


def rows_by_test(folder: Path) -> Iterator[tuple[str, str, str, list[Row]]]:
    """Yield topic, file, name and rows of each test function in a folder."""
    for file in sorted(folder.glob("test_*.py")):
        module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for name, function in vars(module).items():
            if name.startswith("test_"):
                marks = getattr(function, "pytestmark", [])
                rows = [Row(*mark.args) for mark in marks if mark.name == MARKER]
                yield topic_of(module), file.name, name, rows
