from pathlib import Path

import pytest

from harness.analysis.run.finalize import finalize
from harness.cli.output import give
from harness.cli.repeat import run_repeatedly, with_seeds, worst
from harness.cli.run import run
from harness.core.errors import ScenarioError
from harness.scenario.loading import load_plan
from tests.support.paths import ROOT
from tests.support.records import three_subscribers

WORKLOAD = ROOT / "scenarios" / "workloads" / "quickstart.toml"
TARGET = ROOT / "scenarios" / "targets" / "appsync-events-emulated.toml"


@pytest.fixture
def plan():
    return load_plan(WORKLOAD, TARGET, overrides=["seed=7"])


def recording(*endings):
    """Return a stand-in for a run that leaves a record and ends with the next of some codes."""
    made = []

    def one(plan, folder):
        made.append((plan.workload.seed, folder.name))
        ending = endings[len(made) - 1]
        if ending is KeyboardInterrupt:
            raise KeyboardInterrupt
        if ending != 2:
            three_subscribers(folder)
            finalize(folder)
        return ending

    return one, made


def test_each_run_has_the_next_seed_and_its_own_folder(plan, tmp_path, capsys):
    """The seeds are stated before each run, and a table shows all runs with their range."""
    one, made = recording(0, 0, 0)
    assert 0 == run_repeatedly(plan, tmp_path / "side", 3, one)
    assert [(7, "1"), (8, "2"), (9, "3")] == made
    said = capsys.readouterr()
    assert f"run 2 of 3, seed 8: {tmp_path / 'side' / '2'}" in said.err.splitlines()
    lines = [line.split("  ")[0] for line in said.out.splitlines()]
    assert ["3 runs", "Run", "1", "2", "3", "Median", "Lowest to highest"] == lines[1:8]
    assert f"runs: {tmp_path / 'side'}" in said.out.splitlines()


def test_the_object_of_several_runs_has_each_of_them(plan, tmp_path, output, printed_json):
    """And the verdict that the exit code is of; a run without a record has no entry."""
    one, _ = recording(0, 3, 2)

    def giving(plan, folder):
        code = one(plan, folder)
        if code != 2:
            give(lambda: {"folder": str(folder)}, lambda: None)
        return code

    output.as_json = True
    folder = tmp_path / "side"
    assert 2 == run_repeatedly(plan, folder, 3, giving)
    found = printed_json(2)
    assert [str(folder / "1"), str(folder / "2")] == [run["folder"] for run in found["runs"]]
    assert (2, None, str(folder)) == (found["exit_code"], found["verdict"], found["folder"])


def test_a_failed_run_is_followed_by_the_next_and_decides_the_exit_code(plan, tmp_path):
    """A run that failed or is invalid is a result, and ends no series."""
    one, made = recording(0, 4, 3)
    assert 4 == run_repeatedly(plan, tmp_path / "side", 3, one)
    assert 3 == len(made)


@pytest.mark.parametrize("ending", [130, KeyboardInterrupt])
def test_an_interruption_ends_the_series_and_keeps_what_is_there(plan, tmp_path, capsys, ending):
    """Ctrl-C may come in a run or between two."""
    one, made = recording(0, ending, 0)
    assert 130 == run_repeatedly(plan, tmp_path / "side", 3, one)
    assert 2 == len(made)
    found = sum(1 for _ in (tmp_path / "side").glob("*/run.json"))
    assert f"{found} of 3 runs" in capsys.readouterr().out


def test_a_run_without_a_record_ends_the_series(plan, tmp_path, capsys):
    """What keeps one run from starting keeps the next from it too."""
    one, made = recording(2)
    assert 2 == run_repeatedly(plan, tmp_path / "side", 3, one)
    assert 1 == len(made)
    assert "" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([0, 3, 0], 3), ([3, 4], 4), ([4, 5], 5), ([5, 2], 2), ([2, 1], 1), ([1, 130], 130)],
)
def test_worst_exit_code_of_a_series(codes, expected):
    """An interruption is the worst, then what says least about the system."""
    assert expected == worst(codes) == worst(codes[::-1])


def test_an_unknown_exit_code_is_as_bad_as_an_internal_error():
    """A signal's is unknown, for example."""
    assert -9 == worst([3, -9, 5])


def test_seeds_wrap_at_the_highest(plan):
    """A seed is a number of 32 bits."""
    last = plan.workload.model_copy(update={"seed": 2**32 - 1})
    seeds = [one.workload.seed for one in with_seeds(plan.model_copy(update={"workload": last}), 2)]
    assert [2**32 - 1, 0] == seeds


def test_a_series_with_workers_elsewhere_is_refused(tmp_path):
    """They exit with the run."""
    with pytest.raises(ScenarioError, match="--repeat must be used without --master"):
        run(Path(WORKLOAD), Path(TARGET), tmp_path / "side", repeat=2, master=True)
