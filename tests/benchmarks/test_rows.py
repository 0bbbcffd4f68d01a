from benchmarks import rows
from benchmarks.latency import Many, Reported


def test_memory_has_a_limit_for_each_way_to_hold_a_subscriber() -> None:
    """Plain, over TLS, and in cohorts; what is missing keeps its limit and says why."""
    found = rows.memory(16.0, 56.5, "not built")
    assert [True, False, None] == [row.holds for row in found]
    assert [16.0, 56.0, 2.5] == [row.limit for row in found]
    assert "not built" == found[2].missing


def test_latency_shift_counts_in_both_directions() -> None:
    """A p95 that gets better by 5 ms is as wrong as one that gets worse."""
    many = Many(Reported(30.0, 35.0, 320.0, 40.0, -5.0, 10, 0), 9.0, 5000)
    shift, own_clock = rows.latency(many)
    assert (5.0, False) == (shift.value, shift.holds)
    assert (280.0, None) == (own_clock.value, own_clock.holds)


def test_failed_run_leaves_its_reason_in_every_row_it_had() -> None:
    """Nothing is skipped in silence."""
    found = [*rows.latency("ended with 2"), *rows.memory("ended with 2", 1.0, 1.0)[:1]]
    assert ["ended with 2"] * 3 == [row.missing for row in found]


def test_each_comparison_needs_receivers_and_says_which_is_missing() -> None:
    """Without a compiler there is no floor, and the rows say so."""
    names = {name for _, _, ours, other, _ in rows.COMPARISONS for name in (ours, other)}
    lanes = dict.fromkeys(names | {"nchan"}, "no C compiler")
    found = [*rows.receiving(lanes), rows.sending(lanes)]
    assert len(rows.COMPARISONS) + 1 == len(found)
    assert {"no C compiler"} == {row.missing for row in found}
