import resource

import numpy as np
import pytest

from harness.load.worker.clock_sync import ClockSync
from harness.measure.health import GeneratorHealth
from harness.measure.record_schema import JOURNAL_TABLES


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
