import pytest

from harness.analysis.run.finalize import analyse
from harness.measure.failure_causes import CAUSES, cause_of
from tests.support.records import three_subscribers


@pytest.mark.parametrize(
    ("stage", "code", "cause"),
    [
        ("connect", "ECONNREFUSED", "refused"),
        ("connect", "connect_refused", "refused"),
        ("upgrade", "timeout", "timed_out"),
        ("connect", "connect_timeout", "timed_out"),
        ("tls", "tls_error", "tls"),
        ("tls", "SomethingElse", "tls"),
        ("tls", "timeout", "timed_out"),
        ("upgrade", "401", "http_status"),
        ("upgrade", "503", "http_status"),
        ("subscribe", "http_error_terminal", "http_status"),
        ("upgrade", "429", "throttled"),
        ("init", "LimitExceededError", "throttled"),
        ("subscribe", "TooManyRequestsException", "throttled"),
        ("init", "ThrottlingException", "throttled"),
        ("upgrade", "protocol_error", "protocol_error"),
        ("init", "closed", "cut_off"),
        ("connect", "ECONNRESET", "cut_off"),
        ("subscribe", "stream_end", "cut_off"),
        ("connect", "EMFILE", "own_limit"),
        ("init", "UnauthorizedException", "other"),
        ("init", "", "other"),
    ],
)
def test_cause_is_told_from_stage_and_code(stage, code, cause):
    """The kernel's names, HTTP's numbers, and what systems say of their own limits."""
    assert cause == cause_of(stage, code)
    assert cause in CAUSES


def test_summary_counts_failed_joins_by_cause_and_nothing_else(tmp_path):
    """Two refusals and five throttled joins over two seconds; a failed publish is no join."""
    error = {"worker": 0, "error_class": "JoinError", "message": "no"}
    errors = [
        error | {"second": 1, "stage": "connect", "code": "ECONNREFUSED", "count": 2},
        error | {"second": 1, "stage": "upgrade", "code": "429", "count": 3},
        error | {"second": 2, "stage": "upgrade", "code": "429", "count": 2},
        error
        | {"second": 3, "stage": "publish", "error_class": "Refused", "code": "429", "count": 9},
    ]
    found = analyse(three_subscribers(tmp_path / "run", errors=errors)).summary["joins"]
    assert dict.fromkeys(CAUSES, 0) | {"refused": 2, "throttled": 5} == found["failed_by_cause"]


def test_run_without_failures_has_none_for_every_cause(tmp_path):
    """Zeros, as nothing failed: they were counted."""
    found = analyse(three_subscribers(tmp_path / "run")).summary["joins"]
    assert dict.fromkeys(CAUSES, 0) == found["failed_by_cause"]
