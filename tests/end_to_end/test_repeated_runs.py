import json
import signal

from tests.support.runs import SHORT, after
from tests.support.waiting import wait_for


def twice(launcher):
    """Run twice, and compare the folder of the runs with itself."""
    outcome = launcher.run(SHORT, "--repeat", 2).outcome()
    page = outcome.folder / "comparison.html"
    compare = launcher.harness("compare", outcome.folder, outcome.folder, "--out", page, "--json")
    return outcome, compare.outcome()


@after(twice)
def test_repeated_runs_are_a_side_of_a_comparison(outcome):
    """Each has its own seed and record; the folder of both is taken as it is."""
    ended, compared = outcome
    assert (0, []) == (ended.exit_code, ended.left)
    runs = [json.loads((ended.folder / name / "run.json").read_bytes()) for name in ("1", "2")]
    first, second = (run["plan"]["workload"]["seed"] for run in runs)
    assert first + 1 == second
    assert ["pass", "pass"] == [run["verdict"] for run in runs]
    assert "\n2 runs\n" in ended.stdout
    assert 0 == compared.exit_code
    assert [2, 2] == [len(side["runs"]) for side in json.loads(compared.stdout)["sides"]]


def interrupted_in_the_second(launcher):
    running = launcher.run(SHORT, "--repeat", 9)
    wait_for((running.folder / "2" / "journal").is_dir, "the second run")
    running.send(signal.SIGINT)
    return running.outcome()


@after(interrupted_in_the_second)
def test_interrupted_series_keeps_what_is_there(outcome):
    """Exit 130, no further run, and the table of those that left a record."""
    assert (130, []) == (outcome.exit_code, outcome.left)
    assert "Traceback" not in outcome.said
    first = json.loads((outcome.folder / "1" / "run.json").read_bytes())
    assert "pass" == first["verdict"]
    assert not (outcome.folder / "9").exists()
    assert " of 9 runs\n" in outcome.stdout
