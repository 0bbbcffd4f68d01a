import json

import orjson
import pytest

from harness.analysis.run.record import read_record
from harness.analysis.run.summary import figures
from harness.live.snapshot import snapshot
from harness.measure.record_schema import IRREGULAR_COUNTS
from tests.live.conftest import latencies, live_run, play, report
from tests.support.plans import make_plan
from tests.support.simulated_run import Simulation


def test_snapshot_counts_what_the_workers_reported(played):
    """Ledger, joins, publishes and latencies of the measured messages, from worked numbers."""
    shown = snapshot(played)
    ledger = {"owed": 6, "received": 5, "lost": 1, "duplicated": 1, "reordered": 0}
    assert ledger == {name: shown["deliveries"][name] for name in ledger}
    assert (4, 3, 1) == tuple(shown["joins"][k] for k in ("attempted", "succeeded", "failed"))
    assert {"upgrade": 1} == shown["joins"]["failed_by_stage"]
    assert (2, 2, 2) == tuple(shown["publishes"][k] for k in ("offered", "sent", "acknowledged"))
    latency = shown["fan_out_latency_ms"]
    assert 5 == latency["count"]
    assert latency["p50"] == pytest.approx(12.0, rel=2e-3)
    assert latency["max"] == pytest.approx(90.0, rel=2e-3)
    error = {"stage": "upgrade", "code": "429", "message": 'slow down, "you"', "count": 1}
    assert [error] == shown["errors"]
    assert json.loads(orjson.dumps(shown)) == shown


def test_last_second_is_the_newest_that_is_complete(tmp_path):
    """Its latencies are not those of the run so far."""
    reports = [report(13, stats=latencies([0.5] * 3)), report(14, stats=latencies([0.002]))]
    shown = snapshot(play(live_run(), tmp_path / "run", reports))
    last = shown["last_second"]
    assert (14, 1, 1) == (
        shown["second"],
        last["deliveries"]["achieved_per_s"],
        last["fan_out_latency_ms"]["count"],
    )
    assert (4, 3) == (shown["fan_out_latency_ms"]["count"], shown["deliveries"]["per_s_peak"])


def test_offered_deliveries_are_the_schedule_times_those_subscribed(tmp_path):
    """Whether or not anything was sent: slowness of the system must not hide the load meant."""
    run = live_run(make_plan(arrival="uniform"))
    due = run._due[20]
    play(run, tmp_path / "run", [report(20, windows={channel: ([0] * 4, []) for channel in due})])
    offered = snapshot(run)["last_second"]["deliveries"]["offered_per_s"]
    assert 4 * sum(due.values()) == offered > 0


def test_worst_worker_speaks_for_the_generator(tmp_path):
    """The busiest core, the most that waited, all of the memory, and how many workers report."""
    second = report(13, worker=1)
    second["generator"] |= {"cpu_ratio": 0.75, "receive_backlog": 300, "send_delay_ms_max": None}
    shown = snapshot(play(live_run(), tmp_path / "run", [report(13), second], workers=2))
    generator = shown["generator"]
    assert (0.75, 300, 3.0, 2000, 2) == (
        generator["cpu_ratio"],
        generator["receive_backlog"],
        generator["send_delay_ms"],
        generator["rss_bytes"],
        generator["workers_reporting"],
    )


def test_failed_joins_are_told_by_stage_and_by_cause(played):
    """One was told 429."""
    joins = snapshot(played)["joins"]
    assert {"upgrade": 1} == joins["failed_by_stage"]
    assert {"throttled": 1} == {cause: n for cause, n in joins["failed_by_cause"].items() if n}


def test_names_are_those_of_the_summary(played, tmp_path):
    """Every figure that both have stands under the same name and block."""
    summary = figures(read_record(Simulation(measure_s=10).write(tmp_path / "other")))
    shown = snapshot(played)
    for block in ("joins", "publishes", "fan_out_latency_ms", "receive_delay_ms"):
        assert summary[block].keys() <= shown[block].keys(), block
    known_after = {"missed_before_measuring", "missed_while_away", *IRREGULAR_COUNTS}
    assert summary["deliveries"].keys() - known_after <= shown["deliveries"].keys()
