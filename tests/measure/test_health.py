import gc
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from harness.load.worker.clock_sync import ClockSync
from harness.measure.health import ClockSteps, CollectorPauses, CpuWait, GeneratorHealth, MachineCpu
from harness.measure.record_schema import JOURNAL_TABLES
from tests.support.waiting import wait_for


@pytest.fixture
def health():
    health = GeneratorHealth(late_after_ms=100.0)
    yield health
    health.close()


def test_a_row_has_the_columns_of_the_generator_table(health):
    """The worker adds its number and its clock, and nothing is missing."""
    row = health.take(3, 40, 0, 0) | ClockSync.local().take_row()
    assert {*JOURNAL_TABLES["generator"]} == {*row, "worker", "negative_ms_max"}
    assert (3, 40, 0) == (row["second"], row["connections"], row["unstamped_receives"])
    assert row["rss_bytes"] > 1_000_000


def test_only_messages_past_the_limit_missed_their_slot(health):
    """On the limit is in time; counting starts anew each second."""
    for delay_ns in (0, 100_000_000, 100_000_001, 2_000_000_000):
        health.sent(delay_ns)
    assert 2 == health.take(0, 0, 0, 0)["late_slots"]
    assert 0 == health.take(1, 0, 0, 0)["late_slots"]


def test_send_delay_is_the_worst_of_its_second(health):
    """Of 3, 7 and 5 ms it is 7; a second in which nothing was sent has none."""
    for delay_ns in (3_000_000, 7_000_000, 5_000_000):
        health.sent(delay_ns)
    assert 7.0 == health.take(0, 0, 0, 0)["send_delay_ms_max"]
    assert health.take(1, 0, 0, 0)["send_delay_ms_max"] is None


def test_receive_backlog_is_what_the_kernel_had_when_the_second_began(health):
    """Looked at 100 ns: what came at 90 and 100 waited, at 101 and 150 not; before, who knows."""
    assert health.take(0, 0, 0, 100)["receive_backlog"] is None
    health.arrived(np.array([90, 100, 101]))
    health.arrived(np.array([150]))
    assert 2 == health.take(1, 0, 0, 200)["receive_backlog"]
    health.arrived(np.array([201, 250]))
    assert 0 == health.take(2, 0, 0, 300)["receive_backlog"]
    assert 0 == health.take(3, 0, 0, 400)["receive_backlog"]


def test_receive_delay_is_of_all_deliveries_of_the_second(health):
    """The 99th percentile of 1 to 100 ms is 99 ms; a second without deliveries has none."""
    health.received(np.arange(1, 51) * 1_000_000)
    health.received(np.arange(51, 101) * 1_000_000)
    assert 99.0 == health.take(0, 0, 0, 0)["receive_delay_ms_p99"]
    assert health.take(1, 0, 0, 0)["receive_delay_ms_p99"] is None


def test_a_worker_out_of_files_still_says_how_it_is(health):
    """No file can be opened: what was known stays, the rest is null, nothing is raised."""
    files = health.take(1, 0, 0, 0)["open_files"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        row = health.take(15, 0, 0, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert files == row["open_files"]
    assert row["rss_bytes"] > 1_000_000
    assert (None, None) == (row["machine_idle_ratio"], row["machine_others_ratio"])


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
    assert -100 == ClockSteps(lambda: 7, lambda: next(ticks)).take_ns()


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
    assert pauses._note not in gc.callbacks


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
