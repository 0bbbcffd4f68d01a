import pytest

from harness.emulation.counters import SHARED_COUNTS, Counters, nested

NAMES = ("ups", "downs")


@pytest.fixture
def table(tmp_path):
    """A table for two processes."""
    file = tmp_path / "counters"
    Counters.make_table(file, rows=2, columns=len(NAMES))
    return file


@pytest.fixture
def shared_table(tmp_path):
    """A table for two processes, with all that every emulator counts."""
    file = tmp_path / "counters"
    Counters.make_table(file, rows=2, columns=len(SHARED_COUNTS))
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


def test_own_count_is_that_of_one_process(table):
    """What the others have counted is not in it, and it can be replaced."""
    first, second = (Counters(table, row, NAMES) for row in (0, 1))
    first.add("ups", 3)
    second.put("ups", 4)
    second.put("ups", 5)
    assert (3, 5) == (first.own("ups"), second.own("ups"))


def test_reset_zeroes_the_counts_of_one_process_and_keeps_what_is_as_of_now(shared_table):
    """Open connections stay, and so do deliveries held back, which are still owed."""
    first, second = (Counters(shared_table, row, SHARED_COUNTS) for row in (0, 1))
    for counters in (first, second):
        counters.add("connections", 2)
        counters.add("deliveries.owed", 10)
        counters.add("deliveries.sent", 7)
        counters.add("deliveries.pending", 3)
    first.reset()
    totals = second.totals()
    expected = {"connections": 4, "deliveries.owed": 13, "deliveries.sent": 7}
    assert expected == {name: totals[name] for name in expected}


def test_process_that_takes_anothers_place_opens_no_connections_of_it(shared_table):
    """What its predecessor counted stays; what was open then is not open now."""
    before = Counters(shared_table, 0, SHARED_COUNTS)
    before.add("connections", 2)
    before.add("deliveries.sent", 7)
    after = Counters(shared_table, 0, SHARED_COUNTS)
    assert (0, 7) == (after.own("connections"), after.own("deliveries.sent"))


def test_dots_in_names_make_tables():
    """Each level of a name is a table."""
    totals = {"a": 1, "b.c": 2, "b.d.e": 3, "b.d.f": 4}
    assert {"a": 1, "b": {"c": 2, "d": {"e": 3, "f": 4}}} == nested(totals)


def test_no_name_is_both_a_count_and_a_table():
    """Else the one would hide the other."""
    assert not {name.rpartition(".")[0] for name in SHARED_COUNTS} & set(SHARED_COUNTS)
