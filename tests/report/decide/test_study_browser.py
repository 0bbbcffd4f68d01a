import html
import re

import pytest

from harness.analysis.decide.history import read_history
from harness.analysis.decide.study import Outcome, cells_of, find
from harness.analysis.run.finalize import analyse
from harness.report.decide.history_page import draw_history, render_history
from harness.report.decide.study_write import write_study as write_pages
from harness.scenario.study import load_study
from tests.support.page_checks import assert_page_is_sound, needs_browser, open_in_browser
from tests.support.study_runs import simulate, write_study

pytestmark = [*needs_browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the page of a study with two systems and a missing one, and a history of its runs."""
    folder = tmp_path_factory.mktemp("study")
    file = write_study(folder)
    study = load_study(file)
    cells = cells_of(study, file, "small")
    outcomes = []
    for number, cell in enumerate(cells):
        made = [
            simulate(cell, folder / "runs" / f"{cell.system.name}-{n}", seed=10 * number + n)
            for n in range(2 if cell.plan else 0)
        ]
        runs = tuple(analyse(one) for one in made)
        outcomes.append(Outcome(cell.system, cell.workload, runs, 2, cell.refusal))
    (folder / "runs" / "torn").mkdir()
    (folder / "runs" / "torn" / "run.json").write_text("{")
    history = folder / "history.html"
    found = read_history(folder)
    history.write_text(render_history(found, draw_history(found)), encoding="utf-8")
    return {"study": write_pages(find(study, "small", outcomes), folder), "history": history}


def test_the_study_answers_the_question_and_is_whole(pages, tmp_path):
    """Problem, approaches, each requirement, charts, cost, limits; nothing from elsewhere."""
    dom, console = open_in_browser(pages["study"], tmp_path / "profile")
    assert [] == console
    text = html.unescape(dom)
    for part in ("There are two, and one of them is slow.", "Limits of this evidence"):
        assert part in text
    ids = re.findall(r'<table id="([^"]*)"', dom)
    assert ids[:2] == ["matrix", "approaches"]
    assert {"requirement-1", "requirement-3", "costs", "break-even", "runs"} <= set(ids)
    assert "steady-percentiles" in re.findall(r'<figure [^>]*id="([^"]*)"', dom)
    assert [] == re.findall(r'(?:src|href)="(?!#)[^"]*"', dom)
    every = re.findall(r'\bid="([^"]+)"', dom)
    assert len(every) == len(set(every))
    assert pages["study"].stat().st_size < 3_000_000


def test_the_history_shows_each_series_and_names_what_was_skipped(pages, tmp_path):
    """Charts of each figure for two series of two runs."""
    dom, console = open_in_browser(pages["history"], tmp_path / "profile")
    assert [] == console
    figures = re.findall(r'<figure [^>]*id="([^"]*)"', dom)
    assert 8 == len(figures)
    assert "history-1-fan-out-latency-ms-p99" in figures
    assert "torn</b>: is not JSON" in html.unescape(dom)
    assert [] == re.findall(r'(?:src|href)="(?!#)[^"]*"', dom)


@pytest.mark.parametrize("name", ["study", "history"])
def test_the_page_is_sound(pages, tmp_path, name):
    """On a phone, a wall and paper, without a network, and for those who do not see it."""
    assert_page_is_sound(pages[name], tmp_path)
