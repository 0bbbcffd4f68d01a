import pytest

from harness.emulation.counters import SHARED_COUNTS, Counters, nested
from harness.emulation.worker import WorkerContext

NAMES = ("ups", "downs")


@pytest.fixture
def counters(tmp_path):
    """Return the counters of one of two processes."""
    return lambda index, names=NAMES: Counters(WorkerContext(tmp_path, index, 2), names)


def test_totals_add_up_the_rows_of_all_processes(counters):
    """Any process sees what all have counted, under the right names."""
    first, second = map(counters, (0, 1))
    first.add("ups")
    second.add("ups", 10)
    second.add("downs", 2**40)
    assert {"ups": 11, "downs": 2**40} == first.totals() == second.totals()


def test_count_may_go_down_again(counters):
    """A gauge in one row may fall below zero without spoiling the others."""
    first, second = map(counters, (0, 1))
    first.add("downs", 3)
    second.add("downs", -2)
    assert {"ups": 0, "downs": 1} == first.totals()


def test_own_count_is_that_of_one_process(counters):
    """What the others have counted is not in it, and it can be replaced."""
    first, second = map(counters, (0, 1))
    first.add("ups", 3)
    second.put("ups", 4)
    second.put("ups", 5)
    assert (3, 5) == (first.own("ups"), second.own("ups"))


def test_reset_zeroes_the_counts_of_one_process_and_keeps_what_is_as_of_now(counters):
    """Open connections stay, and so do deliveries held back, which are still owed."""
    first, second = (counters(index, SHARED_COUNTS) for index in (0, 1))
    for each in (first, second):
        each.add("connections", 2)
        each.add("deliveries.owed", 10)
        each.add("deliveries.sent", 7)
        each.add("deliveries.pending", 3)
    first.reset()
    totals = second.totals()
    expected = {"connections": 4, "deliveries.owed": 13, "deliveries.sent": 7}
    assert expected == {name: totals[name] for name in expected}


def test_process_that_takes_anothers_place_opens_no_connections_of_it(counters):
    """What its predecessor counted stays; what was open then is not open now."""
    before = counters(0, SHARED_COUNTS)
    before.add("connections", 2)
    before.add("deliveries.sent", 7)
    after = counters(0, SHARED_COUNTS)
    assert (0, 7) == (after.own("connections"), after.own("deliveries.sent"))


def test_dots_in_names_make_tables():
    """Each level of a name is a table."""
    totals = {"a": 1, "b.c": 2, "b.d.e": 3, "b.d.f": 4}
    assert {"a": 1, "b": {"c": 2, "d": {"e": 3, "f": 4}}} == nested(totals)


def test_no_name_is_both_a_count_and_a_table():
    """Else the one would hide the other."""
    assert not {name.rpartition(".")[0] for name in SHARED_COUNTS} & set(SHARED_COUNTS)
