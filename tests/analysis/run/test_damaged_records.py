import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer

from harness.analysis.decide.comparability import IncomparableRunsError, find_incompatibilities
from harness.analysis.decide.fleet import worker_cost
from harness.analysis.run.finalize import analyse, finalize
from harness.analysis.run.record import read_record
from harness.analysis.run.run_file import NoRecordError, read_run
from harness.analysis.run.slo import observe
from harness.analysis.run.summary import judge_part
from harness.cli.compare import compare
from harness.cli.cost import cost
from harness.cli.report import check, report
from harness.core.errors import HarnessError
from harness.measure.record import SCHEMA_VERSION
from harness.report.summary_text import summary_text
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("unexported", "outside_of_github")

SAMPLE = ROOT / "reports" / "sample"
FILES = (
    *("run.json", "histograms.hlog", "timeline.parquet", "generator.parquet"),
    *("messages.parquet", "connections.parquet", "errors.parquet"),
)
QUICK_FILES = ("run.json", "messages.parquet")
DAMAGES = {
    "missing": lambda file: file.unlink(),
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3]),
    "empty": lambda file: file.write_bytes(b""),
    "scrambled": lambda file: file.write_bytes(bytes(255 - byte for byte in file.read_bytes())),
}


DID_NOT_END = "the run was killed, or is still going"


def still_runs(folder):
    """Leave ``run.json`` as it was before the run ended."""
    run = json.loads((folder / "run.json").read_text()) | {"status": "running"}
    (folder / "run.json").write_text(json.dumps(run))


@pytest.fixture
def sample(tmp_path):
    """Return a copy of the committed record, without what was made from it."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "run", ignore=shutil.ignore_patterns("charts")))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_damage_is_named_and_the_run_is_invalid(sample, name, damage):
    """Figures of what is left must not pass for those of the whole."""
    DAMAGES[damage](sample / name)
    analysis = analyse(sample)
    found = [one for one in analysis.summary["warnings"] if one["code"] == "record_damaged"]
    assert any(name in warning["observed"] for warning in found)
    assert ("invalid", 4) == (analysis.summary["verdict"], analysis.summary["exit_code"])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name not in QUICK_FILES else [])
        for name in FILES
    ],
)
def test_every_verb_says_what_is_missing_and_shows_the_rest(sample, name, tmp_path, capsys):
    """``report``, ``check``, ``compare`` and ``cost`` on a record that was cut."""
    DAMAGES["cut"](sample / name)
    for verb in (report, check):
        with pytest.raises(typer.Exit) as caught:
            verb(sample)
        assert 4 == caught.value.exit_code
        assert f"warning: record_damaged: {name}" in capsys.readouterr().out.replace("\n", " ")
    compare([str(SAMPLE), str(sample)], out=tmp_path / "page.html", anyway=True)
    assert f"damaged in B (run): {name}" in capsys.readouterr().out.replace("\n", " ")
    cost([sample])
    printed = capsys.readouterr().out
    assert f"Run {sample}" in printed
    assert f"The record is damaged: {name}" in printed
    assert "Fan-out" in (sample / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "unknown", "words"),
    [
        (
            "timeline.parquet",
            ("joins.attempted", "joins.succeeded", "joins.failed", "deliveries.per_s_mean"),
            "How many users joined is unknown and ",
        ),
        (
            "messages.parquet",
            ("publishes.offered", "publishes.failed", "population.unique_chatters_sent"),
            "users joined, and how many messages were published is unknown; ",
        ),
    ],
)
def test_what_a_lost_table_counted_is_unknown_and_not_0(sample, name, unknown, words):
    """Neither in figures nor in words, and no objective is met by it."""
    whole = analyse(sample).summary
    DAMAGES["cut"](sample / name)
    analysis = analyse(sample)
    assert [] == [metric for metric in unknown if observe(whole, metric) is None]
    assert [] == [metric for metric in unknown if observe(analysis.summary, metric) is not None]
    assert words in summary_text(analysis)
    slo = {"metric": "joins.failed", "op": "==", "limit": 0}
    expected = "no_data" if name == "timeline.parquet" else "pass"
    assert expected == judge_part(slo, analysis.record, analysis.summary)["verdict"]


def test_the_page_of_a_damaged_record_draws_and_counts_nothing_that_is_unknown(sample):
    """No chart of what arrived, and no tile that says there was none."""
    DAMAGES["cut"](sample / "timeline.parquet")
    with pytest.raises(typer.Exit):
        report(sample, quiet=True)
    page = (sample / "report.html").read_text("utf-8")
    assert "Latency by percentile" in page
    for untrue in ("Up to nan", 'id="deliveries"', "none in the measured time", "No user tried"):
        assert untrue not in page


def test_the_reason_for_not_trusting_a_damaged_record_is_its_damage(sample):
    """The file is named in the first sentences already."""
    (sample / "histograms.hlog").unlink()
    assert "cannot be trusted: the record is damaged, histograms.hlog is missing." in summary_text(
        analyse(sample)
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"plan": 5}, "plan"),
        ({"plan": None}, "plan"),
        ({"plan": {"workload": []}}, "plan.workload"),
        ({"phases": "x", "warnings": {}}, "phases, warnings"),
        ({"epoch_ns": "soon"}, "epoch_ns"),
    ],
)
def test_a_run_json_of_other_contents_is_damaged_and_the_tables_are_shown(sample, changes, named):
    """It is JSON of this version, and yet no record: no traceback, and no pass without a plan."""
    file = sample / "run.json"
    run = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in run.items() if value is not None}))
    with pytest.raises(NoRecordError, match=re.escape(f"is damaged ({named} missing or of")):
        read_run(sample)
    summary = analyse(sample).summary
    assert ("invalid", "run.json is damaged: plan, objectives, environment and workers are unknown"
            ) == (summary["verdict"], summary["warnings"][0]["observed"])  # fmt: skip
    assert 7 <= summary["joins"]["succeeded"]


def test_a_record_without_run_json_differs_in_nothing_that_nobody_knows(sample):
    """Its damage is named once, instead of each key of a plan that is gone."""
    (sample / "run.json").unlink()
    assert ["verdict", "record"] == [
        one.key for one in find_incompatibilities([[analyse(SAMPLE)], [analyse(sample)]])
    ]


def test_a_run_of_unknown_names_is_told_so(sample, capsys):
    """And not as None."""
    (sample / "run.json").unlink()
    with pytest.raises(typer.Exit):
        report(sample)
    assert "Invalid unknown workload on unknown target" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_no_fleet_is_planned_from_what_is_left(sample, name):
    """The figures behind it would be those of a part."""
    DAMAGES["cut"](sample / name)
    with pytest.raises(HarnessError, match=r"is damaged: .*the record of a whole run is needed"):
        worker_cost(read_record(sample))


@pytest.mark.parametrize("verb", [report, check])
def test_run_that_did_not_end_is_told_so(sample, verb, capsys):
    """The master was killed, or could not write any more: its last word is that it runs."""
    still_runs(sample)
    with pytest.raises(typer.Exit) as caught:
        verb(sample)
    out = capsys.readouterr().out.replace("\n", " ")
    assert 4 == caught.value.exit_code
    assert f"cannot be trusted: {DID_NOT_END}" in out
    assert "where at most" not in out


def test_run_that_did_not_end_is_compared_with_nothing(sample, tmp_path, capsys):
    """Or all the same where somebody insists, and told so."""
    still_runs(sample)
    page = tmp_path / "page.html"
    sides = [str(SAMPLE), str(sample)]
    with pytest.raises(
        IncomparableRunsError, match=f"verdict is invalid in B \\(run\\): {DID_NOT_END}"
    ):
        compare(sides, out=page)
    compare(sides, out=page, anyway=True)
    assert DID_NOT_END in capsys.readouterr().out.replace("\n", " ")
    assert DID_NOT_END in page.read_text("utf-8")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_record_keeps_what_its_run_json_says(sample, name):
    """A report on the rest must not take the place of the figures of the whole."""
    before = (sample / "run.json").read_bytes()
    DAMAGES["cut"](sample / name)
    after_damage = (sample / "run.json").read_bytes()
    finalize(sample)
    assert after_damage == (sample / "run.json").read_bytes()
    assert (name == "run.json") == (before != after_damage)


def test_what_is_left_has_its_own_figures(sample):
    """Without connections nobody knows what was owed; latencies and joins are still there."""
    whole = analyse(sample).summary
    DAMAGES["cut"](sample / "connections.parquet")
    rest = analyse(sample).summary
    assert whole["fan_out_latency_ms"] == rest["fan_out_latency_ms"]
    assert whole["joins"]["succeeded"] == rest["joins"]["succeeded"]
    assert rest["deliveries"]["owed"] is None


def test_without_run_json_times_come_from_the_tables(sample):
    """The epoch is the log's, and the phases are those of the timeline."""
    run = json.loads((sample / "run.json").read_text())
    (sample / "run.json").unlink()
    record = analyse(sample).record
    assert abs(run["epoch_ns"] - record.epoch_ns) <= 1_000_000
    assert [(one["name"], one["start_s"]) for one in run["phases"]] == [
        (one["name"], one["start_s"]) for one in record.phases
    ]


def test_a_log_cut_at_a_line_says_where_it_ends(sample):
    """No torn line gives it away."""
    log = sample / "histograms.hlog"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: len(lines) // 2]))
    (warning,) = analyse(sample).summary["warnings"]
    assert "histograms.hlog ends at second" in warning["observed"]


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (SCHEMA_VERSION + 1, "this harness is older than the record: update it"),
        (SCHEMA_VERSION - 1, "read it with harness 0.1.0"),
    ],
)
def test_a_record_of_another_schema_says_who_wrote_it(sample, version, words):
    """Newer or older: both versions, and what to do."""
    run = json.loads((sample / "run.json").read_text())
    (sample / "run.json").write_text(json.dumps(run | {"schema_version": version}))
    with pytest.raises(NoRecordError) as caught:
        analyse(sample)
    assert f"has schema version {version}, written by harness 0.1.0" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("table", ["generator", "connections"])
def test_columns_that_an_earlier_version_did_not_write_are_no_damage(sample, table):
    """Each is missing in turn; the figures that need it are unknown, the others as before."""
    file = sample / f"{table}.parquet"
    stored = pq.read_table(file)
    later = {
        "generator": ("cpu_wait_ratio", "machine_others_ratio", "clock_step_ms", "late_slots"),
        "connections": ("away_s", "missed_while_away", "first_arrival_ns"),
    }
    known = [name for name in later[table] if name in stored.column_names]
    pq.write_table(stored.drop_columns(known), file)
    summary = analyse(sample).summary
    assert "pass" == summary["verdict"]
    assert [] == summary["warnings"]


def test_earlier_names_in_a_record_are_read_as_those_of_now(sample):
    """The summary and the tables of a run whose unexpected deliveries were called unowed."""
    run = json.loads((sample / "run.json").read_text())
    figures = run["summary"]["deliveries"]
    figures["unowed"] = 7
    figures.pop("unexpected", None)
    run["plan"]["workload"]["slos"] = [{"metric": "deliveries.unowed", "op": "==", "limit": 0}]
    (sample / "run.json").write_text(json.dumps(run))
    messages = pq.read_table(sample / "messages.parquet")
    names = ["unowed" if name == "unexpected" else name for name in messages.column_names]
    pq.write_table(messages.rename_columns(names), sample / "messages.parquet")
    assert 7 == observe(read_run(sample)["summary"], "deliveries.unexpected")
    assert "deliveries.unexpected" == read_run(sample)["plan"]["workload"]["slos"][0]["metric"]
    assert 0 == analyse(sample).summary["deliveries"]["unexpected"]


def test_a_folder_with_nothing_of_a_run_is_no_record(tmp_path):
    """A typing error in a path is not a damaged record."""
    (tmp_path / "run.json").write_text("{half")
    with pytest.raises(NoRecordError, match="is not JSON"):
        analyse(tmp_path)
