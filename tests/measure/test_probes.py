import gc
import subprocess
import sys
import time

import pytest

from harness.measure.probes import ClockSteps, CollectorPauses, CpuWait, MachineCpu
from tests.support.waiting import wait_for


class Clocks:
    """Two clocks that a test moves by hand."""

    def __init__(self):
        self.realtime_ns = 1_795_447_800_000_000_000
        self.monotonic_ns = 5_000_000_000

    def steps(self):
        return ClockSteps(lambda: self.realtime_ns, lambda: self.monotonic_ns)

    def advance(self, ns):
        self.realtime_ns += ns
        self.monotonic_ns += ns


@pytest.mark.parametrize("step_ns", [500_000_000, -500_000_000])
def test_clock_that_was_set_is_a_step_once(step_ns):
    """The step shows in the second it happened in, with its sign, and not again."""
    clocks = Clocks()
    steps = clocks.steps()
    clocks.advance(1_000_000_000)
    clocks.realtime_ns += step_ns
    assert step_ns == steps.take_ns()
    clocks.advance(1_000_000_000)
    assert 0 == steps.take_ns()


def test_clocks_that_run_alike_are_no_step():
    """Time that passes, slewed or not, moves both."""
    clocks = Clocks()
    steps = clocks.steps()
    clocks.advance(60_000_000_000)
    assert 0 == steps.take_ns()


def test_losing_the_core_between_two_readings_is_no_step():
    """Of three readings the quickest is believed."""
    ticks = iter([0, 0, 0, 0, 0, 0, 0, 90_000_000, 100, 100, 200, 205])
    steps = ClockSteps(lambda: 7, lambda: next(ticks))
    assert -100 == steps.take_ns()


def test_real_clocks_of_this_machine_do_not_step():
    """Two readings in a row agree to a tenth of the smallest limit worth setting."""
    assert abs(ClockSteps().take_ns()) < 1_000_000


def test_longest_collection_is_reported_once():
    """A full collection takes a while; the next second starts from nothing."""
    pauses = CollectorPauses()
    try:
        gc.collect()
        assert 0 < pauses.take_ns() < 10_000_000_000
        gc.disable()
        assert 0 == pauses.take_ns()
    finally:
        gc.enable()
        pauses.close()
    assert pauses._told not in gc.callbacks


@pytest.mark.parametrize(
    ("before", "after", "waited_ns"),
    [("100 40 3\n", "900 90 5\n", 50), ("0 0 0\n", "0 0 0\n", None)],
)
def test_time_without_a_core_is_the_schedulers(tmp_path, before, after, waited_ns):
    """The second number is the wait; a kernel that does not count says 0 to everything."""
    schedstat = tmp_path / "schedstat"
    schedstat.write_text(before, encoding="ascii")
    wait = CpuWait(schedstat)
    schedstat.write_text(after, encoding="ascii")
    assert waited_ns == wait.take_ns()
    wait.close()


def test_platform_without_an_account_waits_unknown(tmp_path):
    """No file, no number."""
    wait = CpuWait(tmp_path / "missing")
    assert wait.take_ns() is None
    wait.close()


def test_busy_stranger_counts_and_busy_child_does_not():
    """What another program uses is others'; what a child used before is the run's own."""
    command = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as busy:
        busy.stdout.readline()
        own, stranger = MachineCpu(), MachineCpu()
        stranger._own_s = {process: 0.0 for process in own._own_s if process.pid != busy.pid}
        own._read, stranger._read = own._read_s(), stranger._read_s()

        def stranger_shows():
            time.sleep(0.5)
            ours, theirs = own.take_ratios(), stranger.take_ratios()
            assert 0 <= ours[0] <= 1
            return theirs[1] - ours[1] > 0.05

        try:
            wait_for(stranger_shows)
        finally:
            busy.kill()
    assert busy.pid in {process.pid for process in own._own_s}
