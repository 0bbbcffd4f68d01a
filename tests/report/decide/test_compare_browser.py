import html
import re

import pytest

from harness.analysis.decide.comparability import find_incompatibilities
from harness.analysis.decide.comparison import compare
from harness.analysis.run.finalize import analyse
from harness.report.decide.compare_charts import draw_comparison
from harness.report.decide.compare_page import render_comparison
from tests.support.page_checks import assert_page_is_sound, needs_browser, open_in_browser
from tests.support.simulated_run import Simulation

pytestmark = [*needs_browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of three sides that are not alike, one of them of two runs."""
    folder = tmp_path_factory.mktemp("compare")
    quick = Simulation(subscribers=18, chatters=2, measure_s=40, seed=1)
    slow = Simulation(subscribers=18, chatters=2, measure_s=40, seed=2, median_ms=24.0)
    other = Simulation(lost_ratio=0.05, changes={"workers": [{"index": 0}] * 3})
    first, second, third = (
        analyse(plan.write(folder / f"{number}"))
        for number, plan in enumerate((quick, slow, other))
    )
    sides = [[first], [second, second], [third]]
    path = folder / "comparison.html"
    comparison = compare(sides, find_incompatibilities(sides), replicates=200)
    path.write_text(
        render_comparison(comparison, [], draw_comparison(comparison)), encoding="utf-8"
    )
    return path


def test_the_page_is_whole_quiet_and_asks_for_nothing_from_elsewhere(page, tmp_path):
    """Charts of all kinds, a table for each side but the first, and a silent console."""
    dom, console = open_in_browser(page, tmp_path)
    assert [] == console
    names = ["differences", "percentiles", "p99", "connected", "deliveries", "lost", "stalls"]
    names.append("joins")
    assert [f"compare-{name}" for name in names] == re.findall(r'<figure [^>]*id="([^"]*)"', dom)
    assert 2 == len(re.findall(r'<table id="differences-[BC]"', dom))
    assert [] == re.findall(r'(?:src|href)="(?!#)[^"]*"', dom)
    assert "generator.workers</b>: 1 in A+B, 3 in C" in html.unescape(dom)
    assert page.stat().st_size < 3_000_000


def test_the_page_is_sound(page, tmp_path):
    """On a phone, a wall and paper, without a network, and for those who do not see it."""
    assert_page_is_sound(page, tmp_path)


def test_the_first_screen_has_the_six_figures_of_every_side(page, tmp_path):
    """A tile for each of what matters, with A, B and C beside each other."""
    dom, _ = open_in_browser(page, tmp_path)
    tiles = re.findall(r'<div class="tile.*?</div>', dom, re.DOTALL)
    assert [3] * 6 == [tile.count("data-metric=") for tile in tiles]
    assert "A, B and C compared" in dom
