import time

from harness.core.clock import RunClock


def test_clock_adds_its_offset():
    """A worker whose host is behind reads the master's time all the same."""
    before_ns = time.time_ns()
    read_ns = RunClock(epoch_ns=0, offset_ns=10**15).now_ns()
    assert before_ns + 10**15 <= read_ns <= time.time_ns() + 10**15


def test_second_rounds_down_before_and_after_the_epoch():
    """Second 0 starts at the epoch; what lies before it is negative."""
    clock = RunClock(epoch_ns=5_000_000_000)
    assert [-1, 0, 0, 1] == [
        clock.second(ns) for ns in (4_999_999_999, 5_000_000_000, 5_999_999_999, 6_000_000_000)
    ]


def test_elapsed_is_negative_before_the_epoch():
    """Users wait for their turn by this."""
    assert RunClock(epoch_ns=time.time_ns() + 10**10).elapsed_s() < -9
