"""axe-core itself: its silence about a page means something only where it finds what is planted."""

import pytest

from tests.support.page_checks import AXE, lay_out, needs_browser

pytestmark = [
    *needs_browser,
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: make clients"),
]

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Planted</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>Planted</h1>{planted}</main></body></html>"""


def findings(folder, planted):
    """Return what axe-core says to a page, as the tests of all pages would show it."""
    page = folder / "page.html"
    page.write_text(PAGE.format(planted=planted), encoding="utf-8")
    try:
        lay_out(page, folder)
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ('<svg role="img" width="9" height="9"><rect width="9" height="9"/></svg>', "svg-img-alt"),
        ('<p style="color:#bbb;background:#fff">Hardly to be read</p>', "color-contrast"),
        ('<div role="group" tabindex="0"><table><tr><td></td></tr></table></div><button></button>',
         "button-name"),
    ],
)  # fmt: skip
def test_what_keeps_people_out_is_found(tmp_path, planted, rule):
    """A drawing without a name, text too pale, a button that says nothing."""
    assert rule in findings(tmp_path, planted)


def test_a_page_with_nothing_wrong_passes(tmp_path):
    """No finding without a reason."""
    assert "" == findings(tmp_path, "<p>Sound</p>")
