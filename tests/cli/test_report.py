import re

import pytest
import typer

from harness.analysis.run.finalize import analyse, finalize
from harness.analysis.run.run_file import NoRecordError
from harness.cli.report import report, show
from harness.core.errors import ScenarioError
from tests.support.records import run_file, three_subscribers
from tests.support.simulated_run import Simulation


def exit_code_of(folder, **options):
    """Run the verb and return its exit code."""
    with pytest.raises(typer.Exit) as caught:
        report(folder, **options)
    return caught.value.exit_code


def test_a_passing_run_prints_verdict_figures_and_the_pages_path_and_exits_0(tmp_path, capsys):
    """What a newcomer sees at the end of a first run."""
    folder = Simulation().write(tmp_path / "run")
    assert 0 == exit_code_of(folder)
    out = capsys.readouterr().out
    assert "✓ Pass quickstart on appsync-events-emulated" in out
    assert "Delivered        100 %" in out
    assert "✓ Pass  Fan-out latency p99" in out
    assert f"report: {folder / 'report.html'}" in out.splitlines()


def test_a_failing_run_exits_3_and_an_invalid_one_4_with_its_warning(tmp_path, capsys):
    """The exit code is the record's."""
    assert 3 == exit_code_of(three_subscribers(tmp_path / "failed"))
    assert 4 == exit_code_of(three_subscribers(tmp_path / "cut", run=run_file(ended_s=10.5)))
    out = capsys.readouterr().out
    assert "warning: run_cut_short: 10.5, where at least 12" in out
    assert "hint: messages still on their way count as lost; let the drain end" in out


def test_quiet_prints_the_verdict_and_still_writes_the_page(tmp_path, capsys):
    """In one line."""
    folder = three_subscribers(tmp_path / "run")
    assert 3 == exit_code_of(folder, quiet=True)
    out, err = capsys.readouterr()
    assert (1, "") == (out.count("\n"), err)
    assert out.startswith("✕ Fail ")
    assert (folder / "report.html").is_file()


def test_a_history_prints_every_series_and_names_what_it_skipped(tmp_path, capsys):
    """Two runs in one table, a damaged record below, and a page."""
    for name in ("a", "b"):
        finalize(Simulation().write(tmp_path / name))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text("{")
    report(history=tmp_path, metric=["stall_s.max"])
    out = capsys.readouterr().out
    assert 1 == out.count("quickstart on appsync-events-emulated")
    assert "Longest stall" in out or "Stall" in out
    assert f"skipped: {tmp_path / 'torn'}: is not JSON" in out
    assert f"page: {tmp_path / 'history.html'}" in out.splitlines()
    assert "<h1" in (tmp_path / "history.html").read_text("utf-8")
    charts = {one.name for one in (tmp_path / "history-charts").iterdir()}
    assert {"history-1-stall-s-max.png", "history-1-stall-s-max.svg"} == charts


def test_a_quiet_history_is_its_page_alone(tmp_path, capsys):
    """As a quiet report."""
    finalize(Simulation().write(tmp_path / "a"))
    report(history=tmp_path, quiet=True)
    page = tmp_path / "history.html"
    assert (f"page: {page}\n", "") == tuple(capsys.readouterr())
    assert page.is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "must be one of RUN, --history, got neither"),
        ({"run": "x", "history": "y"}, "must be one of RUN, --history, got both"),
        ({"history": "y", "metric": ["stall_s.maxi"]}, "did you mean stall_s.max?"),
        ({"history": "y", "metric": ["nonsense"]}, "hint: for example fan_out_latency_ms.p50"),
        ({"run": "x", "metric": ["stall_s.max"]}, "--metric requires --history"),
        ({"run": "x", "out": "y.html"}, "--out requires --history"),
    ],
)
def test_a_history_asked_for_wrongly_is_bad_usage(options, words):
    """With what would have been right."""
    with pytest.raises(ScenarioError, match=re.escape(words)):
        report(**options)


def test_a_folder_without_a_record_is_an_error_with_a_hint(tmp_path):
    """The command line prints both lines and exits 2."""
    with pytest.raises(NoRecordError) as caught:
        report(tmp_path)
    assert "hint: name one of the folders inside reports/" in str(caught.value)


def test_figures_are_never_parted_from_their_units(tmp_path, capsys, monkeypatch):
    """However narrow the place, a line ends before a figure and not behind it."""
    folder = Simulation().write(tmp_path / "run")
    analysis = analyse(folder)
    for width in range(60, 120):
        monkeypatch.setattr("harness.cli.terminal.LOG_WIDTH", width)
        show(analysis, folder / "report.html")
        story = capsys.readouterr().out.partition("\n\n")[0]
        assert [] == re.findall(r"\d\n(?:%|ms|s)", story), width
