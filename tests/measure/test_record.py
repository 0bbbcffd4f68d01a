import json

import numpy as np
import pytest

from harness.core.errors import MachineError
from harness.measure.histogram import LatencyHistogram
from harness.measure.record import RecordWriter, folder_name
from harness.measure.record_schema import JOURNAL_TABLES


def test_rows_reach_the_disk_at_the_flush(tmp_path):
    """A reader sees every flushed row while the run still goes on."""
    with RecordWriter(tmp_path / "run") as writer:
        writer.append("errors", [{"second": 1}, {"second": 2}])
        writer.flush()
        lines = (tmp_path / "run/journal/errors.jsonl").read_text().splitlines()
    assert [{"second": 1}, {"second": 2}] == [json.loads(line) for line in lines]


def test_every_table_has_a_journal_from_the_start(tmp_path):
    """An empty table is an empty file and not a missing one."""
    RecordWriter(tmp_path / "run").close()
    names = {path.name for path in (tmp_path / "run/journal").iterdir()}
    assert {f"{table}.jsonl" for table in JOURNAL_TABLES} == names


def test_discarded_record_is_gone(tmp_path):
    """The place is free for the next attempt."""
    RecordWriter(tmp_path / "run").discard()
    assert [] == list(tmp_path.iterdir())
    RecordWriter(tmp_path / "run").close()


def test_existing_folder_is_refused_in_one_sentence(tmp_path):
    """A run never overwrites another one."""
    (tmp_path / "run.json").touch()
    with pytest.raises(MachineError, match="exists already, a run's folder must be new"):
        RecordWriter(tmp_path)


def test_empty_folder_is_taken_and_left_to_its_maker(tmp_path):
    """The command makes it before the load process starts, so that no other run takes it."""
    RecordWriter(tmp_path).discard()
    assert [] == list(tmp_path.iterdir())


def test_full_disk_is_one_sentence(tmp_path):
    """What the system says of a disk that takes no more reaches the user as a hint."""
    writer = RecordWriter(tmp_path / "run")
    with open("/dev/full", "wb") as full:  # noqa: PTH123  a device, opened for its errors
        writer._journals["errors"].close()
        writer._journals["errors"] = full
        writer.append("errors", [{"second": 1}])
        with pytest.raises(MachineError, match="no space left on device"):
            writer.flush()
        writer.close()


def test_run_file_is_replaced_whole(tmp_path):
    """Readers find the old run.json or the new one, never half of one."""
    with RecordWriter(tmp_path / "run") as writer:
        writer.write_run({"status": "running"})
        writer.write_run({"status": "completed"})
    assert {"status": "completed"} == json.loads((tmp_path / "run/run.json").read_text())
    assert not (tmp_path / "run/run.json.new").exists()


def test_histograms_are_logged_under_their_tag(tmp_path):
    """The log names metric, user class and phase of each second."""
    histogram = LatencyHistogram()
    histogram.record_many(np.array([1_000_000]))
    with RecordWriter(tmp_path / "run") as writer:
        writer.begin(epoch_ns=10**18)
        writer.append_histogram("send_delay.chatter.measure", 3, histogram)
    line = (tmp_path / "run/histograms.hlog").read_text().splitlines()[-1]
    assert line.startswith("Tag=send_delay.chatter.measure,3.000,1.000,1.000,HIST")


def test_folder_name_has_time_workload_and_target():
    """A listing of reports sorts by time."""
    from datetime import UTC, datetime

    started = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    assert folder_name("quickstart", "nchan", started) == "20261123T153000Z-quickstart-nchan"
