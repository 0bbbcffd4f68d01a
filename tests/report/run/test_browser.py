import html
import json
import re

import pytest

from harness.analysis.run.finalize import finalize
from harness.analysis.run.slo import observe
from harness.report import formatting as q
from harness.report.write import write_report
from tests.support.page_checks import assert_page_is_sound, needs_browser, open_in_browser
from tests.support.simulated_run import troubled_run

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a whole run with disturbances, losses and failed joins."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    return write_report(finalize(troubled_run(failed_joins=3).write(folder)))


def test_the_figures_on_the_page_are_those_of_run_json(page, tmp_path):
    """Every figure that names its metric shows what run.json holds, and the console is silent."""
    summary = json.loads((page.parent / "run.json").read_text())["summary"]
    dom, console = open_in_browser(page, tmp_path)
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


def test_every_figure_on_the_page_links_to_what_it_means(page, tmp_path):
    """A figure that names its metric is a link to a definition on the same page."""
    dom, _ = open_in_browser(page, tmp_path)
    figures = re.findall(r'<(\w+)[^>]*data-metric="(?!verdict)[^"]*"[^>]*>', dom)
    linked = re.findall(r'<a href="#define-[^"]*" data-metric="[^"]*">', dom)
    assert len(figures) > 40
    assert len(figures) == len(linked)


@pytest.mark.slow
def test_the_page_is_sound(page, tmp_path):
    """On a phone, a wall and paper, without a network, and for those who do not see it."""
    assert_page_is_sound(page, tmp_path)


SORTING = """
<script>
addEventListener("load", () => {
  const head = [...document.querySelectorAll("#latencies thead th")].find(
    (one) => one.textContent === "p99");
  const read = () => [head.ariaSort, ...[...document.querySelectorAll("#latencies tbody tr")].map(
    (row) => row.cells[0].textContent.trim() + "=" + row.cells[head.cellIndex].textContent.trim())];
  const press = () => { head.querySelector("button").click(); return read(); };
  document.body.dataset.sorted = JSON.stringify([read(), press(), press()]);
});
</script></body>
"""


def test_a_table_sorts_by_the_column_whose_heading_is_pressed(page, tmp_path):
    """Upwards, then downwards; rows in smaller print stay below the one they belong to."""
    copy = tmp_path / "sorted.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", SORTING), encoding="utf-8")
    dom, console = open_in_browser(copy, tmp_path)
    assert [] == console
    match = re.search(r'data-sorted="([^"]*)"', dom)
    assert match is not None
    before, up, down = json.loads(html.unescape(match[1]))
    assert [None, "ascending", "descending"] == [before[0], up[0], down[0]]
    assert sorted(before[1:]) == sorted(up[1:]) == sorted(down[1:])
    assert parents(up) == list(reversed(parents(down)))
    figures = [float(row.split("=")[1].replace(",", "")) for row in parents(up)]
    assert sorted(figures) == figures
    place = next(n for n, row in enumerate(down) if row and row.startswith("Fan-out latency="))
    assert ["at subscribers", "at chatters"] == [
        row.split("=")[0] for row in down[place + 1 : place + 3]
    ]


def parents(rows):
    """Return the rows that are not in smaller print."""
    return [row for row in rows[1:] if not row.startswith(("at ", "what it leaves out"))]
