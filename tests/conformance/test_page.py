from tests.conformance.page import FOLDER, PAGE, page
from tests.conformance.rows import rows_by_test


def test_page_is_current():
    """The committed table is what ``python -m tests.conformance.page`` writes."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_every_conformance_test_stands_for_one_row():
    """No test is left out of the table, and none stands in it twice."""
    tests = list(rows_by_test(FOLDER))
    assert [] == [f"{file}::{name}" for _, file, name, rows in tests if len(rows) != 1]


def test_no_behaviour_is_stated_twice():
    """Two tests of the same sentence would be one row too many."""
    behaviours = [row.behaviour for _, _, _, rows in rows_by_test(FOLDER) for row in rows]
    assert len(behaviours) == len(set(behaviours))
