import re
import shutil
from xml.etree import ElementTree as ET

import pytest
import typer

from harness.analysis.decide.comparability import IncomparableRunsError
from harness.analysis.run.finalize import finalize
from harness.analysis.run.run_file import runs_in
from harness.cli.baseline import Action, baseline
from harness.cli.compare import compare
from harness.core.errors import ScenarioError
from harness.report.decide.compare_tables import P99
from harness.report.formatting import THIN
from tests.support.simulated_run import Simulation


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the folders of a run, of one four times as slow, and of one with more workers."""
    folder = tmp_path_factory.mktemp("compare")
    plans = {
        "quick": Simulation(subscribers=18, chatters=2, measure_s=40, seed=1),
        "slow": Simulation(subscribers=18, chatters=2, measure_s=40, seed=1, median_ms=48.0),
    }
    plans["other"] = Simulation(changes={"workers": [{"index": 0}] * 3})
    return {name: str(plan.write(folder / name)) for name, plan in plans.items()}


def test_the_table_says_what_is_higher_and_the_page_is_named(runs, tmp_path, capsys):
    """Nobody needs to open the page to know."""
    page = tmp_path / "page.html"
    compare([runs["quick"], runs["slow"]], out=page)
    out = capsys.readouterr().out
    assert "Fan-out latency p99    higher" in out
    assert f"page: {page}" in out.splitlines()
    assert "<h1" in page.read_text(encoding="utf-8")
    charts = {one.name for one in (tmp_path / "page-charts").iterdir()}
    assert {"compare-percentiles.png", "compare-percentiles.svg"} <= charts


def test_a_folder_of_runs_is_a_side(runs, tmp_path, printed_json):
    """As run --repeat makes it: named like a run, in the order of the numbers."""
    for number in (1, 2, 10):
        shutil.copytree(runs["quick"], tmp_path / "side" / f"{number}")
    assert ["1", "2", "10"] == [one.name for one in runs_in(tmp_path / "side")]
    compare([str(tmp_path / "side"), runs["slow"]], out=tmp_path / "page.html", as_json=True)
    assert 3 == len(printed_json()["sides"][0]["runs"])


def test_a_run_beside_itself_shows_no_difference(runs, tmp_path, capsys):
    """And the gate lets it pass."""
    rules = ["fan_out_latency_ms.p99 +10%"]
    compare([runs["quick"], runs["quick"]], out=tmp_path / "page.html", fail_if=rules)
    out = capsys.readouterr().out
    assert "Fan-out latency p99    no difference shown" in out
    assert "higher" not in out


def test_a_gate_that_is_broken_exits_3_and_the_json_says_which(runs, tmp_path, printed_json):
    """The page is written all the same."""
    page = tmp_path / "page.html"
    rules = ["fan_out_latency_ms.p99 +10%", "deliveries.lost +0%"]
    sides = [runs["quick"], f"{runs['slow']},{runs['slow']}"]
    with pytest.raises(typer.Exit) as caught:
        compare(sides, out=page, fail_if=rules, as_json=True)
    assert 3 == caught.value.exit_code
    found = printed_json(3)
    assert ["fail", "pass"] == [gate["verdict"] for gate in found["gates"]]
    assert [1, 2] == [len(side["runs"]) for side in found["sides"]]
    assert page.is_file()


def test_unlike_runs_are_refused_unless_asked_for_and_then_the_page_says_so(runs, tmp_path, capsys):
    """In red, with the key."""
    page, sides = tmp_path / "page.html", [runs["quick"], runs["other"]]
    with pytest.raises(IncomparableRunsError, match=r"generator\.workers is 1 in A, 3 in B"):
        compare(sides, out=page)
    assert not page.exists()
    compare(sides, out=page, anyway=True)
    assert "not comparable: generator.workers is 1 in A, 3 in B" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert '<section class="unlike"' in text
    assert "<b>generator.workers</b>: 1 in A, 3 in B" in text


def test_what_may_differ_is_allowed_by_kind(runs, tmp_path, capsys):
    """And a kind that there is not is an error."""
    page, sides = tmp_path / "page.html", [runs["quick"], runs["other"]]
    compare(sides, out=page, allow="generator")
    assert "not comparable: generator.workers" in capsys.readouterr().out
    with pytest.raises(IncomparableRunsError, match=r"generator\.workers"):
        compare(sides, out=page, allow="seed")
    with pytest.raises(ScenarioError, match="must be one of workload, scale, seed"):
        compare(sides, out=page, allow="everything")


def test_a_baseline_is_the_first_side(runs, tmp_path, capsys):
    """The page, the terminal and the gate are those of the run that it was made of."""
    folder = tmp_path / "reports" / "kept"
    finalize(Simulation(subscribers=18, chatters=2, measure_s=40, seed=1).write(folder))
    baseline(Action.SAVE, [folder], out=tmp_path / "baseline.tar.xz")
    assert "baseline: " in capsys.readouterr().out
    rules, page = ["fan_out_latency_ms.p99 +10% and +1 ms"], tmp_path / "page.html"
    compare([str(folder)], baseline=tmp_path / "baseline.tar.xz", out=page, fail_if=rules)
    assert "✓ Pass" == capsys.readouterr().out.splitlines()[0]
    with pytest.raises(typer.Exit) as caught:
        compare([runs["slow"]], baseline=tmp_path / "baseline.tar.xz", out=page, fail_if=rules)
    assert 3 == caught.value.exit_code
    assert "✕ Fail" == capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("sides", [["a"], ["a", "b", "c", "d", "e"]])
def test_one_side_or_five_are_an_error(sides, tmp_path):
    """There is nothing to compare, or no colour left."""
    with pytest.raises(ScenarioError, match="must be two to four sides"):
        compare(sides, out=tmp_path / "page.html")


@pytest.mark.parametrize("sides", [["a", ","], ["", "b"]])
def test_a_side_without_a_run_is_an_error(sides, tmp_path):
    """A comma too many, or a variable that was empty."""
    with pytest.raises(ScenarioError, match="must name at least one run on each side"):
        compare(sides, out=tmp_path / "page.html")


def test_the_step_summary_has_the_differences(runs, tmp_path, monkeypatch, capsys):
    """On the job's page, where GitHub gives one."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    compare([runs["quick"], runs["slow"]], out=tmp_path / "page.html")
    assert "page:" in capsys.readouterr().out
    assert "| Fan-out latency p99 | higher |" in summary.read_text(encoding="utf-8")


def test_sides_are_called_by_their_labels_and_tags_that_differ_are_shown(
    tmp_path, capsys, printed_json
):
    """In the terminal, on the page and as JSON; a tag that all share is left out."""
    for name, commit in (("a", "1a2b"), ("b", "3c4d")):
        changes = {"label": f"build {name}", "tags": {"commit": commit, "env": "staging"}}
        Simulation(subscribers=18, chatters=2, changes=changes).write(tmp_path / name)
    sides, page = [str(tmp_path / "a"), str(tmp_path / "b")], tmp_path / "page.html"
    compare(sides, out=page)
    lines = capsys.readouterr().out.splitlines()
    target = "appsync-events-emulated"
    assert [
        f"A: build a on {target} (commit=1a2b)",
        f"B: build b on {target} (commit=3c4d)",
    ] == lines[1:3]
    assert f"A: build a on {target}, 1 run, commit=1a2b" in page.read_text(encoding="utf-8")
    compare(sides, out=page, as_json=True)
    (first, _) = printed_json()["sides"]
    assert ("build a", [{"commit": "1a2b", "env": "staging"}]) == (first["label"], first["tags"])


def test_all_outputs_of_one_comparison_say_the_same(
    runs, tmp_path, monkeypatch, capsys, printed_json
):
    """Page, terminal, JSON, step summary, JUnit and annotations: one headline, one finding."""
    page, junit, summary = (tmp_path / name for name in ("page.html", "junit.xml", "summary.md"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    rules = ["fan_out_latency_ms.p99 +10%", "deliveries.lost +0"]
    asked = {"out": page, "junit": junit, "fail_if": rules}
    with pytest.raises(typer.Exit):
        compare([runs["quick"], runs["slow"]], **asked)
    terminal, annotated = capsys.readouterr()
    written = summary.read_text("utf-8").replace(THIN, " ")
    with pytest.raises(typer.Exit):
        compare([runs["quick"], runs["slow"]], **asked, as_json=True)
    capsys.readouterr()
    found = printed_json(3)

    (suite,) = ET.fromstring(junit.read_bytes())  # noqa: S314 - our own document
    (failure,) = suite.iter("failure")
    headline = suite.find("properties/property[@name='headline']").get("value")
    assert "✕ Fail" == headline == terminal.splitlines()[0]
    assert written.startswith(f"**{headline}**")
    assert ("Fail", "fail", 3) == (found["headline"], found["verdict"], found["exit_code"])
    text = page.read_text("utf-8")
    assert re.search(r"✕\s*(</?\w[^>]*>\s*)*Fail", text)

    change = failure.get("message").partition(": higher, ")[2].partition(" (")[0]
    ratio = next(one["ratio"] for one in found["differences"] if one["metric"] == P99)
    assert f"{100 * (ratio - 1):+.3g}{THIN}%" == change
    assert change in text
    assert change.replace(THIN, " ") in terminal
    assert change.replace(THIN, " ") in written
    (line,) = annotated.splitlines()
    assert change.replace("%", "%25") in line
    assert ["fail", "pass"] == [gate["verdict"] for gate in found["gates"]]
    cases = {case.get("name"): case.find("failure") is None for case in suite.iter("testcase")}
    passed = {f"B: {rules[0]}": False, f"B: {rules[1]}": True, "the runs are comparable": True}
    assert passed == cases


def test_a_refused_comparison_is_an_error_in_junit(runs, tmp_path, capsys, monkeypatch):
    """With the sentence of the error, which is also annotated."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    junit = tmp_path / "results" / "junit.xml"
    with pytest.raises(IncomparableRunsError):
        compare([runs["quick"], runs["other"]], out=tmp_path / "page.html", junit=junit)
    (suite,) = ET.fromstring(junit.read_bytes())  # noqa: S314 - our own document
    assert ["1", "0", "1"] == [suite.get(one) for one in ("tests", "failures", "errors")]
    sentence = "compare: generator.workers is 1 in A, 3 in B, runs that are compared must be"
    assert suite.find("testcase/error").get("message").startswith(sentence)
    assert capsys.readouterr().err.startswith(f"::error title=Not comparable::{sentence}")


def test_without_gates_junit_has_the_decisive_figures_and_none_fails(runs, tmp_path, capsys):
    """As the subcommand itself, which ends with 0 whatever it finds."""
    junit = tmp_path / "junit.xml"
    sides = [runs["quick"], runs["slow"]]
    compare(sides, out=tmp_path / "page.html", junit=junit, quiet=True)
    assert "✕ B is worse\n" == capsys.readouterr().out
    (suite,) = ET.fromstring(junit.read_bytes())  # noqa: S314 - our own document
    assert ["3", "0", "0"] == [suite.get(one) for one in ("tests", "failures", "errors")]
    said = suite.findtext(f"testcase[@name='B: {P99}']/system-out", "")
    assert said.startswith("Fan-out latency p99 ")
    assert ": higher, +" in said
