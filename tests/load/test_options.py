import os
from argparse import Namespace

import pytest
from locust.argument_parser import get_parser

from harness.core.errors import ScenarioError
from harness.load.options import (
    add_arguments,
    apply_plan,
    locust_users,
    plan_from_options,
    worker_count,
)
from harness.scenario.resolved import plan_file
from tests.support.plans import make_plan, revised


@pytest.mark.parametrize(
    ("cohort", "workers", "users"), [(1, 2, 90), (100, 1, 1), (100, 2, 2), (20, 2, 6), (7, 4, 16)]
)
def test_each_worker_gets_users_for_its_share_of_the_connections(cohort, workers, users):
    """90 connections over the workers, each worker's share in cohorts, the last one not full."""
    plan = revised(make_plan(), population={"connections_per_user": cohort})
    assert users == locust_users(plan, "subscriber", workers)


def test_locust_is_told_users_rate_and_an_end():
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
        plan_from_options(Namespace(plan=None, workload=None, target=""))
    assert ["--workload", "--target"] == [problem.file for problem in caught.value.problems]


@pytest.fixture(name="read")
def _read():
    """Reads a command line as Locust does, with our options."""
    parser = get_parser(default_config_files=[])
    add_arguments(parser)
    return parser.parse_args


def test_plan_that_is_handed_over_is_taken_as_it_is(read):
    """No file of the user's is read, and none need be there."""
    plan = make_plan()
    with plan_file(plan) as file:
        taken = plan_from_options(read(["--plan", str(file)]))
    assert (plan, False) == (taken, file.exists())


@pytest.mark.parametrize(
    ("arguments", "flag", "found"),
    [
        (["-u", "5"], "--users", "5"),
        (["-r", "2"], "--spawn-rate", "2.0"),
        (["-t", "3m"], "--run-time", "180"),
        (["--workload", "quickstart"], "--workload", "quickstart"),
        (["--target", "x.toml"], "--target", "x.toml"),
        (["--set", "a=1"], "--set", "['a=1']"),
    ],
)
def test_option_that_would_change_a_plan_is_refused_by_name(read, arguments, flag, found):
    """It would be ignored in silence, for the plan was made before."""
    with plan_file(make_plan()) as file, pytest.raises(ScenarioError) as caught:
        plan_from_options(read(["--plan", str(file), *arguments]))
    (problem,) = caught.value.problems
    assert ("--locust-arg", flag, found) == (problem.file, problem.key, problem.found)


def test_variables_of_plain_locust_name_files_and_folder(read, monkeypatch):
    """As for Locust's own options; a flag beats its variable."""
    for name in ("WORKLOAD", "TARGET", "OUT"):
        monkeypatch.setenv(f"LOCUST_{name}", name.lower())
    options = read(["--target", "mine"])
    assert ("workload", "mine", "out") == (options.workload, options.target, options.out)


def test_plan_is_no_option_of_the_user(read, capsys):
    """The help shows the others."""
    with pytest.raises(SystemExit):
        read(["--help-all"])
    shown = capsys.readouterr().out
    assert "--workload FILE|NAME" in shown
    assert "--plan" not in shown
