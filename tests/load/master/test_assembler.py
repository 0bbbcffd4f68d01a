import json

import pytest

from harness.load.master.assembler import SecondAssembler
from harness.load.worker.interval_stats import IntervalStats
from harness.measure.record import RecordWriter
from harness.measure.record_schema import JOURNAL_TABLES
from tests.live.conftest import report as live_report
from tests.support.plans import make_plan


@pytest.fixture(name="folder")
def _folder(tmp_path):
    return tmp_path / "run"


def report(worker, second, *, connected=5, fan_out_ns=()):
    stats = IntervalStats()
    stats.count("subscriber", "deliveries", len(fan_out_ns))
    for value_ns in fan_out_ns:
        stats.latency("fan_out_latency", "subscriber", "measure", value_ns)
    return live_report(second, worker=worker, stats=stats, connected=connected)


def rows(folder, table="timeline"):
    text = (folder / f"journal/{table}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def subscribers(folder):
    return [row for row in rows(folder) if row["user_class"] == "subscriber"]


def test_second_is_written_once_all_workers_have_reported(folder):
    """Counters add up and histograms merge over workers."""
    with RecordWriter(folder) as writer:
        assembler = SecondAssembler(make_plan(), writer, workers=2)
        assembler.add(report(0, 0, fan_out_ns=[1_000_000]))
        assert [] == rows(folder)
        assembler.add(report(1, 0, connected=7, fan_out_ns=[3_000_000]))
    row = subscribers(folder)[0]
    assert (0, 12, 2) == (row["second"], row["connected"], row["deliveries"])
    assert row["fan_out_latency_ms_p50"] == pytest.approx(1.0, rel=1e-3)
    assert row["fan_out_latency_ms_max"] == pytest.approx(3.0, rel=1e-3)
    assert set(JOURNAL_TABLES["timeline"]) == set(row)


def test_missing_worker_delays_a_second_but_does_not_lose_it(folder):
    """When a worker falls silent the others' seconds are still written."""
    with RecordWriter(folder) as writer:
        assembler = SecondAssembler(make_plan(), writer, workers=2)
        for second in range(6):
            assembler.add(report(0, second, fan_out_ns=[1_000_000]))
        written = [row["second"] for row in subscribers(folder)]
        assembler.flush()
    assert [0, 1, 2] == written
    assert list(range(6)) == [row["second"] for row in subscribers(folder)]


def test_late_report_is_counted_in_the_next_second(folder):
    """Deliveries of a worker that reported too late appear a second later, not never."""
    with RecordWriter(folder) as writer:
        assembler = SecondAssembler(make_plan(), writer, workers=2)
        for second in range(5):
            assembler.add(report(0, second))
        assembler.add(report(1, 0, fan_out_ns=[1_000_000] * 4))
        assembler.flush()
    assert 4 == sum(row["deliveries"] for row in subscribers(folder))
    assert sorted({row["second"] for row in rows(folder)}) == [
        row["second"] for row in subscribers(folder)
    ]


def test_errors_are_written_and_summed_over_the_run(folder):
    """The coordinator judges a run by them; the record keeps each second's."""
    with RecordWriter(folder) as writer:
        assembler = SecondAssembler(make_plan(), writer, workers=1)
        for second in range(2):
            failing = {**report(0, second), "errors": [["init", "JoinError", "Denied", "no", 3]]}
            assembler.add(failing)
    assert 6 == assembler.errors["init", "Denied", "no"]
    assert [3, 3] == [row["count"] for row in rows(folder, "errors")]


def test_histogram_log_has_one_merged_line_a_second_and_tag(folder):
    """The log is per second, not per worker."""
    with RecordWriter(folder) as writer:
        writer.begin(0)
        assembler = SecondAssembler(make_plan(), writer, workers=2)
        for worker in range(2):
            assembler.add(report(worker, 0, fan_out_ns=[1_000_000]))
    lines = (folder / "histograms.hlog").read_text().splitlines()[4:]
    assert 1 == len(lines)
    assert lines[0].startswith("Tag=fan_out_latency.subscriber.measure,0.000,1.000,")


def test_lost_worker_is_waited_for_no_longer(folder):
    """Its users are gone, and what it says when it comes back is not taken."""
    with RecordWriter(folder) as writer:
        assembler = SecondAssembler(make_plan(), writer, workers=2)
        for worker in (0, 1):
            assembler.add(report(worker, 0))
        assembler.lose(1)
        assembler.add(report(1, 1))
        assembler.add(report(0, 1))
    assert [10, 5] == [row["connected"] for row in subscribers(folder)]
