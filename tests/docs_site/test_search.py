"""The built documentation site; make docs builds it, and without it these are skipped."""

import re

import pytest

from tests.support.page_checks import needs_browser, open_in_browser
from tests.support.paths import ROOT

PAGE = ROOT / "build" / "site" / "index.html"

pytestmark = [
    *needs_browser,
    pytest.mark.skipif(not PAGE.exists(), reason="make docs builds the site"),
]


def test_search_finds_a_term_when_the_page_is_opened_as_a_file(tmp_path):
    """A search in the page, without a server, lists the pages that hold the word."""
    dom, console = open_in_browser(f"{PAGE.as_uri()}?q=latency", tmp_path)
    assert [] == console
    assert re.search(r"\d+ matching documents", dom)
    assert "docs/measurement.html" in dom
    assert "unpkg.com" not in dom
