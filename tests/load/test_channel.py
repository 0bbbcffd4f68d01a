from harness.load.channel import Strangers
from tests.support.listeners import wait_for


class Broken:
    """A socket that cannot be watched."""

    def get_monitor_socket(self, _events):
        raise OSError("planted")


def test_end_of_the_count_of_strangers_is_told(caplog):
    """A count that stands still must not look like an absence."""
    Strangers().watch(Broken())
    wait_for(lambda: caplog.messages)
    (told,) = caplog.messages
    assert told.startswith("connections without the run's secret are counted no more: ")
    assert told.endswith("OSError: planted")
