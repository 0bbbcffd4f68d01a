from xml.etree import ElementTree as ET

import pytest
import typer

from harness.cli.report import check
from harness.core.errors import MachineError
from harness.core.metrics import SUMMARY_METRICS
from tests.support.simulated_run import Simulation

SLOS = """
[[slos]]
metric = "fan_out_latency_ms.p99"
op = "<="
limit = {limit}
user_class = "subscriber"

[[slos]]
metric = "deliveries.ratio"
op = ">="
limit = 0.5
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run with a fan-out p99 near 75 ms."""
    return Simulation().write(tmp_path_factory.mktemp("check") / "run")


@pytest.fixture
def slo_file(write):
    """Return a function that writes a file of two SLOs, one with this limit."""
    return lambda limit: write("slos.toml", SLOS.format(limit=limit))


def exit_code_of(run, **options):
    """Run the verb and return its exit code."""
    with pytest.raises(typer.Exit) as caught:
        check(run, **options)
    return caught.value.exit_code


def files_of(folder):
    """Return all files below a folder and what they hold."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_table_has_observed_limit_and_margin_and_the_record_is_left_alone(
    run, slo_file, capsys
):
    """Judging an old run again changes nothing in its folder."""
    before = files_of(run)
    assert 0 == exit_code_of(run, slo=slo_file(500))
    out = capsys.readouterr().out
    assert "✓ Pass  Fan-out latency p99 (subscriber)" in out
    assert "at most 500 ms  margin 4" in out
    assert before == files_of(run)


def test_a_limit_that_is_broken_exits_3(run, slo_file, capsys):
    """The margin is what is missing."""
    assert 3 == exit_code_of(run, slo=slo_file(1))
    assert "margin -" in capsys.readouterr().out


def test_json_is_all_there_is_on_stdout(run, slo_file, printed_json):
    """A program reads verdict, objectives and every figure of the catalogue."""
    assert 3 == exit_code_of(run, slo=slo_file(1), as_json=True)
    found = printed_json(3)
    assert ["fail", "pass"] == [slo["verdict"] for slo in found["slos"]]
    assert (3, "fail", None) == (found["exit_code"], found["verdict"], found["error"])
    assert set(SUMMARY_METRICS) == set(found["figures"])
    assert found["slos"][1]["observed"] == found["figures"]["deliveries.ratio"]


def test_every_figure_is_printed_on_request(run, slo_file, capsys):
    """Those without an objective too, under the names that objectives give them."""
    assert 0 == exit_code_of(run, slo=slo_file(500))
    assert "joins.latency_ms.p90" not in capsys.readouterr().out
    exit_code_of(run, slo=slo_file(500), every=True)
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines() if line]
    assert set(SUMMARY_METRICS) <= {line[0] for line in lines}
    assert "at most 500 ms  margin 4" in out


def test_quiet_prints_the_verdict_alone(run, slo_file, capsys):
    """One line, for a log that has enough of them."""
    exit_code_of(run, slo=slo_file(1), quiet=True)
    assert ("✕ Fail quickstart on appsync-events-emulated\n", "") == capsys.readouterr()


def test_junit_has_a_case_for_each_slo_with_its_scope(run, slo_file, tmp_path):
    """And the one on validity."""
    junit = tmp_path / "junit.xml"
    exit_code_of(run, slo=slo_file(1), junit=junit)
    (suite,) = ET.fromstring(junit.read_bytes())  # noqa: S314 - our own document
    assert [
        "the run is valid",
        "fan_out_latency_ms.p99 <= 1 (subscriber)",
        "deliveries.ratio >= 0.5",
    ] == [case.get("name") for case in suite]
    assert "1" == suite.get("failures")


def test_without_a_file_the_workloads_own_slos_judge(run, capsys):
    """The verdict the run ended with."""
    assert 0 == exit_code_of(run)
    assert "Join latency p99" in capsys.readouterr().out


def test_github_gets_annotations_and_a_step_summary(run, slo_file, tmp_path, capsys, monkeypatch):
    """Whoever opens the job's page sees what failed; what others wrote there stays."""
    page = tmp_path / "summary.md"
    page.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    exit_code_of(run, slo=slo_file(1), as_json=True)
    out, err = capsys.readouterr()
    assert err.startswith("::error title=Fan-out latency p99 (subscriber)::")
    assert 1 == err.count("::error")
    assert "" == out
    assert page.read_text(encoding="utf-8").startswith("before\n## ✕ Fail")


def test_a_junit_file_that_cannot_be_written_is_an_error_in_words(run, tmp_path):
    """Where its folder should be there is a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        check(run, junit=tmp_path / "file" / "junit.xml")


def test_the_folder_of_a_junit_file_is_made(run, tmp_path):
    """Pipelines name one that is not there yet."""
    assert 0 == exit_code_of(run, junit=tmp_path / "results" / "junit.xml")
    assert (tmp_path / "results" / "junit.xml").is_file()
