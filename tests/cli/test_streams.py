"""Commands whose output, working directory or file names are unusable: one sentence, right code."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.runs import lenient, sets
from tests.support.waiting import PATIENCE_S

LIGHT = {
    "help": ("--help",),
    "version": ("--version",),
    "examples": ("examples",),
    "systems": ("systems",),
    "validate": ("validate", "ci-smoke", "appsync-events-emulated"),
    "doctor": ("doctor", "ci-smoke", "--target", "appsync-events-emulated"),
    "init": ("init", "NEW", "--system", "polling"),
}
HEAVY = {
    "report": ("report", "RECORD"),
    "history": ("report", "--history", "RECORD"),
    "check": ("check", "RECORD"),
    "compare": ("compare", "RECORD", "RECORD", "--out", "PAGE"),
    "cost": ("cost", "RECORD"),
    "plan": ("plan", "RECORD", "--users", "1000"),
    "baseline": ("baseline", "save", "RECORD", "--out", "PAGE"),
    "json": ("check", "RECORD", "--json"),
    "quiet": ("check", "RECORD", "--quiet"),
}
EACH_VERB = [
    *(pytest.param(words, id=name) for name, words in LIGHT.items()),
    *(pytest.param(words, id=name, marks=pytest.mark.slow) for name, words in HEAVY.items()),
]
TO_A_PIPE_WHOSE_READER_HAS_LEFT = "exec > >(:); wait $!"
CLOSED_FROM_THE_START = "exec >&-"
ON_A_FULL_DISK = "exec > /dev/full"
TOO_LONG = "a" * 300


@pytest.fixture
def harness(tmp_path):
    """Run the command after some shell commands; return how it ended."""

    def run(words, before="true", **variables):
        folder = tmp_path / "record"
        if "RECORD" in words:
            shutil.copytree(ROOT / "reports" / "sample", folder)
        places = {"RECORD": str(folder), "NEW": str(tmp_path / "new"), "PAGE": str(tmp_path / "p")}
        command = [sys.executable, "-P", "-m", "harness", *(places.get(w, w) for w in words)]
        return subprocess.run(
            ["bash", "-c", f'{before}; exec "$@"', "bash", *command],
            cwd=tmp_path,
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return run


@pytest.mark.parametrize("words", EACH_VERB)
def test_reader_that_has_left_is_no_error(harness, words):
    """``| head`` changes no exit code and says nothing."""
    done = harness(words, TO_A_PIPE_WHOSE_READER_HAS_LEFT)
    assert (0, b"") == (done.returncode, done.stderr)


@pytest.mark.slow
def test_reader_of_a_study_that_has_left_is_no_error(harness):
    """The exit code is that of a study whose runs are missing."""
    done = harness(
        ("study", "sse-vs-appsync", "--report-only", "--out", "PAGE"),
        TO_A_PIPE_WHOSE_READER_HAS_LEFT,
    )
    assert (4, b"") == (done.returncode, done.stderr)


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.parametrize("verb", [("run",), ("sweep", "--max-steps", "1", "--from", "50")])
def test_reader_of_a_run_that_has_left_is_no_error(harness, verb):
    """The run ends as it would have; what it printed nobody reads."""
    target = ("--target", "appsync-events-emulated")
    words = (verb[0], "ci-smoke", *target, *sets(lenient()), *verb[1:], "--quiet")
    done = harness((*words, "--out", "PAGE"), TO_A_PIPE_WHOSE_READER_HAS_LEFT)
    assert done.returncode in {0, 3, 4}
    assert b"" == done.stderr


@pytest.mark.parametrize("words", EACH_VERB)
def test_output_that_is_closed_from_the_start_is_no_error(harness, words):
    """A service manager may start a command so."""
    done = harness(words, CLOSED_FROM_THE_START)
    assert (0, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize("words", EACH_VERB)
def test_output_on_a_full_disk_is_an_error_in_one_sentence(harness, words):
    """What cannot be written is never a success."""
    done = harness(words, ON_A_FULL_DISK)
    said = done.stderr.decode()
    assert 2 == done.returncode, said
    assert said.startswith("error: standard output: cannot be used (no space left on device), ")
    assert 1 == said.count("error: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("words", EACH_VERB)
@pytest.mark.parametrize(
    "variables",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["ascii", "C"],
)
def test_output_that_is_not_utf8_is_no_error(harness, words, variables):
    """A character that it cannot show is shown as another."""
    done = harness(words, **variables)
    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout


@pytest.mark.parametrize("words", [LIGHT["init"], LIGHT["validate"], HEAVY["compare"]])
def test_deleted_working_directory_is_named(harness, words):
    """Before anything is started."""
    done = harness(words, 'gone="$(mktemp -d)"; cd "$gone"; rmdir "$gone"')
    said = done.stderr.decode()
    assert 2 == done.returncode, said
    assert said.startswith("error: working directory: cannot be used (no such file or directory), ")


@pytest.mark.parametrize(
    "words",
    [
        ("run", TOO_LONG, "--target", "appsync-events-emulated"),
        ("run", "ci-smoke", "--target", "appsync-events-emulated", "--out", TOO_LONG),
        ("run", "ci-smoke", "--target", "appsync-events-emulated", "--locustfile", TOO_LONG),
        ("sweep", "ci-smoke", "--target", "appsync-events-emulated", "--out", TOO_LONG),
        ("study", "sse-vs-appsync", "--out", TOO_LONG),
        ("worker", "--master-host", "127.0.0.1", "--secret-file", TOO_LONG),
        ("emulate", TOO_LONG),
        ("validate", TOO_LONG),
        ("doctor", TOO_LONG),
        ("report", TOO_LONG),
        ("check", TOO_LONG),
        ("compare", TOO_LONG, TOO_LONG),
        ("cost", TOO_LONG),
        ("plan", TOO_LONG),
        ("init", TOO_LONG, "--system", "polling"),
    ],
    ids=lambda words: f"{words[0]}-{words[-2]}",
)
def test_name_that_is_too_long_is_bad_usage(harness, words):
    """Whatever it was to name: one sentence, and no bug of ours."""
    done = harness(words)
    said = done.stderr.decode()
    assert 2 == done.returncode, said
    assert said.startswith("error: ")
    assert "(file name too long)" in said.splitlines()[0]
    assert "Traceback" not in said
