import os
import re
import subprocess
import sys
import tempfile

import pytest

from harness.cli import app
from harness.core.errors import (
    HarnessError,
    InvalidRunError,
    MachineError,
    ScenarioError,
    ScenarioProblem,
    TargetUnreachableError,
)
from tests.support.programs import finished_python
from tests.support.waiting import PATIENCE_S

HEAVY = {"aiohttp", "gevent", "locust", "matplotlib", "numpy", "pandas", "pyarrow", "scipy"}


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    return finished_python("-m", "harness", *arguments)


def main_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run ``main`` on a command that raises, and return its exit code."""

    def build_failing_app():
        def fail(*, prog_name: str, standalone_mode: bool) -> None:
            raise error

        return fail

    monkeypatch.setattr(app, "build_app", build_failing_app)
    with pytest.raises(SystemExit) as caught:
        app.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_help_loads_nothing_heavy():
    """Help comes at once: what takes time to load is left to the verb that needs it."""
    program = f"""
import sys
from harness.cli.app import main
try:
    main()
except SystemExit as end:
    print(end.code, *sorted({HEAVY} & set(sys.modules)))
"""
    assert "0" == finished_python("-c", program, "--help").stdout.splitlines()[-1]


def test_no_arguments_show_the_help():
    """Who types only the command is told what it can do, and scripts see bad usage."""
    done = harness()
    assert 2 == done.returncode
    assert "Commands:" in done.stdout + done.stderr


def test_version_is_printed():
    """``--version`` prints package and version, and in a checkout the git revision."""
    done = harness("--version")
    assert 0 == done.returncode
    assert re.fullmatch(r"fanout-harness \d\S+(, revision \S+)?\n", done.stdout)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("harness stu", ["study"]),
        ("harness run quick", ["quickstart"]),
        ("harness run x --target polling-", ["polling-emulated", "polling-service"]),
        ("harness check x --slo live", ["live-chat"]),
        ("harness validate hybrid-a", ["hybrid-aws"]),
        ("harness init x --system poll", ["polling"]),
    ],
)
def test_shell_completes_verbs_and_names(typed, completed):
    """Verbs, and names of scenarios where a scenario belongs, are completed in the shell."""
    variables = {
        "_HARNESS_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    program = "from harness.cli.app import main; main()"
    assert completed == finished_python("-c", program, env=os.environ | variables).stdout.split()


def test_unknown_verb_is_bad_usage():
    """A mistyped verb gets exit code 2 and the verb that was meant."""
    done = harness("rum")
    assert 2 == done.returncode
    assert "'rum'" in done.stderr
    assert "'run'" in done.stderr


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MachineError("a", "b", "c"), 2),
        (InvalidRunError("a", "b", "c"), 4),
        (TargetUnreachableError("a", "b", "c"), 5),
        (HarnessError("a", "b", "c"), 1),
    ],
)
def test_harness_error_is_a_sentence_and_its_exit_code(error, expected, monkeypatch, capsys):
    """An error says where, what was found and what was required, and no traceback."""
    assert expected == main_with(error, monkeypatch)
    assert ("", "error: a: b, c\n") == capsys.readouterr()


def test_hint_has_a_line_of_its_own(monkeypatch, capsys):
    """What to do next is below what went wrong."""
    main_with(MachineError("a", "b", "c", "do d"), monkeypatch)
    assert "error: a: b, c\nhint: do d\n" == capsys.readouterr().err


def test_each_scenario_problem_is_an_error_of_its_own(monkeypatch, capsys):
    """All problems of a scenario are shown at once, each with its hint."""
    error = ScenarioError(
        [
            ScenarioProblem("w.toml", "joins.rate_per_s", "-5", "must be > 0"),
            ScenarioProblem("t.toml", "colour", "", "is not a known key", "did you mean color?"),
        ]
    )
    assert 2 == main_with(error, monkeypatch)
    expected = (
        "error: w.toml: joins.rate_per_s must be > 0, got -5\n"
        "error: t.toml: colour is not a known key\n"
        "hint: did you mean color?\n"
    )
    assert expected == capsys.readouterr().err


def test_unexpected_error_is_one_sentence_and_a_file(monkeypatch, capsys, tmp_path):
    """A bug shows one sentence; its traceback is in the file that the sentence names."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert 1 == main_with(ZeroDivisionError("division\nby zero"), monkeypatch)
    said = capsys.readouterr().err
    (file,) = tmp_path.iterdir()
    assert (
        "error: harness: unexpected ZeroDivisionError (division by zero), a bug of the harness; "
        f"the traceback is in {file}\n"
    ) == said
    assert file.read_text(encoding="utf-8").startswith("Traceback (most recent call last):")


def test_reader_that_left_gets_no_traceback():
    """``harness --help | head`` ends without a word when head has seen enough."""
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert b"" == said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("examples",), 0), (("validate", "quickstart"), 0), (("validate", "gone"), 2)],
)
def test_closed_output_changes_no_exit_code(arguments, expected):
    """As in ``harness examples | head -1``: who has read enough has seen no error."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "harness", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=writing, check=False, timeout=PATIENCE_S)
    os.close(writing)
    assert expected == done.returncode
