import pytest

from benchmarks import rows, senders
from benchmarks.full_scale import FullScaleResult
from benchmarks.latency import Reported, differences
from benchmarks.memory import Weight
from benchmarks.programs import ProgramError
from benchmarks.receivers import Ours
from benchmarks.side_by_side import Contender, Pace
from benchmarks.slope import Slope


def weight(kib: float, error: float = 0.5) -> Weight:
    return Weight(Slope(kib, error), {1000: 1000 * kib, 2000: 2000 * kib})


def test_memory_has_a_limit_for_each_way_to_hold_a_subscriber() -> None:
    """Plain, over TLS, and in cohorts; what is missing keeps its limit and says why."""
    found = rows.memory(weight(16.0), weight(56.5), "not built")
    assert [True, False, None] == [row.holds for row in found]
    assert [16.0, 56.0, 2.5] == [row.limit for row in found]
    assert [(15.5, 16.5), (56.0, 57.0), None] == [row.spread for row in found]
    assert "not built" == found[2].missing


def test_latency_shift_counts_in_both_directions() -> None:
    """A p95 that gets better by 5 ms is as wrong as one that gets worse."""
    reported = Reported(30.0, 35.0, 320.0, 40.0, (-5.0, -9.0, -4.0), 5000, 0)
    shift, own_clock = rows.latency(reported)
    assert (5.0, False, (-7.0, -4.5)) == (shift.value, shift.holds, shift.spread)
    assert (280.0, None) == (own_clock.value, own_clock.holds)


def test_latency_that_drifts_moves_no_difference() -> None:
    """Each message with work is compared with both its neighbours: 7 ms a message cancel out."""
    p95_ms = {number: 7.0 * number + 2.0 * (number % 2) for number in range(4, 9)}
    assert (2.0, 2.0) == differences(p95_ms, range(4, 9, 2))


def test_failed_run_leaves_its_reason_in_every_row_it_had() -> None:
    """Nothing is skipped in silence."""
    found = [
        *rows.latency("ended with 2"),
        *rows.memory("ended with 2", weight(1.0), weight(1.0))[:1],
    ]
    assert ["ended with 2"] * 3 == [row.missing for row in found]


def test_each_comparison_needs_receivers_and_says_which_is_missing() -> None:
    """Without a compiler there is no floor, and the rows say so."""
    names = {name for _, _, ours, other, _ in rows.COMPARISONS for name in (ours, other)}
    contenders = dict.fromkeys(names | {"nchan"}, "no C compiler")
    found = [*rows.receiving(contenders), rows.sending(contenders)]
    assert len(rows.COMPARISONS) + 1 == len(found)
    assert {"no C compiler"} == {row.missing for row in found}


class Counting(Ours):
    """The harness, with a ledger that says what it is told to."""

    def __init__(self, counted: int | None) -> None:
        self._counted = counted

    def deliveries(self) -> int:
        if self._counted is None:
            raise ProgramError("the run ended")
        return self._counted


@pytest.mark.parametrize(
    ("counted", "missing", "expected"),
    [
        (20, "", ""),
        (19, "", "counted 19 deliveries of 20"),
        (None, "", "the run ended"),
        (None, "1 of 10 connections joined", "1 of 10 connections joined"),
    ],
)
def test_receiver_counts_only_where_its_ledger_agrees(
    monkeypatch, counted, missing, expected
) -> None:
    """Ten connections were sent two messages; a run that ended says so, and stops no other."""
    monkeypatch.setattr(rows, "COUNTED_WITHIN_S", 0.0)
    contender = Contender("ours", None, "/room", Counting(counted), 10, Pace(1, 1, 1))  # type: ignore[arg-type]
    contender.sent, contender.missing = 2, missing
    rows.check_count(contender)
    assert expected == contender.missing


def test_crowds_stand_side_by_side() -> None:
    """What is lost has a limit of none, and the two p99 are compared."""
    found = rows.full_scale(
        FullScaleResult(1, 100, 60.0, "fail"), FullScaleResult(0, 100, 80.0, "pass"), 30_000
    )
    assert [False, None, True, None, True] == [row.holds for row in found]
    assert [1.0, 60.0, 0.0, 80.0, 0.75] == [row.value for row in found]


def test_crowd_that_could_not_run_says_why() -> None:
    """Its own rows and the comparison carry the reason; the other's have their values."""
    found = rows.full_scale("nginx is missing", FullScaleResult(0, 100, 80.0, "pass"), 2000)
    reasons = [row.missing for row in found]
    assert ["nginx is missing"] * 2 + ["", ""] + ["nginx is missing"] == reasons


class Joining:
    """A server that some of those awaited join."""

    def __init__(self, held: list[int]) -> None:
        self._held = held

    def subscriptions(self) -> int:
        return self._held.pop(0) if len(self._held) > 1 else self._held[0]


def test_waiting_ends_when_all_have_joined() -> None:
    """It returns how many there are."""
    assert 3 == senders.wait_for(Joining([0, 1, 3, 9]), lambda: 3)  # type: ignore[arg-type]


def test_waiting_ends_when_nobody_joins_any_more(monkeypatch) -> None:
    """However many were wanted; each who joins renews the patience."""
    monkeypatch.setattr(senders, "PATIENCE_S", 0.15)
    assert 4 == senders.wait_for(Joining([0, 1, 2, 3, 4]), lambda: 9)  # type: ignore[arg-type]
