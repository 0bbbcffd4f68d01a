import html
import json
import re

import pytest

from harness.analysis.run.finalize import analyse, finalize
from harness.report.write import write_report
from tests.support.page_checks import needs_browser, open_in_browser
from tests.support.simulated_run import troubled_run

pytestmark = [*needs_browser, pytest.mark.slow]

PROBE = """
<script>
addEventListener("load", () => {
  const plotOf = (id) => document.querySelector(`#${id} .wide`);
  const plain = (one) => one.textContent.replace(/\\u202f/g, " ");
  const shown = () => Object.fromEntries([...document.querySelectorAll(".wide .reading")].map(
    (box) => [box.closest("figure").id, [...box.children].map(plain)]));
  const point = (id, part) => {
    const frame = plotOf(id).querySelector("svg").getBoundingClientRect();
    const clientX = frame.left + frame.width * part;
    plotOf(id).dispatchEvent(new PointerEvent("pointermove", { clientX }));
    return shown();
  };
  const press = (id, ...keys) => {
    plotOf(id).focus();
    for (const key of keys) plotOf(id).dispatchEvent(new KeyboardEvent("keydown", { key }));
    return [document.activeElement === plotOf(id), plain(document.querySelector("[aria-live]"))];
  };
  const found = { before: shown(), time: point("fan-out-over-time", 0.5) };
  found.percentile = point("percentiles", 0.5);
  found.outside = point("percentiles", 0.01);
  found.keys = press("connections", "Home", "ArrowRight", "ArrowRight", "ArrowLeft");
  found.beside = shown();
  plotOf("connections").blur();
  found.after = shown();
  document.body.dataset.found = JSON.stringify(found);
});
</script></body>
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run with its report."""
    folder = troubled_run(failed_joins=3).write(tmp_path_factory.mktemp("crosshair") / "run")
    write_report(finalize(folder))
    return folder


@pytest.fixture(scope="module")
def found(run, tmp_path_factory):
    """Return what the charts showed when they were pointed at and walked through by keys."""
    folder = tmp_path_factory.mktemp("probed")
    page = folder / "probed.html"
    text = (run / "report.html").read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", PROBE), encoding="utf-8")
    dom, console = open_in_browser(page, folder)
    assert [] == console
    match = re.search(r'data-found="([^"]*)"', dom)
    assert match is not None
    return json.loads(html.unescape(match[1]))


def test_all_charts_over_time_show_the_second_under_the_pointer(run, found):
    """With the values of the record; charts of other axes show nothing."""
    without_time = {"percentiles", "stalls"}
    assert {"fan-out-over-time", "connections", "deliveries"} <= found["time"].keys()
    assert set() == without_time & found["time"].keys()
    (second,) = {texts[0] for texts in found["time"].values()}
    timeline = analyse(run).record.timeline
    of_second = timeline[timeline["second"] == int(second.removesuffix(" s"))]
    connected = of_second.groupby("user_class")["connected"].sum()
    texts = found["time"]["connections"]
    assert ["subscribers", str(connected["subscriber"])] == texts[1:3]
    assert ["chatters", str(connected["chatter"])] == texts[3:5]


def test_percentile_chart_shows_the_value_at_the_percentile_under_the_pointer(found):
    """Alone: no chart over time shows an older second then."""
    assert ["percentiles"] == list(found["percentile"])
    percentile, *texts = found["percentile"]["percentiles"]
    assert re.fullmatch(r"9\d(\.5)? %", percentile)
    assert ["from due: fan-out", "from sent: service"] == texts[::2]


def test_arrow_keys_walk_through_a_chart_and_its_values_are_announced(found):
    """The other charts over time follow."""
    is_focused, spoken = found["keys"]
    assert is_focused
    assert spoken.startswith("1 s: subscribers ")
    assert {"1 s"} == {texts[0] for texts in found["beside"].values()}


def test_nothing_is_shown_before_a_chart_is_used_beside_it_and_afterwards(found):
    """A value without its line would be taken for a figure of the whole run."""
    assert {} == found["before"] == found["outside"] == found["after"]
