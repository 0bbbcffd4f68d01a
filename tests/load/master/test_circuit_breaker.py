import pytest

from harness.core.exit_codes import ExitCode
from harness.load.master.circuit_breaker import CircuitBreaker
from harness.scenario.workload import Safety

ERRORS = {("publish", "LimitExceededError", "too much"): 40, ("init", "timeout", ""): 2}


def second(number, *, tried=10, failed=0, throttled=0):
    counters = {
        "joins_succeeded": tried // 2 - failed,
        "publishes_acknowledged": tried - tried // 2 - throttled,
        "joins_failed": failed,
        "publishes_throttled": throttled,
    }
    return {"second": number, "counters": {"chatter": counters, "subscriber": {}}}


def cause_after(*reports, ratio=0.5, window_s=5.0):
    breaker = CircuitBreaker(Safety(error_storm_ratio=ratio, error_storm_s=window_s))
    for report in reports:
        breaker.add(report)
    return breaker.cause(ERRORS)


def test_storm_ends_the_run_as_invalid_in_one_sentence():
    """Joins and publishes count alike, over all workers; the most frequent error is named."""
    cause = cause_after(*(second(n, failed=3, throttled=3) for n in range(5) for _ in range(2)))
    assert ("error_storm", ExitCode.RUN_INVALID) == (cause.code, cause.exit_code)
    assert (
        "error breaker: 60 of 100 joins and publishes of the last 5 s failed, most often with "
        "LimitExceededError at stage publish"
    ) == cause.message


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
def test_less_than_a_storm_does_not(reports):
    """Too short, too few, within the share, or gone by."""
    assert cause_after(*reports) is None


def test_share_of_one_never_stops_a_run():
    """Even where all fails."""
    assert cause_after(*(second(n, failed=10) for n in range(9)), ratio=1.0) is None


def test_joins_that_fail_long_after_they_began_are_counted_when_they_end():
    """A kernel tries for two minutes: what began in the last seconds has nothing to do with it."""
    reports = [second(n, tried=0) for n in range(5)]
    for report in reports:
        report["counters"]["subscriber"] = {"joins_attempted": 1, "joins_failed": 20}
    assert cause_after(*reports, ratio=1.0) is None
    assert "100 of 100 joins and publishes" in cause_after(*reports).message
