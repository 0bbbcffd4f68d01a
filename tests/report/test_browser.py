"""The report in a real browser: its figures, its width on a phone, its console."""

import html
import json
import re
import shutil
import subprocess

import pytest

from harness.analysis.finalise import finalise
from harness.analysis.slo import observe
from harness.report import quantities as q
from harness.report.write import write_report
from tests.analysis.simulated_run import Simulation
from tests.analysis.synthetic_record import disturbance

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"),
)
PHONE_WIDTH = 390

PROBE = """
<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{width}px;height:800px" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const inside = (element) => element.closest(".scroll, svg") !== null;
  const wide = [...page.querySelectorAll("body *")].filter(
    (one) => !inside(one) && one.getBoundingClientRect().right > {width} + 0.5);
  const shown = (kind) => page.querySelector("." + kind).checkVisibility();
  document.body.dataset.found = JSON.stringify({{
    scroll_width: page.documentElement.scrollWidth,
    overflowing: wide.map((one) => one.tagName + "." + one.className),
    has_wide: shown("wide"), has_narrow: shown("narrow"),
  }});
}});
</script>
"""


def open_in_browser(path, profile):
    """Open a file; return the page as the browser built it and what it logged to its console."""
    done = subprocess.run(
        [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def probe(page, width, tmp_path):
    """Lay the page out at a width and return what the probe measured.

    A frame and not a window, because a browser's window cannot be as narrow as a phone's.
    """
    frame = tmp_path / f"frame-{width}.html"
    text = page.read_text(encoding="utf-8")
    frame.write_text(PROBE.format(width=width, page=html.escape(text)), encoding="utf-8")
    dom, console = open_in_browser(frame, tmp_path / f"profile-{width}")
    assert [] == console
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found is not None
    return json.loads(html.unescape(found[1]))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a whole run with disturbances, losses and failed joins."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    plan = Simulation(
        measure_s=30,
        lost_ratio=0.01,
        duplicated_ratio=0.01,
        failed_joins=3,
        stall=(10.0, 15.0),
        cut=(24.0, 0.5),
        disturbances=[
            disturbance("emulator stall", "stall", 10.0, 15.0),
            disturbance("half cut off", "connection_loss", 24.0, 24.0),
        ],
    )
    return write_report(finalise(plan.write(folder)))


def test_the_figures_on_the_page_are_those_of_run_json(page, tmp_path):
    """Every figure that names its metric shows what run.json holds, and the console is silent."""
    summary = json.loads((page.parent / "run.json").read_text())["summary"]
    dom, console = open_in_browser(page, tmp_path / "profile")
    assert [] == console
    shown = re.findall(r'data-metric="([^"]*)"[^>]*>([^<]*)<', html.unescape(dom))
    assert {"fan_out_latency_ms.p99", "deliveries.ratio", "joins.succeeded"} <= {
        metric for metric, _ in shown
    }
    assert ("verdict", "Fail") in shown
    wrong = [
        (metric, text)
        for metric, text in shown
        if metric != "verdict" and text.strip() not in texts_of(metric, observe(summary, metric))
    ]
    assert [] == wrong


def texts_of(metric, value):
    """Return how a summary figure may be printed: with its unit, or bare under a heading."""
    whole_percent = q.percent(round(value, 2)) if "cpu" in metric else ""
    return {q.of_metric(metric, value), q.figure(value), q.count(value), whole_percent}


def test_nothing_overflows_a_phone_and_charts_are_drawn_for_it(page, tmp_path):
    """At 390 px there is nothing to scroll sideways but wide tables in their own frames."""
    found = probe(page, PHONE_WIDTH, tmp_path)
    assert [] == found["overflowing"]
    assert found["scroll_width"] <= PHONE_WIDTH
    assert (False, True) == (found["has_wide"], found["has_narrow"])


def test_a_desktop_shows_the_wide_drawings(page, tmp_path):
    """One drawing of each chart is seen, never both."""
    found = probe(page, 1280, tmp_path)
    assert [] == found["overflowing"]
    assert (True, False) == (found["has_wide"], found["has_narrow"])
