from collections import Counter

from harness.core.exit_codes import ExitCode
from harness.load.master.abort_reason import exhausted, nobody_joined, refusals


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


def test_refusals_that_differ_in_their_message_only_are_of_one_kind():
    """Each answer may hold the number of its request; errors of publishes are no refusals."""
    errors = {("subscribe", "HTTP 403", f"no. {number}"): 1 for number in range(20)}
    errors |= {("connect", "timeout", "timed out"): 5, ("publish", "HTTP 403", "no"): 90}
    cause = nobody_joined("http://a", refusals(errors))
    assert (
        "nobody joined http://a: 20 of 25 users met HTTP 403 at stage subscribe (for example no. 0)"
        == cause.message
    )
    assert ("nobody_joined", ExitCode.TARGET_UNREACHABLE) == (cause.code, cause.exit_code)


def test_failed_handshake_is_no_matter_of_keys():
    """Where TLS fails, the hint is about TLS."""
    cause = nobody_joined("wss://a", refusals({("tls", "tls_error", "wrong version number"): 2}))
    assert cause.message.endswith("2 of 2 users met tls_error at stage tls (wrong version number)")
    assert cause.hint is not None
    assert "speaks TLS" in cause.hint
