import re
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from harness.analysis.run.finalize import analyse
from harness.report.annotations import MOST_POINTS, line, slowest_in_bins, thin
from harness.report.canvas import HALF, WIDE
from harness.report.run.charts_latency import fan_out
from harness.report.theme import VARIABLES, inline
from harness.report.write import draw_charts
from tests.support.records import connection, second, write_record
from tests.support.simulated_run import Simulation, troubled_run


@pytest.fixture(scope="module")
def charts(tmp_path_factory):
    """Return the charts of a whole run."""
    folder = tmp_path_factory.mktemp("charts") / "run"
    return draw_charts(analyse(Simulation(failed_joins=2).write(folder)))


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """Return the charts of a run with everything that can go wrong, by name."""
    folder = tmp_path_factory.mktemp("charts") / "disturbed"
    record = troubled_run(failed_joins=2).write(folder)
    return {chart.name: chart for chart in draw_charts(analyse(record))}


def texts(svg):
    """Return all text of a drawing."""
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - ours


def test_a_whole_run_has_every_chart(charts):
    """Latency first, then load, then people; nothing was lost, so nothing is drawn of that."""
    names = [
        *("fan-out-over-time", "fan-out-heatmap", "percentiles", "due-or-sent", "deliveries"),
        *("connections", "completion", "stalls", "failures"),
    ]
    assert names == [chart.name for chart in charts]


def test_losses_and_duplicates_have_a_chart_of_their_own(disturbed):
    """One panel for each kind of fault, with the whole run's number in its caption."""
    chart = disturbed["faults"]
    assert "Lost and duplicated deliveries" == chart.title
    assert {"lost/s", "duplicated/s"} <= set(texts(chart.wide))
    assert "reordered/s" not in texts(chart.wide)


def test_disturbances_are_marked_on_every_time_chart(disturbed):
    """By number, and by name where there is room."""
    without_time = {"percentiles", "stalls"}
    for name in disturbed.keys() - without_time:
        assert {"1", "2"} <= set(texts(disturbed[name].narrow)), name
    assert {"1 emulator stall", "2 half cut off"} <= set(texts(disturbed["fan-out-heatmap"].wide))


def test_failures_are_named_by_stage_and_cause(disturbed):
    """The system's own code, or what a bare number stands for."""
    found = set(texts(disturbed["failures"].wide))
    assert {"receive: Disconnected 1006", "upgrade: UnauthorizedException"} <= found


def test_rare_causes_of_failure_are_one_colour(tmp_path):
    """Six causes: the four most frequent, and the others."""
    error = {"worker": 0, "stage": "publish", "error_class": "Refused", "message": ""}
    errors = [error | {"second": n, "code": f"Code{n}", "count": 10 - n} for n in range(6)]
    (chart,) = draw_charts(analyse(write_record(tmp_path / "run", errors=errors)))
    shown = [text for text in texts(chart.wide) if text.startswith(("publish", "others"))]
    assert [*(f"publish: Code{n}" for n in range(4)), "others"] == shown


def test_waiting_that_service_latency_hides_is_told(tmp_path):
    """A sender that stood still for 2 s: from due 2 s more than from sent."""
    plan = Simulation(measure_s=12, held_back=(8.0, 10.0))
    charts = {chart.name: chart for chart in draw_charts(analyse(plan.write(tmp_path / "run")))}
    assert "would omit up to" in charts["due-or-sent"].caption
    assert "coordinated omission" in charts["due-or-sent"].caption


def test_a_sender_that_kept_its_schedule_hides_nothing(charts):
    """Both lines agree, and the caption says so."""
    (chart,) = [chart for chart in charts if chart.name == "due-or-sent"]
    assert "both agree" in chart.caption


def test_a_line_breaks_where_nothing_was_measured():
    """From 3 s to 20 s nothing came; what stands alone is a dot."""
    axes = Figure().add_subplot()
    seconds = np.array([0.0, 1.0, 2.0, 3.0, 20.0, 40.0, 41.0])
    line(axes, seconds, pd.Series(range(7), dtype=float), color="black")
    drawn, dots = axes.get_lines()
    assert [False] * 4 + [True, False, True, False, False] == np.isnan(drawn.get_ydata()).tolist()
    assert [20.5] == dots.get_xdata().tolist()


def test_of_many_messages_the_slowest_in_each_bin_is_drawn():
    """A line a point wide is all there is room for."""
    seconds = pd.Series(np.arange(100_000) / 1000)
    values = pd.DataFrame({"first": 1.0, "last": np.arange(100_000) % 1000})
    shown_s, shown = slowest_in_bins(seconds, values, HALF)
    assert len(shown_s) == len(shown) <= HALF.width / 2 + 1
    assert 999 == shown["last"].max()


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
        "stalls": {"subscribers", "longest stall", "50\N{NARROW NO-BREAK SPACE}ms"},
        "fan-out-heatmap": {"ms", "measure", "under 2/s"},
        "due-or-sent": {"p99, ms", "from due", "from sent"},
        "completion": {"ms", "first to last", "half", "99 %"},
        "failures": {"failures/s", "upgrade: UnauthorizedException"},
    }
    for chart in charts:
        assert units[chart.name] <= set(texts(chart.wide))
        assert set(texts(chart.narrow))


def test_latency_over_time_has_a_logarithmic_axis_where_one_spike_is_far_above_the_rest(
    charts, disturbed
):
    """A stall of five seconds would leave a flat line below it."""
    assert "Logarithmic axis." in disturbed["fan-out-over-time"].caption
    assert {"30", "100", "1,000"} <= set(texts(disturbed["fan-out-over-time"].wide))
    assert "Logarithmic" not in charts[0].caption


def test_a_logarithmic_axis_needs_no_limit_and_a_label_may_have_dollars(tmp_path):
    """A workload without objectives draws too, and what stands between dollars is no formula."""
    analysis = analyse(troubled_run(failed_joins=2).write(tmp_path / "run"))
    analysis.summary["slos"] = []
    (layout,) = fan_out(analysis)
    chart = layout.chart(r"a_$\frac$ and $HOME/x_$USER")
    assert "Logarithmic axis." in chart.caption
    assert chart.png


def test_a_png_is_taller_than_its_drawing_by_title_and_run(charts):
    """A picture in slides says what it shows, and of which run; two pixels are a point."""
    chart = charts[0]
    width, height = (int.from_bytes(chart.png[place : place + 4]) for place in (16, 20))
    assert 2 * WIDE.width == width
    assert 2 * (WIDE.height + 40) < height < 2 * (WIDE.height + 80)
    assert chart.title not in texts(chart.wide), "the page has its own"


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
    seconds, bins = thin(pd.DataFrame({"p99": [float(n % 100) for n in range(7200)]}), highest=True)
    assert len(seconds) <= MOST_POINTS
    assert 99.0 == bins["p99"].max()
    assert [0.0, 12.0] == seconds[:2].tolist()


def test_rates_of_a_long_run_are_means():
    """Two seconds of 0 and 10 a second are a bin of 5 a second."""
    _, bins = thin(pd.DataFrame({"rate": [0.0, 10.0] * MOST_POINTS}))
    assert {5.0} == set(bins["rate"])
