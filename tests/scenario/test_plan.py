from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario.plan import PHASE_NAMES, Plan
from harness.scenario.target import Target
from tests.support import plans


def plan_of(subscribers=9, chatters=1, join_rate_per_s=2.0, **publishing) -> Plan:
    return plans.plan_of(
        population={"subscribers": subscribers, "chatters": chatters},
        joins={"rate_per_s": join_rate_per_s},
        publishing=publishing or {"rate_per_s": 4.0},
        phases={"settle_s": 1.0, "warm_up_s": 2.0, "measure_s": 5.0, "drain_s": 1.0},
    )


def test_phases_follow_each_other_without_gaps():
    """The timetable of ten users at two a second is known to the second."""
    assert [
        ("join", 0.0, 5.0),
        ("settle", 5.0, 6.0),
        ("warm_up", 6.0, 8.0),
        ("measure", 8.0, 13.0),
        ("drain", 13.0, 14.0),
    ] == [(phase.name, phase.start_s, phase.end_s) for phase in plan_of().phases]


@pytest.mark.parametrize(
    ("drain_s", "tables", "expected_s"),
    [
        (1.0, {"client": {"interval_s": 4.0, "jitter_ratio": 0.5}}, 8.0),
        (1.0, {"client": {"interval_s": 4.0, "jitter_ratio": 0.0}, "emulator": {}}, 6.0),
        (1.0, {"emulator": {"poll_after_s": 10.0}}, 13.0),
        (1.0, {}, 7.5),
        (60.0, {}, 60.0),
    ],
)
def test_drain_lasts_until_the_last_poll_is_answered(drain_s, tables, expected_s):
    """The longest wait, jitter included, and 2 s; or as long as the workload says, if longer."""
    target = Target.model_validate({"name": "t", "system": "polling", "emulated": True} | tables)
    plan = plans.revised(plan_of(), phases={"drain_s": drain_s})
    plan = plan.model_copy(update={"target": target})
    assert expected_s == pytest.approx(plan.total_s - plan.phases[-1].start_s)


@pytest.mark.parametrize(
    ("users", "rate_per_s", "join_s"),
    [(10, 3.0, 4.0), (2, 1000.0, 1.0), (3, 0.1, 30.0), (1000, 200.0, 5.0)],
)
def test_joining_takes_whole_seconds_and_one_at_least(users, rate_per_s, join_s):
    """The join phase is rounded up to seconds, and rounding errors add none."""
    assert join_s == plan_of(subscribers=users - 1, join_rate_per_s=rate_per_s).phases[0].end_s


@pytest.mark.parametrize(
    ("second", "name"),
    [
        (-3.0, "join"),
        (0.0, "join"),
        (4.999, "join"),
        (5.0, "settle"),
        (8.0, "measure"),
        (12.999, "measure"),
        (13.0, "drain"),
        (14.0, "drain"),
        (99.0, "drain"),
    ],
)
def test_phase_begins_at_its_start_and_ends_before_its_end(second, name):
    """Each instant has one phase, before and after the run too."""
    assert name == plan_of().timetable.phase_at(second)


def test_phase_without_length_is_skipped():
    """A phase of no length holds no instant."""
    assert "warm_up" == plans.revised(plan_of(), phases={"settle_s": 0.0}).timetable.phase_at(5.0)


def test_users_and_rate_and_channels_come_from_the_files():
    """A plan adds up the population and names channels under the target's namespace."""
    plan = plan_of()
    assert (10, 4.0, "/default/room-3") == (plan.users, plan.rate_per_s, plan.channel_path(3))


@pytest.mark.parametrize(
    ("publishing", "rate_per_s"),
    [
        ({"messages_per_day": 25_000.0, "live_window_hours": 4.0}, 25_000 / 14_400),
        ({"messages_per_day": 86_400.0}, 1.0),
        ({"rate_per_s": 0.05}, 0.05),
    ],
)
def test_messages_of_a_day_are_spread_over_its_live_window(publishing, rate_per_s):
    """25,000 messages in four hours are 1.74 a second; without a window a day has 24 hours."""
    assert rate_per_s == pytest.approx(plan_of(**publishing).rate_per_s)


@given(
    subscribers=st.integers(1, 50_000),
    chatters=st.integers(1, 5_000),
    join_rate_per_s=st.floats(0.01, 5_000),
    rate_per_s=st.floats(0.001, 10_000),
)
def test_plan_survives_json(subscribers, chatters, join_rate_per_s, rate_per_s):
    """A plan sent to a worker is the plan the worker gets, timetable included."""
    plan = plan_of(subscribers, chatters, join_rate_per_s, rate_per_s=rate_per_s)
    again = Plan.model_validate_json(plan.model_dump_json())
    assert (plan, plan.phases) == (again, again.phases)


@given(subscribers=st.integers(0, 50_000), join_rate_per_s=st.floats(0.01, 5_000))
def test_every_phase_starts_where_the_one_before_ends(subscribers, join_rate_per_s):
    """Whatever the population, phases keep their order and leave no gap."""
    phases = plan_of(subscribers, 1, join_rate_per_s).phases
    assert PHASE_NAMES == tuple(phase.name for phase in phases)
    assert all(before.end_s == after.start_s for before, after in pairwise(phases))


def test_plan_cannot_be_changed():
    """A plan is frozen: what was validated is what runs."""
    plan = plan_of()
    with pytest.raises(ValueError, match="frozen"):
        plan.workload_file = "other.toml"  # type: ignore[misc]  # the very point
