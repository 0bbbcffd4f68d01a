"""Prints the conformance table once its tests have run."""

import pytest

from tests.conformance.rows import MARKS, Row, row_of, topic_of

ROWS = pytest.StashKey[dict[str, tuple[str, Row]]]()
"""Topic and row by test, parameters left out."""

RESULTS = ("failed", "error", "passed", "skipped")
"""Of the runs of one row, the first that occurs is the row's result."""


def pytest_collection_finish(session):
    """Note the rows of all tests that are about to run."""
    rows = session.config.stash.setdefault(ROWS, {})
    for item in session.items:
        row = row_of(item)
        if row is not None:
            rows[_test(item.nodeid)] = (topic_of(item.module), row)


def pytest_terminal_summary(terminalreporter, config):
    """Print each row with its mark and its result; in a run of other tests too, only the sums."""
    rows = config.stash.get(ROWS, {})
    results = _results(terminalreporter, rows)
    if not results:
        return
    terminalreporter.section("conformance: rows with their mark and result")
    if not _others_ran(terminalreporter, rows):
        _print_rows(terminalreporter, rows, results)
    for mark in MARKS:
        found = [result for test, result in results.items() if rows[test][1].mark == mark]
        sums = ", ".join(f"{found.count(name)} {name}" for name in RESULTS if name in found)
        terminalreporter.line(f"{mark:<11} {sums or 'none'}")


def _results(terminalreporter, rows):
    """Return the result of each row that has run, in the order of the rows."""
    results = {}
    for result in reversed(RESULTS):
        for report in terminalreporter.getreports(result):
            results[_test(report.nodeid)] = result
    return {test: results[test] for test in rows if test in results}


def _others_ran(terminalreporter, rows):
    return any(_test(report.nodeid) not in rows for report in terminalreporter.getreports("passed"))


def _print_rows(terminalreporter, rows, results):
    last = None
    for test, result in results.items():
        topic, row = rows[test]
        if topic != last:
            terminalreporter.line(topic)
            last = topic
        terminalreporter.line(f"  {row.mark:<11}{result:<8} {row.behaviour}")


def _test(nodeid):
    return nodeid.partition("[")[0]
