from collections import Counter

import pytest

from harness.core.exit_codes import ExitCode
from harness.load.master.abort_reason import CircuitBreaker, exhausted, no_user_joined, refusals
from harness.scenario.workload import Safety


def test_machine_out_of_files_is_the_cause_and_not_the_target():
    """The first exhaustion ends the run as invalid, in one sentence with a remedy."""
    errors = Counter({("connect", "timeout", "timed out"): 9, ("connect", "EMFILE", "no"): 43})
    reason = exhausted(errors)
    assert ("out_of_open_files", ExitCode.RUN_INVALID) == (reason.code, reason.exit_code)
    assert "a worker ran out of open files: EMFILE at stage connect, 43 times" == reason.message
    assert "use more workers, or raise the hard limit (ulimit -Hn)" == reason.hint


def test_errors_of_the_system_exhaust_nothing():
    """A refused connection is the target's."""
    assert exhausted({("connect", "ECONNREFUSED", "connection refused"): 9}) is None


def test_refusals_that_differ_in_their_message_only_are_of_one_kind():
    """Each answer may hold the number of its request; errors of publishes are no refusals."""
    errors = {("subscribe", "HTTP 403", f"no. {number}"): 1 for number in range(20)}
    errors |= {("connect", "timeout", "timed out"): 5, ("publish", "HTTP 403", "no"): 90}
    reason = no_user_joined("http://a", refusals(errors))
    assert (
        "no user joined http://a: 20 of 25 users failed with HTTP 403 at stage subscribe "
        "(for example no. 0)" == reason.message
    )
    assert ("nobody_joined", ExitCode.TARGET_UNREACHABLE) == (reason.code, reason.exit_code)


def test_failed_handshake_is_no_matter_of_keys():
    """Where TLS fails, the hint is about TLS."""
    reason = no_user_joined("wss://a", refusals({("tls", "tls_error", "wrong version number"): 2}))
    assert reason.message.endswith(
        "2 of 2 users failed with tls_error at stage tls (wrong version number)"
    )
    assert reason.hint is not None
    assert "speaks TLS" in reason.hint


ERRORS = {("publish", "LimitExceededError", "too much"): 40, ("init", "timeout", ""): 2}


def second(number, *, tried=10, failed=0, throttled=0):
    counters = {
        "joins_succeeded": tried // 2 - failed,
        "publishes_acknowledged": tried - tried // 2 - throttled,
        "joins_failed": failed,
        "publishes_throttled": throttled,
    }
    return {"second": number, "counters": {"chatter": counters, "subscriber": {}}}


def reason_after(*reports, ratio=0.5, window_s=5.0):
    breaker = CircuitBreaker(Safety(error_storm_ratio=ratio, error_storm_s=window_s))
    for report in reports:
        breaker.add(report)
    return breaker.reason(ERRORS)


def test_high_failure_ratio_ends_the_run_as_invalid_in_one_sentence():
    """Joins and publishes count alike, over all workers; the most frequent error is named."""
    reason = reason_after(*(second(n, failed=3, throttled=3) for n in range(5) for _ in range(2)))
    assert ("error_storm", ExitCode.RUN_INVALID) == (reason.code, reason.exit_code)
    assert (
        "too many failures: 60 of 100 joins and publishes of the last 5 s failed, most often with "
        "LimitExceededError at stage publish"
    ) == reason.message


@pytest.mark.parametrize(
    "reports",
    [
        pytest.param([second(n, failed=6) for n in range(4)], id="too short"),
        pytest.param([second(n, failed=5) for n in range(9)], id="no more than the share"),
        pytest.param([second(n, tried=3, failed=3) for n in range(6)], id="too few"),
        pytest.param(
            [second(n, failed=10) for n in range(3)] + [second(n) for n in range(3, 8)], id="over"
        ),
        pytest.param([], id="nothing yet"),
    ],
)
def test_lower_failure_ratio_does_not_end_the_run(reports):
    """Too short, too few, within the share, or gone by."""
    assert reason_after(*reports) is None


def test_share_of_one_never_stops_a_run():
    """Even where all fails."""
    assert reason_after(*(second(n, failed=10) for n in range(9)), ratio=1.0) is None


def test_joins_that_fail_long_after_they_began_are_counted_when_they_end():
    """A kernel tries for two minutes: what began in the last seconds has nothing to do with it."""
    reports = [second(n, tried=0) for n in range(5)]
    for report in reports:
        report["counters"]["subscriber"] = {"joins_attempted": 1, "joins_failed": 20}
    assert reason_after(*reports, ratio=1.0) is None
    assert "100 of 100 joins and publishes" in reason_after(*reports).message
