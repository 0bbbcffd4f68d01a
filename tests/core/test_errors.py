import pytest

from harness.core.errors import (
    HarnessError,
    InvalidRunError,
    LocalProtocolError,
    MachineError,
    NotInstalledError,
    RemoteProtocolError,
    ScenarioError,
    ScenarioProblem,
    TargetUnreachableError,
)
from harness.core.exit_codes import ExitCode


def test_error_reads_place_finding_requirement_and_hint():
    """The sentence has the order that the house promises, the hint on its own line."""
    error = MachineError("port 80", "in use", "a free port is needed", "choose another")
    assert str(error) == "port 80: in use, a free port is needed\nhint: choose another"


def test_error_without_hint_is_one_line():
    """No hint, no second line."""
    assert str(HarnessError("a", "b", "c")) == "a: b, c"


def test_missing_extra_is_named_with_its_installation():
    """One sentence, and the command that installs what is missing."""
    error = NotInstalledError("metrics", ImportError(name="opentelemetry"), "observability")
    assert str(error) == (
        "metrics: opentelemetry is not installed, it comes with the extra [observability]\n"
        "hint: pip install 'fanout-harness[observability]'"
    )


def test_scenario_error_lists_every_problem():
    """All problems of a scenario are said at once."""
    problems = [
        ScenarioProblem("w.toml", "joins.rate_per_s", "-5", "must be > 0", "write 10"),
        ScenarioProblem("w.toml", "", "", "is not TOML"),
    ]
    expected = "w.toml: joins.rate_per_s must be > 0, got -5\nhint: write 10\nw.toml is not TOML"
    assert str(ScenarioError(problems)) == expected


@pytest.mark.parametrize(
    ("error_class", "exit_code"),
    [
        (HarnessError, ExitCode.INTERNAL_ERROR),
        (LocalProtocolError, ExitCode.INTERNAL_ERROR),
        (ScenarioError, ExitCode.BAD_USAGE),
        (MachineError, ExitCode.BAD_USAGE),
        (RemoteProtocolError, ExitCode.RUN_INVALID),
        (InvalidRunError, ExitCode.RUN_INVALID),
        (TargetUnreachableError, ExitCode.TARGET_UNREACHABLE),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error_class, exit_code):
    """CI pipelines branch on these."""
    assert error_class.exit_code == exit_code


def test_exit_codes_are_the_documented_numbers():
    """The numbers are an interface and do not move."""
    assert [0, 1, 2, 3, 4, 5, 6, 130] == [int(code) for code in ExitCode]
