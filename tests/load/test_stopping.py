"""What a user class that stops the whole run says."""

import logging

import pytest
from locust import runners
from locust.exception import StopTest

from harness.core.exit_codes import ExitCode
from harness.load.cause import stopped_by_user_class
from harness.load.stopping import StopReason


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        (StopTest("no\nhost"), "no host"),
        (StopTest(), "StopTest"),
        ("Stopping Locust...", "it called runner.quit()"),
    ],
)
def test_words_of_a_stop_are_kept_where_locust_only_logs_them(logged, said):
    """Other lines of its log are none."""
    reason = StopReason()
    logging.getLogger(runners.__name__).error(logged)
    assert said == str(reason)


def test_run_that_a_user_class_stopped_is_invalid_and_not_interrupted():
    """Nobody stopped it by hand."""
    cause = stopped_by_user_class("no host")
    assert ExitCode.RUN_INVALID == cause.exit_code
    assert "a user class stopped the run: no host" == cause.message
