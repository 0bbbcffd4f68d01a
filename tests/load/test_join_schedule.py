import numpy as np
import pytest

from harness.load.join_schedule import disturbance_order, join_offsets_s
from harness.load.schedule import Schedule
from tests.load.conftest import make_plan


def disturbed(*disturbances, **publishing):
    """The plan of 90 + 10 users with these disturbances."""
    plan = make_plan(**publishing)
    workload = plan.workload.model_validate(
        plan.workload.model_dump(exclude_none=True) | {"disturbances": disturbances}
    )
    return plan.model_copy(update={"workload": workload})


def test_flash_crowd_stays_away_and_then_comes_at_its_own_rate():
    """A fifth of 90 waits for second 5 of the measuring and is in within a second."""
    plan = disturbed({"kind": "flash_crowd", "at_s": 5.0, "share": 0.2, "rate_per_s": 20.0})
    offsets_s = join_offsets_s(plan, "subscriber", 90)
    crowd_s = plan.measure_start_s + 5.0
    late = offsets_s[offsets_s >= crowd_s]
    assert 18 == len(late)
    assert late.max() < crowd_s + 1.0
    assert offsets_s.min() < 1.0


def test_timetable_waits_only_for_those_who_join_at_first():
    """80 of 100 users at 10 a second are in after 8 s."""
    plan = disturbed({"kind": "flash_crowd", "at_s": 5.0, "share": 0.2})
    assert 8.0 == plan.phases[0].end_s
    assert join_offsets_s(plan, "chatter", 10)[:1] < 8.0


def test_two_flash_crowds_take_different_users():
    """Nobody is held back twice, so nobody is missing from the first joins without need."""
    crowds = [{"kind": "flash_crowd", "at_s": at_s, "share": 0.4} for at_s in (5.0, 10.0)]
    offsets_s = join_offsets_s(disturbed(*crowds), "subscriber", 90)
    measure_s = disturbed(*crowds).measure_start_s
    assert [18, 36, 36] == np.histogram(
        offsets_s, [0.0, measure_s, measure_s + 7.5, measure_s + 20.0]
    )[0].tolist()


def test_crowd_is_the_same_for_the_same_seed_and_another_for_another_disturbance():
    """A run can be repeated; two disturbances do not always hit the same people."""
    plan = make_plan()
    first = disturbance_order(plan, "subscriber", 90, 0).tolist()
    assert first == disturbance_order(plan, "subscriber", 90, 0).tolist()
    assert first != disturbance_order(plan, "subscriber", 90, 1).tolist()
    assert list(range(90)) == sorted(first)


def test_burst_on_the_timeline_multiplies_the_rate_while_it_lasts():
    """50 messages a second, 150 in the two seconds of a burst of factor 3."""
    burst = {"kind": "burst", "at_s": 4.0, "length_s": 2.0, "factor": 3.0}
    plan = disturbed(burst, arrival="uniform")
    into_s = Schedule(plan).intended_s - plan.measure_start_s
    per_second = np.bincount(into_s[into_s >= 0].astype(int))
    assert [50, 50, 50, 50, 150, 150, 50] == per_second[:7].tolist()


def test_burst_on_the_timeline_comes_on_top_of_the_recurring_ones():
    """Where both are on, their factors multiply."""
    single = {"kind": "burst", "at_s": 0.0, "length_s": 20.0, "factor": 2.0}
    recurring = {"factor": 3.0, "length_s": 1.0, "every_s": 4.0}
    plan = disturbed(single, arrival="uniform", burst=recurring)
    into_s = Schedule(plan).intended_s - plan.measure_start_s
    assert len(into_s[into_s >= 0]) == pytest.approx(20 * 50 * 2 * (3 * 1 + 1 * 3) / 4)
