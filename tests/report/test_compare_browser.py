"""The page of a comparison in a real browser: its width on a phone, its console, its notice."""

import html
import re

import pytest

from harness.analysis.comparison import compare
from harness.analysis.finalise import analyse
from harness.analysis.likeness import find_unlike
from harness.report.compare import render_comparison
from tests.analysis.simulated_run import Simulation
from tests.report.test_browser import PHONE_WIDTH, open_in_browser, probe, pytestmark

__all__ = ["pytestmark"]


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
    comparison = compare(sides, find_unlike(sides), replicates=200)
    path.write_text(render_comparison(comparison, []), encoding="utf-8")
    return path


def test_the_page_is_whole_quiet_and_asks_for_nothing_from_elsewhere(page, tmp_path):
    """Charts of all kinds, a table for each side but the first, and a silent console."""
    dom, console = open_in_browser(page, tmp_path / "profile")
    assert [] == console
    names = ["percentiles", "p99", "connected", "deliveries", "stalls"]
    assert [f"compare-{name}" for name in names] == re.findall(r'<figure [^>]*id="([^"]*)"', dom)
    assert 2 == len(re.findall(r'<table id="differences-[BC]"', dom))
    assert [] == re.findall(r'(?:src|href)="(?!#)[^"]*"', dom)
    assert "generator.workers</b>: 1 in A+B, 3 in C" in html.unescape(dom)
    assert page.stat().st_size < 3_000_000


@pytest.mark.parametrize("width", [PHONE_WIDTH, 1280])
def test_nothing_overflows(page, tmp_path, width):
    """Only wide tables scroll, each in its own frame."""
    found = probe(page, width, tmp_path)
    assert [] == found["overflowing"]
    assert (width > PHONE_WIDTH, width == PHONE_WIDTH) == (found["has_wide"], found["has_narrow"])
