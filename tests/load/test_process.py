import logging
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.pool import Group
from locust import runners
from locust.exception import StopTest

from harness.core.exit_codes import ExitCode
from harness.load.master.abort_reason import stopped_by_user_class
from harness.load.plugin import _Plugin
from harness.load.process import StopReason


@pytest.mark.parametrize(
    ("logged", "message"),
    [
        (StopTest("no\nhost"), "no host"),
        (StopTest(), "StopTest"),
        ("Stopping Locust...", "it called runner.quit()"),
    ],
)
def test_words_of_a_stop_are_kept_where_locust_only_logs_them(logged, message):
    """Other lines of its log are none."""
    reason = StopReason()
    logging.getLogger(runners.__name__).error(logged)
    assert message == str(reason)


def test_run_that_a_user_class_stopped_is_invalid_and_not_interrupted():
    """It was not stopped by hand."""
    reason = stopped_by_user_class("no host")
    assert ExitCode.RUN_INVALID == reason.exit_code
    assert "a user class stopped the run: no host" == reason.message


class FakeCoordinator:
    def __init__(self):
        self.log = []

    def on_stopped(self, message):
        self.log.append(message)

    def finish(self):
        self.log.append("finish")


@pytest.mark.parametrize("web_ui", [None, "page"])
def test_user_that_stops_the_run_ends_there_and_waits_for_nothing(web_ui):
    """Its own greenlet is one of those that the end of the run waits for."""
    coordinator, users = FakeCoordinator(), Group()
    plugin: Any = _Plugin()
    plugin._coordinator = coordinator
    environment = SimpleNamespace(runner=SimpleNamespace(user_greenlets=users), web_ui=web_ui)
    user = users.spawn(plugin.on_test_stopping, environment)
    user.join()
    assert isinstance(user.value, gevent.GreenletExit)
    assert ["it called runner.quit()"] == coordinator.log
    plugin._interrupted = True
    plugin.on_test_stopping(environment)
    assert ["it called runner.quit()", "finish"] == coordinator.log
