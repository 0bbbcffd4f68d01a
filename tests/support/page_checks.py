"""What every page must keep, checked in a real browser: ``assert_page_is_sound(path, folder)``.

The page is laid out in frames as wide as a phone, a desktop, a wall and a sheet of A4, because a
browser's window cannot be as narrow as a phone's. Where axe-core is there it looks for what keeps
people out.
"""

import html
import json
import re
import shutil
from collections import Counter

import pytest

from tests.support.paths import ROOT
from tests.support.programs import finished

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = ROOT / ".conformance" / "node_modules" / "axe-core" / "axe.min.js"

needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--no-pdf-header-footer"),
)
PHONE, DESKTOP, WALL = 390, 1280, 1920
PAPER = 688
"""A4 less margins of 14 mm, in CSS pixels."""
MOST_BYTES = 3_000_000

NAMES = (
    *("Channel", "Code", "Folder in runs/", "Host", "How it delivers a message", "Message", "Run"),
    *("Revision", "Started", "Target", "Target of the runs", "Reason", "Workload", "formula"),
    *("name", "price", "question", "source"),
)
"""Headings of columns that hold words, which may have digits in them and are no figures."""

FRAMES = """
<!doctype html><meta charset="utf-8"><body style="margin:0">{frames}
<script>
addEventListener("load", async () => {{
  const found = {{}};
  for (const frame of document.querySelectorAll("iframe")) {{
    const page = frame.contentDocument, width = frame.clientWidth, paper = frame.id === "paper";
    const inside = (one) => one.closest(paper ? "svg" : ".scroll, svg") !== null;
    const beyond = [...page.querySelectorAll("body *")].filter(
      (one) => !inside(one) && one.getBoundingClientRect().right > width + 1);
    const shown = (kind) => page.querySelector("." + kind)?.checkVisibility() ?? null;
    found[frame.id] = {{
      beyond: beyond.map((one) => one.tagName + "." + one.className + " " + one.id),
      wide: shown("wide"), narrow: shown("narrow"),
    }};
    if (frame.id === "desktop") {{
      const bare = (one) => /\\d/.test(one.textContent) && !one.querySelector("a[href^='#']");
      const title = (one) => one.closest("table").tHead.rows[0].cells[one.cellIndex].textContent;
      const cells = [...page.querySelectorAll("tbody td")].filter(
        (one) => bare(one) && !{words}.includes(title(one).trim()));
      found.unexplained = [
        ...[...page.querySelectorAll(".figure b")].filter(bare).map((one) => one.textContent),
        ...cells.map((one) => one.closest("table").id + ", " + title(one) + ": " + one.textContent),
      ];
    }}
    if (frame.id === "desktop" && frame.contentWindow.axe) {{
      const report = await frame.contentWindow.axe.run(page, {{ iframes: false }});
      found.axe = report.violations.map((one) =>
        one.id + ": " + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" "));
    }}
  }}
  document.body.dataset.found = JSON.stringify(found);
}});
</script>
"""


def assert_page_is_sound(path, folder):
    """Require of a page what every page must keep.

    Small, whole without a network, silent, every link with a target, every figure in a table or a
    tile a link to what it means, nothing wider than a phone, a wall or a sheet of paper, printable,
    one heading and landmarks, alternatives for drawings, and sortable tables. ``folder`` is empty.
    """
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert [] == re.findall(r"<(?:link|img|script src|iframe)\b[^>]*>|url\((?!#)[^)]*\)", text)
    dom, console = open_in_browser(path, folder)
    assert [] == console
    _assert_structure(dom)
    laid_out = lay_out(path, folder)
    assert {} == {name: one["beyond"] for name, one in laid_out.items() if one["beyond"]}
    if laid_out["desktop"]["wide"] is not None:
        drawn = {name: (one["wide"], one["narrow"]) for name, one in laid_out.items()}
        assert (False, True) == drawn.pop("phone")
        assert {(True, False)} == set(drawn.values())
    assert pages_printed(path, folder)


def _assert_structure(dom):
    """Require links with targets, unique ids, landmarks, one heading, names for drawings."""
    ids = Counter(re.findall(r'\sid="([^"]*)"', dom))
    assert [] == [one for one, times in ids.items() if times > 1]
    links = re.findall(r'<a\b[^>]*href="([^"]*)"', dom)
    assert [] == [one for one in links if not one.startswith("#") or one[1:] not in ids]
    for landmark in ("main", "header", "footer", "h1"):
        assert 1 == len(re.findall(rf"<{landmark}\b", dom)), landmark
    assert re.search(r'<html lang="\w+"', dom)
    assert re.search(r"<title>[^<]+</title>", dom)
    drawings = re.findall(r"<svg\b[^>]*>", dom)
    assert [] == [one for one in drawings if 'role="img"' not in one or 'aria-label="' not in one]
    assert dom.count("<svg") == len(re.findall(r"<svg\b.*?<text\b", dom, re.DOTALL))
    assert [] == [one for one in re.findall(r'aria-labelledby="([^"]*)"', dom) if one not in ids]


def open_in_browser(page, folder):
    """Open a file, or an address; return the page as the browser built it, and its console."""
    address = page if isinstance(page, str) else page.as_uri()
    done = _chromium(folder, "--virtual-time-budget=4000", "--dump-dom", address)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def lay_out(path, folder):
    """Return what each frame found: what is beyond its width, which drawings it shows.

    No figure may go without an explanation; where axe-core is installed its findings must be none.
    """
    text = path.read_text(encoding="utf-8")
    # What is for paper only is for all, and what is for screens only is for none.
    printed = text.replace("@media print", "@media all").replace("@media screen", "@media speech")
    axe = AXE.read_text(encoding="utf-8") if AXE.exists() else ""
    checked = text.replace("</body>", f"<script>{axe}</script></body>") if axe else text
    frames = "".join(
        f'<iframe id="{name}" style="border:0;width:{width}px;height:900px" '
        f'srcdoc="{html.escape(of_frame)}"></iframe>'
        for name, width, of_frame in (
            ("phone", PHONE, text),
            ("desktop", DESKTOP, checked),
            ("wall", WALL, text),
            ("paper", PAPER, printed),
        )
    )
    outer = folder / "frames.html"
    outer.write_text(FRAMES.format(frames=frames, words=json.dumps(NAMES)), encoding="utf-8")
    dom, console = open_in_browser(outer, folder)
    assert [] == console
    match = re.search(r'data-found="([^"]*)"', dom)
    assert match is not None
    found = json.loads(html.unescape(match[1]))
    assert [] == found.pop("unexplained")
    assert [] == found.pop("axe", [])
    return found


def pages_printed(path, folder):
    """Return how many sheets of paper the page takes."""
    pdf = folder / "printed.pdf"
    _chromium(folder, f"--print-to-pdf={pdf}", path.as_uri())
    return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))


def _chromium(folder, *arguments):
    profile = f"--user-data-dir={folder / 'profile'}"
    return finished(CHROMIUM, *FLAGS, profile, *arguments, check=True)
