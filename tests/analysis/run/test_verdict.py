"""Which verdict beats which, and what a pipeline is told."""

import pytest

from harness.analysis.run.finalize import decide, exit_code
from harness.core.exit_codes import ExitCode

BAD = {"invalidates": True}
MILD = {"invalidates": False}


@pytest.mark.parametrize(
    ("verdicts", "warnings", "expected"),
    [
        ([], [], "pass"),
        (["pass"], [MILD], "pass"),
        (["pass", "no_data"], [], "no_data"),
        (["no_data", "fail"], [], "fail"),
        (["fail"], [BAD], "invalid"),
        (["pass"], [BAD], "invalid"),
    ],
)
def test_invalid_beats_fail_beats_no_data_beats_pass(verdicts, warnings, expected):
    """The worst thing known about a run is its verdict."""
    slos = [{"verdict": verdict} for verdict in verdicts]
    assert expected == decide({}, slos, warnings)


def test_a_run_that_let_nobody_in_never_passes():
    """Without any objective it still measured nothing."""
    assert "no_data" == decide({"cause": {"code": "nobody_joined"}}, [], [])


@pytest.mark.parametrize(
    ("run", "verdict", "expected"),
    [
        ({}, "pass", ExitCode.PASS),
        ({}, "fail", ExitCode.SLO_FAILED),
        ({}, "no_data", ExitCode.SLO_FAILED),
        ({}, "invalid", ExitCode.RUN_INVALID),
        ({"status": "interrupted"}, "invalid", ExitCode.INTERRUPTED),
        ({"cause": {"exit_code": 5}, "status": "aborted"}, "no_data", ExitCode.TARGET_UNREACHABLE),
    ],
)
def test_the_exit_code_tells_what_ended_the_run_before_the_verdict(run, verdict, expected):
    """Pipelines branch on it."""
    assert int(expected) == exit_code(run, verdict)
