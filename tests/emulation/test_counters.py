import pytest

from harness.emulation.counters import Counters

NAMES = ("ups", "downs")


@pytest.fixture
def table(tmp_path):
    """A table for two processes."""
    file = tmp_path / "counters"
    Counters.make_table(file, rows=2, columns=len(NAMES))
    return file


def test_totals_add_up_the_rows_of_all_processes(table):
    """Any process sees what all have counted, under the right names."""
    first, second = (Counters(table, row, NAMES) for row in (0, 1))
    first.add("ups")
    second.add("ups", 10)
    second.add("downs", 2**40)
    assert {"ups": 11, "downs": 2**40} == first.totals() == second.totals()


def test_count_may_go_down_again(table):
    """A gauge in one row may fall below zero without spoiling the others."""
    first, second = (Counters(table, row, NAMES) for row in (0, 1))
    first.add("downs", 3)
    second.add("downs", -2)
    assert {"ups": 0, "downs": 1} == first.totals()
