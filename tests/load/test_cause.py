from collections import Counter

from harness.core.exit_codes import ExitCode
from harness.load.cause import exhausted


def test_machine_out_of_files_is_the_cause_and_not_the_target():
    """The first exhaustion ends the run as invalid, in one sentence with a remedy."""
    errors = Counter({("connect", "timeout", "timed out"): 9, ("connect", "EMFILE", "no"): 43})
    cause = exhausted(errors)
    assert ("out_of_open_files", ExitCode.RUN_INVALID) == (cause.code, cause.exit_code)
    assert "a worker ran out of open files: EMFILE at stage connect, 43 times" == cause.message
    assert "use more workers, or raise the hard limit (ulimit -Hn)" == cause.hint


def test_errors_of_the_system_exhaust_nothing():
    """A refused connection is the target's."""
    assert exhausted({("connect", "ECONNREFUSED", "connection refused"): 9}) is None
