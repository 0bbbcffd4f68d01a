import numpy as np
import pytest
from locust.env import Environment

from harness.load.worker.locust_table import LocustTable, let_csv_writer_end


def test_batch_of_deliveries_equals_logging_each_of_them():
    """Locust's table shows the same figures as if every delivery had been an event."""
    latencies_ms = np.random.default_rng(1).lognormal(4, 1.5, 500)
    batch, single = Environment(), Environment()
    LocustTable(batch).deliveries("subscriber", (latencies_ms * 1e6).astype(np.int64))
    for latency_ms in latencies_ms:
        single.stats.log_request("DELIVER", "subscriber", int(latency_ms), 0)
    for environment in (batch, single):
        assert 500 == environment.stats.total.num_requests
    ours, theirs = (e.stats.get("subscriber", "DELIVER") for e in (batch, single))
    assert ours.response_times == theirs.response_times
    assert ours.max_response_time == pytest.approx(theirs.max_response_time, abs=1)
    assert ours.avg_response_time == pytest.approx(theirs.avg_response_time, abs=1)


def test_deliveries_that_are_not_intact_are_errors_of_the_table():
    """Those of a second are logged at once, and shown under their kind."""
    environment = Environment()
    table = LocustTable(environment)
    for count in (3, 4):
        table.irregular("subscriber", "foreign", count)
    (error,) = environment.stats.errors.values()
    assert ("foreign delivery", 7) == (error.error, error.occurrences)
    entries = environment.stats.get("subscriber", "DELIVER"), environment.stats.total
    assert [7, 7] == [entry.num_failures for entry in entries]


class Writer:
    """A CSV writer that fails as Locust's does when its files have been closed."""

    def __init__(self, file):
        self.requests_csv_filehandle = file

    def stats_writer(self):
        raise ValueError("I/O operation on closed file.")


def test_csv_writer_ends_quietly_when_its_files_are_closed(tmp_path):
    """A writer that wakes after the end has nothing to say; any other failure is still told."""
    ours = type("Ours", (Writer,), {})
    let_csv_writer_end(ours)
    with (tmp_path / "stats.csv").open("w") as file, pytest.raises(ValueError, match="closed file"):
        ours(file).stats_writer()
    ours(file).stats_writer()


def test_failed_operation_counts_as_a_failure():
    """A join that was refused shows in Locust's failures."""
    from locust.runners import LocalRunner

    environment = Environment()
    runner = LocalRunner(environment)
    LocustTable(environment).request("JOIN", "subscriber", None, 0, Exception("denied"))
    runner.greenlet.kill(block=False)
    assert 1 == environment.stats.get("subscriber", "JOIN").num_failures
