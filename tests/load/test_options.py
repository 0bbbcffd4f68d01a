import os
from argparse import Namespace

import pytest

from harness.core.errors import ScenarioError
from harness.load.options import apply_plan, locust_users, plan_from_options, worker_count


def with_cohorts(make_plan, size):
    plan = make_plan()
    people = plan.workload.population.model_copy(update={"connections_per_user": size})
    workload = plan.workload.model_copy(update={"population": people})
    return plan.model_copy(update={"workload": workload})


@pytest.mark.parametrize(
    ("cohort", "workers", "users"), [(1, 2, 90), (100, 1, 1), (100, 2, 2), (20, 2, 6), (7, 4, 16)]
)
def test_each_worker_gets_users_for_its_share_of_the_connections(make_plan, cohort, workers, users):
    """90 connections over the workers, each worker's share in cohorts, the last one not full."""
    assert users == locust_users(with_cohorts(make_plan, cohort), "subscriber", workers)


def test_locust_is_told_users_rate_and_an_end(make_plan):
    """Locust starts everybody at the planned rate; its own limit lies behind the timetable."""
    plan = make_plan()
    options = Namespace(processes=None, master=False)
    apply_plan(options, plan)
    assert (100, 10.0) == (options.num_users, options.spawn_rate)
    assert options.run_time > plan.total_s


@pytest.mark.parametrize(
    ("options", "workers"),
    [
        (Namespace(processes=None, master=False, expect_workers=1), 1),
        (Namespace(processes=-1, master=False, expect_workers=1), os.cpu_count()),
        (Namespace(processes=3, master=True, expect_workers=3), 3),
        (Namespace(processes=None, master=True, expect_workers=5), 5),
    ],
)
def test_workers_are_counted_as_locust_was_told(options, workers):
    """Forked workers, expected workers, or the one process of a local run."""
    assert workers == worker_count(options)


def test_both_files_are_asked_for_at_once():
    """Whoever names neither workload nor target hears of both."""
    with pytest.raises(ScenarioError) as caught:
        plan_from_options(Namespace(workload=None, target=""))
    assert ["--workload", "--target"] == [problem.file for problem in caught.value.problems]
