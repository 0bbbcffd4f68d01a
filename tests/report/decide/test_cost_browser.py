import re

import pytest

from harness.analysis.decide.cost_study import study_day
from harness.analysis.run.cost import REFERENCE
from harness.report.decide.cost_page import draw_curves, render_cost_page
from tests.support.page_checks import assert_page_is_sound, needs_browser

pytestmark = [*needs_browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a day at the reference load."""
    path = tmp_path_factory.mktemp("cost") / "cost.html"
    study = study_day(REFERENCE)
    path.write_text(render_cost_page(study, [], draw_curves(study.curves)), encoding="utf-8")
    return path


def test_the_page_is_sound(page, tmp_path):
    """On a phone, a wall and paper, without a network, and for those who do not see it."""
    assert_page_is_sound(page, tmp_path)


def test_each_systems_cost_links_to_the_lines_it_is_made_of(page):
    """The lines have the formulas and the sources of the prices."""
    tiles = re.findall(r'<div class="tile.*?</div>', page.read_text(encoding="utf-8"), re.DOTALL)
    links = [re.findall(r'href="#([^"]*)"', tile) for tile in tiles]
    assert 4 == len(links)
    for (link,) in links:
        assert f'<table id="{link}"' in page.read_text(encoding="utf-8")
