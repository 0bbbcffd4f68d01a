import pandas as pd
import pytest

from harness.analysis.run.disturbances import (
    disturbances,
    fan_out_p99_ms,
    longest_recovery_s,
    objectives_on_p99,
    outcomes,
    recovery_s,
    seconds_inside,
)
from harness.analysis.run.finalize import analyse
from tests.analysis.run.test_ledger import frame
from tests.support.records import disturbance, run_file, second, three_subscribers, write_record
from tests.support.simulated_run import Simulation

LIMIT = {"metric": "fan_out_latency_ms.p99", "op": "<=", "limit": 100.0}


def p99_from(first, *values):
    """Return p99 by second from ``first`` on; None is a second without deliveries."""
    return pd.Series(values, index=range(first, first + len(values)), dtype=float).dropna()


@pytest.mark.parametrize(
    ("p99_ms", "end_s", "expected"),
    [
        (p99_from(0, *[50] * 30), 10.0, 0.0),
        (p99_from(0, *[50] * 10, 5000, *[50] * 10), 10.0, 1.0),
        (p99_from(0, *[50] * 10, 5000, *[50] * 10), 10.4, 0.6),
        (p99_from(0, *[50] * 10, 5000, 3000, 100, 100, 100, 100, 100), 10.0, 2.0),
        (p99_from(0, *[50] * 10, 900, 50, 50, 50, 50, 900, *[50] * 5), 10.0, 6.0),
        (p99_from(0, *[50] * 10, 900, *[None] * 20, *[50] * 5), 10.0, 21.0),
        (p99_from(0, *[50] * 10, 900, 50, None, 50, None, 50, None, 50, None, 50), 10.0, 1.0),
        (p99_from(0, *[50] * 10, 900, 50, 50, 50, 50), 10.0, None),
        (p99_from(0, *[50] * 10), 10.0, None),
        (p99_from(0, *[100.1] * 30), 10.0, None),
    ],
    ids=[
        *("never left", "back after one second", "an end within a second", "the limit is inside"),
        *("a relapse within five seconds starts anew", "silence is no recovery"),
        *("a quiet chat counts its seconds with deliveries", "too few seconds left"),
        *("nothing after it", "never back"),
    ],
)
def test_recovery_lasts_until_the_first_of_five_seconds_inside(p99_ms, end_s, expected):
    """Worked by hand, second by second."""
    assert expected == pytest.approx(recovery_s(p99_ms <= 100, end_s))


def by_class(subscriber, chatter):
    """Return a timeline with the p99 of each kind of user, from second 0 on."""
    rows = [
        second(number, user_class=name, fan_out_latency_ms_p99=value)
        for name, values in (("subscriber", subscriber), ("chatter", chatter))
        for number, value in enumerate(values)
    ]
    return frame("timeline", rows)


def test_without_an_objective_there_is_no_recovery():
    """Nothing says what inside means."""
    assert recovery_s(seconds_inside(by_class([50] * 30, [50] * 30), []), 10.0) is None


def test_every_objective_on_the_p99_must_hold():
    """A soft limit and a hard one."""
    timeline = by_class([*[50] * 10, 900, *[80] * 5, *[50] * 5], [])
    inside = seconds_inside(timeline, [LIMIT, LIMIT | {"op": "<", "limit": 60.0}])
    assert 6.0 == recovery_s(inside, 10.0)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({}, [False, False, True]),
        ({"user_class": "subscriber"}, [False, True, True]),
        ({"user_class": "chatter"}, [True, False]),
    ],
)
def test_an_objective_on_one_kind_of_user_asks_nobody_else(scope, expected):
    """Chatters got nothing in the last second: for them it is no evidence."""
    timeline = by_class([200, 50, 50], [50, 200, None])
    assert expected == seconds_inside(timeline, [LIMIT | scope]).to_list()


def test_an_objective_on_another_phase_says_nothing_of_recovery():
    """Disturbances happen while measuring."""
    ours = [LIMIT, LIMIT | {"phase": "measure"}]
    others = [LIMIT | {"phase": "warm_up"}, LIMIT | {"metric": "fan_out_latency_ms.p50"}]
    assert ours == objectives_on_p99([*others, *ours])


def test_the_class_that_has_it_worst_counts():
    """Chatters wait longer than subscribers; a second without deliveries is missing."""
    rows = [
        second(5, fan_out_latency_ms_p99=20.0),
        second(5, user_class="chatter", fan_out_latency_ms_p99=40.0),
        second(6, fan_out_latency_ms_p99=30.0),
        second(7),
    ]
    assert {5: 40.0, 6: 30.0} == fan_out_p99_ms(frame("timeline", rows)).to_dict()


def test_a_stall_of_five_seconds_is_recovered_from_within_a_second(tmp_path):
    """Nothing arrives from 10 s to 15 s, then all at once; what was lost is said with it."""
    plan = Simulation(
        measure_s=30,
        stall=(10.0, 15.0),
        cut=(25.0, 0.5),
        publishes_per_s=40,
        disturbances=[
            disturbance("herd", "connection_loss", 25.0, 25.0),
            disturbance("stall", "stall", 10.0, 15.0),
        ],
    )
    analysis = analyse(plan.write(tmp_path / "run"))
    stall, herd = analysis.summary["disturbances"]
    assert ("stall", 1.0) == (stall["name"], stall["recovery_s"])
    assert 5000 == pytest.approx(stall["fan_out_p99_ms_peak"], rel=0.1)
    cut = int((analysis.record.connections["connection"] == 1).sum())
    assert (0, cut) == (stall["disconnects"], herd["disconnects"])
    assert (0, int(analysis.record.messages["lost"].sum())) == (stall["lost"], herd["lost"])
    assert analysis.summary["recovery_s"]["max"] == max(stall["recovery_s"], herd["recovery_s"])


def test_a_record_from_before_disturbances_has_none(tmp_path):
    """The list is absent."""
    analysis = analyse(three_subscribers(tmp_path / "run"))
    assert [] == analysis.summary["disturbances"]
    assert analysis.summary["recovery_s"]["max"] is None


def test_a_disturbance_lasts_until_the_run_ends_where_it_never_was_over(tmp_path):
    """One that the run did not get to is left out."""
    planned = [
        disturbance("never over", "stall", 5.0, None),
        disturbance("never begun", "stall", None, None),
        disturbance("after the end", "stall", 40.0, 45.0),
    ]
    record = analyse(three_subscribers(tmp_path / "r", run=run_file(disturbances=planned))).record
    (only,) = disturbances(record)
    assert ("never over", 5.0, 12.0) == (only.name, only.start_s, only.end_s)


def test_effects_count_until_the_next_disturbance_begins(tmp_path):
    """Of two that begin together both have what followed."""
    run = run_file(
        disturbances=[
            disturbance("one", "a", 5.0, 6.0),
            disturbance("two", "b", 5.0, 7.0),
            disturbance("three", "c", 8.0, 9.0),
        ]
    )
    seconds = [second(5, disconnects=2), second(7, disconnects=1), second(8, disconnects=4)]
    record = analyse(write_record(tmp_path / "run", run=run, timeline=seconds)).record
    assert [3, 3, 4] == [one["disconnects"] for one in outcomes(record)]


@pytest.mark.parametrize(("times", "longest"), [([], None), ([0.0, 3.0], 3.0), ([1.0, None], None)])
def test_the_longest_recovery_is_unknown_where_one_never_ended(times, longest):
    """An objective on it then has no data, and fails."""
    assert longest == longest_recovery_s([{"recovery_s": time} for time in times])
