import pytest

from harness.core.child_errors import (
    ERROR_FILE_VARIABLE,
    decode_error,
    encode_error,
    read_error,
    report_error,
)
from harness.core.errors import MachineError, ScenarioError, ScenarioProblem, error_lines
from harness.core.exit_codes import ExitCode


def names_in(folder):
    """Return the names of what lies in a folder."""
    return [one.name for one in folder.iterdir()]


TWO_PROBLEMS = ScenarioError(
    [
        ScenarioProblem("[emulator]", "code", '"a.js"', "must exist", "look"),
        ScenarioProblem("[emulator]", "oidc", "", "must be given"),
    ]
)


@pytest.mark.parametrize(
    "error",
    [
        TWO_PROBLEMS,
        MachineError("here", "too little", "more"),
        MachineError("here", "too little", "more", "buy some"),
    ],
)
def test_error_is_the_same_on_the_other_side(error):
    """A user reads from the parent what the process found."""
    told = decode_error(encode_error(error))
    assert told is not None
    assert (str(error), error.exit_code) == (str(told), told.exit_code)
    assert error_lines(error) == error_lines(told)


@pytest.mark.parametrize("text", [b"", b"hello\n", b"[]", b"1", b'{"x":1}', b'{"problems":1}'])
def test_what_is_no_error_is_none(text):
    """Whatever else a process may print is not taken for an error."""
    assert decode_error(text) is None


def test_unexpected_exception_is_reported_as_a_bug():
    """It has one sentence too, and exit code 1."""
    told = decode_error(encode_error(ZeroDivisionError("a\nb")))
    assert "unexpected ZeroDivisionError (a b), a bug of the harness" == str(told)
    assert ExitCode.INTERNAL_ERROR == told.exit_code


def test_first_reported_error_stays(tmp_path, monkeypatch):
    """What follows from it must not replace the reason, and nothing else is left in the folder."""
    file = tmp_path / "error.json"
    monkeypatch.setenv(ERROR_FILE_VARIABLE, str(file))
    report_error(TWO_PROBLEMS)
    report_error(MachineError("later", "a", "b"))
    assert str(TWO_PROBLEMS) == str(read_error(file))
    assert ["error.json"] == names_in(tmp_path)


def test_without_a_parent_nothing_is_written(tmp_path, monkeypatch):
    """A process that the user started says what it has to say on standard error alone."""
    monkeypatch.delenv(ERROR_FILE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    report_error(TWO_PROBLEMS)
    assert [] == names_in(tmp_path)


def test_missing_report_is_none(tmp_path):
    """A child that was killed has reported nothing."""
    assert read_error(tmp_path / "error.json") is None


def test_error_file_that_cannot_be_written_is_no_further_error(tmp_path, monkeypatch):
    """The folder may be gone, or the disk full."""
    monkeypatch.setenv(ERROR_FILE_VARIABLE, str(tmp_path / "gone" / "error.json"))
    report_error(TWO_PROBLEMS)
    assert [] == names_in(tmp_path)
