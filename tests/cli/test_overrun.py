import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.cli import load_process
from harness.cli.load_process import OverrunWatch
from harness.core.clock import NS_PER_S


def watch(folder: Path, run: Mapping[str, object]) -> OverrunWatch:
    (folder / "run.json").write_text(json.dumps(run))
    return OverrunWatch(folder, 6.0)


@pytest.mark.parametrize(
    ("status", "ago_s", "overran"),
    [("running", 127.0, True), ("running", 100.0, False), ("completed", 127.0, False)],
)
def test_run_is_over_for_too_long_by_its_own_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, ago_s: float, overran: bool
) -> None:
    """Not by when it was started: workers may come late; nor where the page alone stays."""
    now_s = time.monotonic()
    run = watch(tmp_path, {"status": status, "epoch_ns": time.time_ns() - round(ago_s * NS_PER_S)})
    assert not run.overran()
    monkeypatch.setattr(load_process.time, "monotonic", lambda: now_s + 1000.0)
    assert run.overran() is overran


def test_record_says_why_its_process_was_ended(tmp_path: Path) -> None:
    """All else in it stays."""
    watch(tmp_path, {"status": "running", "epoch_ns": 7}).note()
    run = json.loads((tmp_path / "run.json").read_bytes())
    assert ("aborted", 7, 4) == (run["status"], run["epoch_ns"], run["cause"]["exit_code"])


def test_record_that_was_finished_meanwhile_stays(tmp_path: Path) -> None:
    """It knows better."""
    watch(tmp_path, {"status": "completed"}).note()
    assert {"status": "completed"} == json.loads((tmp_path / "run.json").read_bytes())
