import json
import re
import shutil
from dataclasses import replace

import pytest
import typer

from harness.analysis.decide.study import cells_of
from harness.cli.study import study
from harness.core.errors import MachineError
from harness.scenario.study import load_study
from tests.support.study_runs import simulate, write_study


class FakeLoad:
    """A load that has ended; its run was simulated."""

    interrupted = False
    log = "locust.log"

    def __init__(self, error=None) -> None:
        self.error = error

    def discard(self):
        """Leave nothing behind."""

    def keep_log(self):
        """Keep what it said."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a study whose runs are simulated, and what was run."""
    stage = Stage(tmp_path)
    monkeypatch.setattr("harness.cli.run.carry_load", stage.carry)
    monkeypatch.setattr("harness.report.write.write_report", lambda _: None)  # It takes 1 s.
    return stage


class Stage:
    """A study file, its folder, and the folders of the runs that were asked for."""

    def __init__(self, folder) -> None:
        self.file, self.out = write_study(folder), folder / "out"
        self.asked: list[str] = []
        self.status, self.changes, self.error = 0, {}, None
        cells = cells_of(load_study(self.file), self.file, "small")
        self.cells = {cell.system.name: cell for cell in cells}
        self.kept = folder / "simulated"

    def carry(self, command, plan, folder):
        """Stand in for ``carry_load``: write a record, or fail as told."""
        assert "--headless" in command
        self.asked.append(folder.name)
        if self.error:
            raise self.error
        if self.status not in {0, 4}:
            return FakeLoad(MachineError("it", "was refused", "it must not be")), self.status
        name = {1: "quick", 2: "slow"}[plan.target.emulator.processes]
        if not (self.kept / name).is_dir():
            simulate(replace(self.cells[name], plan=plan), self.kept / name, **self.changes)
        shutil.copytree(self.kept / name, folder, dirs_exist_ok=True)
        return FakeLoad(), self.status

    def run(self, **options):
        """Run the verb; return its exit code and ``study.json``."""
        with pytest.raises(typer.Exit) as caught:
            study(self.file, out=self.out, **options)
        return caught.value.exit_code, json.loads((self.out / "study.json").read_text())


def test_each_cell_is_run_once_and_a_refused_one_stops_nothing(place, capsys):
    """The report says what was refused, and the exit code that it is not whole."""
    code, found = place.run()
    assert 4 == code
    assert ["steady-quick", "steady-slow"] == [name.partition("-")[2] for name in place.asked]
    missing = {cell["system"]: cell["missing"] for cell in found["cells"]}
    assert missing["quick"] is missing["slow"] is None
    assert "no-such-system.toml must be a file that exists" in missing["gone"]
    printed = capsys.readouterr()
    assert f"report: {place.out / 'report.html'}" in printed.out
    assert "[3/3] steady on gone: refused" in printed.err


def test_the_charts_of_the_page_are_files_too(place):
    """PNG for slides and SVG, of the runs and of the costs."""
    place.run()
    charts = {one.name for one in (place.out / "charts").iterdir()}
    assert {f"{name}.{kind}" for name in ("steady-percentiles", "cost-over-users")
            for kind in ("png", "svg")} <= charts  # fmt: skip
    drawn = re.findall(r'<figure [^>]*id="([^"]*)"', (place.out / "report.html").read_text("utf-8"))
    assert charts == {f"{name}.{kind}" for name in drawn for kind in ("png", "svg")}


def test_runs_that_are_there_are_not_made_again(place):
    """A study that was stopped goes on; a second repeat adds to the first."""
    place.run()
    place.run()
    assert 2 == len(place.asked)
    place.run(repeats=2)
    assert 4 == len(place.asked)
    _, found = place.run(repeats=2)
    assert [2, 2, 0] == [len(cell["runs"]) for cell in found["cells"]]
    assert 4 == len(place.asked)


def test_report_only_runs_nothing(place):
    """What is not there is said."""
    code, found = place.run(report_only=True)
    assert [] == place.asked
    assert 4 == code
    assert "not run yet" == found["cells"][0]["missing"]


@pytest.mark.parametrize(
    ("status", "error", "cell", "missing"),
    [
        (2, None, 1, "error: it: was refused, it must not be"),
        (0, MachineError("here", "was found", "was needed"), 0, "here: was found, was needed"),
    ],
    ids=["the load's own", "before the load"],
)
def test_an_error_is_told_in_its_own_words(place, status, error, cell, missing):
    """And the next cell has its turn."""
    place.status, place.error = status, error
    code, found = place.run()
    assert (4, 2) == (code, len(place.asked))
    assert missing == found["cells"][cell]["missing"]


def test_an_interrupt_ends_the_study_and_reports_what_there_is(place):
    """As Ctrl-C does."""
    place.status = 130
    code, found = place.run()
    assert (130, 1) == (code, len(place.asked))
    told = [cell["missing"] for cell in found["cells"][:2]]
    assert "was interrupted" in told
    assert "not run yet" in told


def test_invalid_runs_stay_unless_asked_for_again(place):
    """A run with a saturated generator proves nothing, but is evidence of its own."""
    place.changes = {"held_back": (9.0, 14.0)}
    place.run()
    _, found = place.run()
    assert {"invalid"} == {run["verdict"] for cell in found["cells"] for run in cell["runs"]}
    assert 2 == len(place.asked)
    place.run(again=True)
    assert 4 == len(place.asked)


def test_every_figure_of_the_summary_carries_its_mark(place):
    """Of an emulator, or of paper."""
    place.run()
    text = (place.out / "summary.md").read_text("utf-8")
    (costs,) = [part for part in text.split("## ") if part.startswith("Cost of a day")]
    cells = [cell for row in costs.splitlines()[4:] for cell in row.split("|") if "$" in cell]
    assert cells
    assert [] == [cell for cell in cells if "\\[P\\]" not in cell]
    assert "of 40 connected \\[E\\]" in text
