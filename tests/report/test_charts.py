"""Which charts there are, and that they can stand in a page."""

import re
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from harness.analysis.finalise import analyse
from harness.report.canvas import MOST_POINTS, thin
from harness.report.charts import draw_charts
from harness.report.theme import VARIABLES, inline
from tests.analysis.simulated_run import Simulation
from tests.analysis.synthetic_record import connection, second, write_record


@pytest.fixture(scope="module")
def charts(tmp_path_factory):
    """Return the charts of a whole run."""
    folder = tmp_path_factory.mktemp("charts") / "run"
    return draw_charts(analyse(Simulation(failed_joins=2).write(folder)))


def texts(svg):
    """Return all text of a drawing."""
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - ours


def test_a_whole_run_has_every_chart(charts):
    """The five charts people read."""
    names = ["fan-out-over-time", "percentiles", "deliveries", "connections", "stalls"]
    assert names == [chart.name for chart in charts]


def test_a_run_without_anything_has_no_chart(tmp_path):
    """An empty pair of axes says nothing."""
    assert [] == draw_charts(analyse(write_record(tmp_path / "run")))


def test_a_run_that_nobody_joined_has_only_the_chart_of_its_joins(tmp_path):
    """There were failed joins to draw, and no latency, delivery or stall."""
    folder = write_record(
        tmp_path / "run",
        timeline=[second(0, phase="join", joins_attempted=9, joins_failed=9)],
        connections=[connection(0, None)],
    )
    (chart,) = draw_charts(analyse(folder))
    assert "connections" == chart.name
    assert "failed" in texts(chart.wide)
    assert "9 failed" in chart.caption


def test_axes_have_units_and_text_stays_text(charts):
    """Text can be selected, and every axis says what it counts."""
    units = {
        "fan-out-over-time": {"ms", "p50", "p99", "measure"},
        "percentiles": {"ms", "percentile", "99.9 %"},
        "deliveries": {"deliveries/s", "offered", "achieved"},
        "connections": {"users connected", "joins/s", "subscribers", "failed"},
        "stalls": {"subscribers", "longest stall, ms"},
    }
    for chart in charts:
        assert units[chart.name] <= set(texts(chart.wide))
        assert set(texts(chart.narrow))


def test_time_axes_are_in_seconds(charts):
    """Their ticks carry the unit."""
    assert "0 s" in texts(charts[0].wide)


def test_a_drawing_is_the_same_every_time(tmp_path, charts):
    """Making a report again changes no byte of a chart."""
    again = draw_charts(analyse(Simulation(failed_joins=2).write(tmp_path / "run")))
    assert [chart.wide for chart in charts] == [chart.wide for chart in again]


def test_an_inline_drawing_follows_the_theme_and_is_labelled(charts):
    """No colour of the light theme is left, and a screen reader has words for it."""
    drawing = inline(charts[0].wide, "x", 'Latency "over" time')
    assert not [colour for colour in VARIABLES if colour in drawing]
    assert "var(--p99)" in drawing
    root = ET.fromstring(drawing)  # noqa: S314 - our own drawing
    assert ("img", 'Latency "over" time') == (root.get("role"), root.get("aria-label"))


def test_ids_of_an_inline_drawing_are_its_own_and_their_uses_find_them(charts):
    """Two drawings on a page must not borrow each other's marks."""
    drawing = inline(charts[0].wide, "mine", "label")
    ids = set(re.findall(r'\bid="([^"]*)"', drawing))
    used = set(re.findall(r'(?:url\(#|href="#)([^")]*)', drawing))
    assert used
    assert used <= ids
    assert {name for name in ids if not name.startswith("mine-")} == set()


def test_no_drawing_asks_for_anything_from_elsewhere(charts):
    """Addresses are names of namespaces only."""
    for chart in charts:
        addresses = set(re.findall(r'https?://[^"\s]*', inline(chart.wide, "x", "label")))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_a_long_run_is_drawn_in_bins():
    """A two-hour run has no more points than a screen; percentiles keep their highest."""
    frame = pd.DataFrame({"p99": [float(n % 100) for n in range(7200)]})
    seconds, bins = thin(frame, highest=True)
    assert len(seconds) <= MOST_POINTS
    assert 99.0 == bins["p99"].max()
    assert [0.0, 12.0] == seconds[:2].tolist()


def test_rates_of_a_long_run_are_means():
    """Two seconds of 0 and 10 a second are a bin of 5 a second."""
    frame = pd.DataFrame({"rate": [0.0, 10.0] * MOST_POINTS})
    _, bins = thin(frame)
    assert {5.0} == set(bins["rate"])
