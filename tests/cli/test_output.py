"""What scripts read: one JSON object, one line, one exit code, whatever happens."""

import json
import sys
from pathlib import Path

import pytest

from harness.cli import app
from harness.cli import run as verb
from harness.cli.distributed import worker_command
from harness.core.child_errors import decode_error, encode_error
from harness.core.errors import MachineError, ScenarioError, ScenarioProblem
from harness.scenario.loading import load_plan
from tests.cli.test_run import TARGET, WORKLOAD, run_fake
from tests.support.programs import finished_python
from tests.support.runs import lenient, sets
from tests.support.simulated_run import Simulation

ENVELOPE = {"exit_code", "verdict", "error"}
UNREACHABLE = {"code": "unreachable", "message": "nobody joined", "hint": None, "exit_code": 5}


@pytest.fixture
def harness(monkeypatch, capsys):
    """Return a function that runs the command in this process: exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            app.main()
        return caught.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("run", "gone", "--target", "appsync-events-emulated"),
        ("run", "ci-smoke"),
        ("sweep", "ci-smoke", "--target", "gone"),
        ("study", "gone"),
        ("report", "gone"),
        ("report", "--history", "gone"),
        ("check", "gone"),
        ("compare", "gone", "gone"),
        ("compare", "a", "b", "--fail-if", "nothing +1%"),
        ("cost", "gone"),
        ("plan", "gone", "--no-such-flag"),
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_error_before_anything_ran_is_an_object_too(harness, words, tmp_path, monkeypatch):
    """It has the parts of the sentence that stderr has."""
    monkeypatch.chdir(tmp_path)
    code, out, err = harness(*words, "--json")
    found = json.loads(out)
    assert (2, 2, None) == (code, found["exit_code"], found["verdict"])
    assert ENVELOPE == set(found)
    error = found["error"]
    assert {"where", "found", "required", "hint", "message", "problems"} == set(error)
    assert error["where"]
    assert error["required"]
    assert "rror: " in err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "code", "verdict"),
    [
        ({}, 0, "pass"),
        ({"cause": UNREACHABLE, "status": "aborted"}, 5, "invalid"),
        ({"status": "interrupted"}, 130, "invalid"),
    ],
)
@pytest.mark.parametrize("name", ["check", "report"])
def test_object_of_a_run_has_its_verdict_and_every_figure(
    harness, tmp_path, changes, code, verdict, name
):
    """The exit code is the same inside and outside, and the cause of an early end is in words."""
    folder = Simulation(changes=changes).write(tmp_path / "run")
    ended, out, err = harness(name, folder, "--json")
    found = json.loads(out)
    assert (code, code, verdict, "") == (ended, found["exit_code"], found["verdict"], err)
    assert found["error"] is None
    assert changes.get("cause") == found["cause"]
    assert 1.0 == found["figures"]["deliveries.ratio"]
    assert str(folder) == found["folder"]


@pytest.mark.parametrize("words", [("cost",), ("plan",), ("report", "--history")])
def test_object_of_a_verb_without_a_verdict_has_none(harness, tmp_path, words):
    """The keys are the same in every subcommand."""
    folder = Simulation().write(tmp_path / "run")
    code, out, err = harness(*words, folder, "--json")
    found = json.loads(out)
    assert (0, "") == (code, err)
    assert set(found) > ENVELOPE
    assert [0, None, None] == [found[key] for key in ("exit_code", "verdict", "error")]


def test_object_of_validate_has_the_valid_files_and_the_problems_of_the_others(harness, tmp_path):
    """Both at once, as in the text."""
    file = tmp_path / "workload.toml"
    file.write_text('[population]\nsubscribers = -1\ncolour = "red"\n')
    code, out, _ = harness("validate", "ci-smoke", file, "--json")
    found = json.loads(out)
    assert (2, 2) == (code, found["exit_code"])
    (valid,) = found["valid"].values()
    assert valid.startswith("workload ci-smoke, ")
    places = [problem["where"] for problem in found["error"]["problems"]]
    assert f"{file}: population.subscribers" in places
    assert f"{file}: population.colour" in places


def test_object_of_doctor_has_each_check(harness):
    """With what was found and what is needed as numbers."""
    _, out, _ = harness("doctor", "ci-smoke", "--target", "appsync-events-emulated", "--json")
    found = json.loads(out)
    assert 1 == found["workers"]
    assert all({"name", "found", "needed", "enough"} <= set(check) for check in found["checks"])


def test_quiet_doctor_and_validate_print_only_what_matters(harness):
    """Nothing for files that are valid."""
    assert (0, "", "") == harness("validate", "ci-smoke", "--quiet")
    code, out, _ = harness("doctor", "ci-smoke", "--target", "appsync-events-emulated", "-q")
    assert code or out.startswith("workers: 1, ")


def test_level_of_the_log_is_that_of_locust_and_a_locust_argument_beats_it(output):
    """The harness logs through the same root."""
    assert "--loglevel" not in verb.load_command(Path("out"), 1, [])
    output.log_level = "debug"
    command = verb.load_command(Path("out"), 1, ["--loglevel=ERROR"])
    assert ["--loglevel", "DEBUG", "--loglevel=ERROR"] == command[-3:]
    assert ["--loglevel", "DEBUG"] == worker_command("10.0.0.1", 5557, 1)[-2:]


def test_interrupt_without_a_result_is_an_error(harness, monkeypatch):
    """A script sees why there is nothing."""
    monkeypatch.setattr(verb, "run_load", _interrupt)
    code, out, _ = harness("run", "ci-smoke", "--target", "appsync-events-emulated", "--json")
    found = json.loads(out)
    assert (130, 130) == (code, found["exit_code"])
    assert "interrupted" == found["error"]["found"]


def _interrupt(*_args, **_options):
    raise KeyboardInterrupt


def test_bug_is_an_object_too(harness, monkeypatch, tmp_path):
    """It names the file with the traceback."""
    monkeypatch.setattr(app.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(verb, "run_load", lambda *_, **__: 1 / 0)
    code, out, _ = harness("run", "ci-smoke", "--target", "appsync-events-emulated", "--json")
    (file,) = tmp_path.iterdir()
    error = json.loads(out)["error"]
    assert (1, "unexpected ZeroDivisionError (division by zero)") == (code, error["found"])
    assert str(file) in error["required"]


def test_error_of_the_load_process_has_its_parts(tmp_path, printed_json):
    """They come from another process, problem by problem."""
    code = run_fake(load_plan(WORKLOAD, TARGET), tmp_path / "reports" / "run", "refuses")
    error = printed_json(code)["error"]
    assert ("scenario.toml", "c", "a must be b", "do") == tuple(
        error[part] for part in ("where", "found", "required", "hint")
    )


def test_parts_of_an_error_survive_the_way_between_processes():
    """As data, not only as a sentence."""
    told = decode_error(encode_error(MachineError("here", "too little", "more", "buy some")))
    assert told is not None
    assert ("here", "too little", "more") == (told.where, told.found, told.required)


def test_all_problems_are_in_the_object(output, printed_json):
    """The first stands above the others."""
    first, second = ScenarioProblem("a", "k", "1", "no"), ScenarioProblem("b", "", "", "gone", "x")
    output.error = ScenarioError([first, second])
    error = printed_json(2)["error"]
    assert ["a: k", "b"] == [one["where"] for one in error["problems"]]
    assert error["problems"][0]["where"] == error["where"]
    assert "a: k no, got 1\nb gone\nhint: x" == error["message"]


def test_help_with_json_is_help(harness):
    """Nothing was asked for that could be an object."""
    code, out, _ = harness("cost", "--json", "--help")
    assert 0 == code
    assert out.startswith("Usage: harness cost")
    assert "{" not in out


def test_quiet_run_shows_no_progress(tmp_path, output, capsys, monkeypatch):
    """Errors are still there."""
    monkeypatch.setattr(verb, "show_report", lambda _folder: 0)
    output.quiet = True
    plan = load_plan(WORKLOAD, TARGET)
    assert 0 == run_fake(plan, tmp_path / "run", "ends")
    assert ("", "") == capsys.readouterr()
    assert 2 == run_fake(plan, tmp_path / "reports" / "run", "refuses")
    assert capsys.readouterr().err.startswith("error: scenario.toml")


@pytest.mark.slow
@pytest.mark.end_to_end
def test_run_gives_one_object_and_a_log_as_detailed_as_asked(tmp_path):
    """From the outside, with nothing on stderr."""
    folder = tmp_path / "run"
    flags = ("--json", "--quiet", "--log-level", "debug", "--out", str(folder))
    words = ("run", "ci-smoke", "--target", "appsync-events-emulated", *sets(lenient()), *flags)
    done = finished_python("-m", "harness", *words)
    found = json.loads(done.stdout)
    assert (done.returncode, "") == (found["exit_code"], done.stderr)
    assert str(folder / "report.html") == found["report"]
    assert "/DEBUG/" in (folder / "locust.log").read_text("utf-8")
