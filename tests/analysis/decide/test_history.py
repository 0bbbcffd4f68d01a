import json
import re

import pytest

from harness.analysis.decide.history import read_history, stored_runs
from harness.analysis.run.finalize import finalize
from harness.analysis.run.run_file import NoRecordError
from harness.core.load_differences import differences
from harness.report.decide.history_page import draw_history, render_history, tables
from harness.report.decide.sweep_text import plain
from tests.support.simulated_run import Simulation


def stored(folder, *, revision="abc1234", day=1, **changes):
    """Write and judge one small run; return its folder."""
    finalize(Simulation(measure_s=6, **changes).write(folder))
    run = json.loads((folder / "run.json").read_text())
    run["started_at"] = f"2026-11-{day:02}T10:00:00+00:00"
    run["environment"] = {"git_revision": revision}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def set_plan(folder, part, **keys):
    """Change what a stored run says it ran."""
    run = json.loads((folder / "run.json").read_text())
    run["plan"][part] |= keys
    (folder / "run.json").write_text(json.dumps(run))


def test_like_runs_are_one_series_by_time_with_their_revisions(tmp_path):
    """Wherever below the folder they are."""
    stored(tmp_path / "a", day=3, revision="new5678")
    stored(tmp_path / "study" / "runs" / "b", day=1)
    history = read_history(tmp_path)
    (series,) = history.series
    assert ["abc1234", "new5678"] == [point.revision for point in series.points]
    assert () == history.skipped


def test_stored_runs_are_the_valid_ones_of_a_folder_and_damage_ends_nothing(tmp_path):
    """Oldest first, and only those directly in it."""
    stored(tmp_path / "b", day=2)
    stored(tmp_path / "a", day=3)
    stored(tmp_path / "deeper" / "c", day=1)
    run = json.loads((stored(tmp_path / "no-zone", day=4) / "run.json").read_text())
    run |= {"started_at": "2026-11-01T10:00:00", "run_id": "first"}
    (tmp_path / "no-zone" / "run.json").write_text(json.dumps(run))
    (stored(tmp_path / "cut", day=5) / "histograms.hlog").unlink()
    (tmp_path / "cut" / "histograms.hlog").mkdir()
    found = stored_runs(tmp_path, ["fan_out_latency_ms.p99"])
    assert ["first", "9f3c2a7d", "9f3c2a7d"] == [one.run_id for one in found]
    assert [] == stored_runs(tmp_path / "missing", [])


def test_unlike_workloads_and_targets_are_series_of_their_own_and_say_why(tmp_path):
    """Even under the same names."""
    stored(tmp_path / "a", day=1)
    set_plan(stored(tmp_path / "b", day=2), "workload", seed=99)
    set_plan(stored(tmp_path / "c", day=3), "target", emulated="elsewhere")
    apart = [series.apart for series in read_history(tmp_path).series]
    assert [(), ("workload.seed",), ("target.emulated",)] == apart


def test_the_change_is_the_last_valid_run_over_the_median_before_it(tmp_path):
    """10, 20 and 30 before 40 make 40/20; an invalid run counts for nothing."""
    for day, p99 in enumerate((10.0, 20.0, 30.0, 40.0, 500.0), 1):
        folder = stored(tmp_path / f"{day}", day=day)
        run = json.loads((folder / "run.json").read_text())
        run["summary"]["fan_out_latency_ms"]["p99"] = p99
        run["summary"]["verdict"] = "invalid" if p99 == 500.0 else "pass"
        (folder / "run.json").write_text(json.dumps(run))
    (series,) = read_history(tmp_path).series
    assert 2.0 == series.change("fan_out_latency_ms.p99").ratio


def page_of(folder):
    """Return the page of a folder's history with its charts."""
    history = read_history(folder)
    return render_history(history, draw_history(history))


def store_latencies(folder, p50s, error_ms):
    """Write a run for each median, of workers whose clocks are known to ``error_ms``."""
    for day, p50 in enumerate(p50s, 1):
        run_file = stored(folder / f"{day}", day=day) / "run.json"
        run = json.loads(run_file.read_text())
        run["summary"]["fan_out_latency_ms"] |= {"p50": p50, "p99": 10 * p50}
        run["summary"]["joins"]["latency_ms"]["p99"] = p50
        run["summary"]["generator"]["clock_error_ms"] = error_ms
        run_file.write_text(json.dumps(run))


def test_no_latency_below_the_clocks_error_is_quoted(tmp_path):
    """Nor a change of it that the clocks may have made; joins begin and end on one clock."""
    store_latencies(tmp_path, [3.0, 4.0], error_ms=5.0)
    (table,) = tables(read_history(tmp_path))
    texts = [[plain(cell.text) for cell in row] for row in table.rows]
    assert [["≤ 5.0 ms", "30.0 ms", "3.0 ms"], ["≤ 5.0 ms", "40.0 ms", "4.0 ms"]] == [
        [row[4], row[5], row[7]] for row in texts
    ]
    assert (
        "The last valid run against the median of the previous runs: fan-out latency p50 within "
        "the clock error, fan-out latency p99 within the clock error, "
    ) in table.note
    assert "join latency p99 +33.3 %" in plain(table.note)
    assert (
        "Latencies below the clock error of the run are shown as an upper bound (≤)." in table.note
    )
    assert "2 runs, from ≤ 5.0 ms to ≤ 5.0 ms" in plain(page_of(tmp_path))


def test_latencies_of_one_clock_are_quoted_as_measured(tmp_path):
    """And nothing is said of clocks."""
    store_latencies(tmp_path, [3.0, 4.0], error_ms=0.0)
    (table,) = tables(read_history(tmp_path))
    assert ["3.0 ms", "4.0 ms"] == [plain(row[4].text) for row in table.rows]
    assert "fan-out latency p50 +33.3 %" in plain(table.note)
    assert "lock" not in table.note


def test_record_of_a_version_without_requests_is_shown(tmp_path):
    """It never had that table."""
    (stored(tmp_path / "old") / "requests.parquet").unlink()
    assert [] == list(read_history(tmp_path).skipped)


def test_damaged_records_are_named_and_skipped(tmp_path):
    """The others are shown."""
    stored(tmp_path / "whole")
    (stored(tmp_path / "half") / "run.json").write_text("{half")
    (stored(tmp_path / "no-table") / "messages.parquet").unlink()
    log = stored(tmp_path / "torn") / "histograms.hlog"
    log.write_bytes(log.read_bytes()[:-5])
    Simulation().write(tmp_path / "unjudged")
    history = read_history(tmp_path)
    assert 1 == len(history.series)
    reasons = {folder.name: reason for folder, reason in history.skipped}
    assert reasons.keys() == {"half", "no-table", "torn", "unjudged"}
    assert "is not JSON" in reasons["half"]
    assert "messages.parquet is missing" == reasons["no-table"]
    assert "histograms.hlog is cut" == reasons["torn"]
    assert "was not judged" in reasons["unjudged"]


@pytest.mark.parametrize(
    ("one", "other", "keys"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"a": 1, "b": []}, []),
        ({"a": 1}, {"a": 1, "b": ["x"]}, ["b"]),
        ({"t": None}, {"t.b": 2}, ["t.b"]),
        ({"t": None}, {"t.b": None}, []),
    ],
)
def test_a_key_that_came_later_makes_a_difference_only_where_it_adds_something(one, other, keys):
    """Records of an earlier version stay in their series."""
    assert keys == differences(one, other)


def test_a_folder_without_records_is_an_error(tmp_path):
    """And not an empty page."""
    with pytest.raises(NoRecordError, match="holds no run record"):
        read_history(tmp_path)


def test_what_runs_tested_is_a_column_where_one_of_them_says_it(tmp_path):
    """A label and tags change nothing about which series a run belongs to."""
    stored(tmp_path / "a", day=1)
    stored(tmp_path / "b", day=2, changes={"label": "build 7", "tags": {"commit": "1a2b"}})
    (table,) = tables(read_history(tmp_path))
    place = table.columns.index("Tested")
    assert ["–", "build 7, commit=1a2b"] == [row[place].text for row in table.rows]
    assert "build 7, commit=1a2b" in page_of(tmp_path)


def test_revisions_that_nobody_knows_are_no_column_and_no_bands(tmp_path):
    """An installed wheel has none; once one run has, the others say that theirs is unknown."""
    stored(tmp_path / "a", revision=None)
    stored(tmp_path / "b", day=2, revision=None)
    assert "Revision" not in tables(read_history(tmp_path))[0].columns
    page = page_of(tmp_path)
    assert "bands are revisions" not in page
    assert "unknown" not in page
    stored(tmp_path / "c", day=3)
    assert "Revision" in tables(read_history(tmp_path))[0].columns


def test_runs_have_dates_names_and_a_mark_for_their_verdict(tmp_path):
    """Colour is never the only sign: the key names each mark."""
    for day, verdict in enumerate(("pass", "fail", "invalid"), 1):
        file = stored(tmp_path / f"{day}", day=day) / "run.json"
        run = json.loads(file.read_text()) | {"label": f"v{day}"}
        run["summary"]["verdict"] = verdict
        file.write_text(json.dumps(run))
    ((chart, *_),) = draw_history(read_history(tmp_path))
    shown = set(re.findall(r"<text[^>]*>([^<]*)</text>", chart.wide))
    assert {"1 Nov 2026", "2 Nov 2026", "3 Nov 2026", "v1", "v2", "v3"} <= shown
    assert {"Pass", "Fail", "Invalid"} <= shown
