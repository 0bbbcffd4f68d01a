import html
import re
from dataclasses import replace

import numpy as np
import pytest

from harness.analysis.decide.capacity import read_cell
from harness.analysis.decide.scalability import law
from harness.analysis.decide.sweep import Resolution, Search, SweepStep, TrialResult
from harness.report.decide.sweep import render_sweep
from harness.report.decide.sweep_charts import draw_sweep
from harness.report.decide.sweep_text import (
    cell_lines,
    law_text,
    plain,
    result_text,
    step_line,
    steps_table,
)
from harness.scenario.axes import DELIVERIES, JOINS, PUBLISH_RATE
from tests.support.page_checks import assert_page_is_sound, needs_browser, open_in_browser
from tests.support.plans import plan_of

NAMES = ("quickstart", "appsync-events-emulated")
SEARCH = Search(1000, 64_000, Resolution(0.05, is_relative=True))


def step(load, answer=TrialResult.HELD, **changes):
    """Return a step of a system that gets slower the more it has to do, and breaks at 9,000."""
    made = SweepStep(
        load=load,
        answer=answer,
        reason="",
        run=f"01-deliveries-{load}",
        verdict="pass",
        exit_code=0,
        broken=(),
        warnings=(),
        offered_per_s=load,
        achieved_per_s=float(load),
        joins_per_s=200.0,
        delivery_ratio=1.0,
        fan_out_p50_ms=load / 500,
        fan_out_p99_ms=load / 200 + (load / 4000) ** 6,
        fan_out_max_ms=load / 50,
        join_p99_ms=12.0,
        mean_ms=4.0,
        growth_ms_per_s=0.3,
        has_backlog=False,
        clock_error_ms=0.0,
    )
    return replace(made, **changes)


def page_of(cells, status="completed"):
    """Return the page of some searches with their charts."""
    return render_sweep(NAMES, cells, status, draw_sweep(NAMES, cells))


BROKEN = {"answer": TrialResult.BROKE, "exit_code": 3, "has_backlog": True, "delivery_ratio": 0.99}


def workload(**publishing):
    return plan_of(
        population={"subscribers": 900, "chatters": 100},
        joins={"rate_per_s": 200.0},
        publishing={"rate_per_s": 8.0} | publishing,
        phases={"measure_s": 10.0},
    ).workload


def cell(steps, fixed=None, **changes):
    reference = workload(rate_per_s=2.0, burst={"factor": 6.0, "length_s": 10.0, "every_s": 20.0})
    return read_cell(
        DELIVERIES, fixed or {}, replace(SEARCH, **changes), steps, workload(), reference
    )


def bent_steps():
    """Return steps whose mean time follows the law, and two beyond that break."""
    steps = []
    for work in (2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 40.0):
        rate = float(law(np.array([work]), 0.02, 0.0004, 500.0)[0])
        steps.append(step(round(rate), achieved_per_s=rate, mean_ms=1000 * work / rate))
    top = max(one.load for one in steps)
    reason = "backlog: latency grew by 50 ms each second"
    return [*steps, step(round(1.04 * top), **BROKEN, reason=reason), step(2 * top, **BROKEN)]


def test_a_found_capacity_is_told_with_its_step_and_its_cause():
    """Sentence by sentence, as on the terminal."""
    found = cell([step(1000), step(2000), step(2080, **BROKEN, reason="backlog: latency grew")])
    assert (
        "Every objective held at 2,000 deliveries/s and not at 2,080 deliveries/s, a step of "
        "4.0 %. Reason: backlog: latency grew."
    ) == cell_lines(found)[1]
    assert "headroom: 4 times the reference load's 2,000 deliveries/s (outside bursts)" in (
        cell_lines(found)
    )
    assert "headroom: 0.667 times the reference load's 12,000 deliveries/s (in a burst)" in (
        cell_lines(found)
    )


def test_a_generator_that_broke_is_told_as_a_lower_bound():
    """In words that cannot be read as a capacity."""
    lost = {"answer": TrialResult.NONE, "exit_code": 4, "reason": "not measured: generator_cpu"}
    found = cell(
        [step(1000), step(2000, **lost), step(2000, **lost)],
        resolution=Resolution(1000, is_relative=False),
    )
    assert "capacity: at least 1,000 deliveries/s" == cell_lines(found)[0]
    assert "so the capacity of the system is at least 1,000 deliveries/s." in result_text(found)


def test_steps_that_ran_out_are_told():
    """The step is then what it got to."""
    found = cell([step(1000), step(2000, **BROKEN)], max_steps=2)
    assert "The maximum number of steps was reached" in result_text(found)
    assert "steps was reached: a lower bound" in result_text(cell([step(1000)], max_steps=1))


def test_no_latency_below_the_clocks_error_is_quoted():
    """On the terminal, in the table and among the tiles; joins begin and end on one clock."""
    held = step(1000, fan_out_p50_ms=2.0, fan_out_p99_ms=5.0, clock_error_ms=8.0)
    found = cell([held, step(2000, **BROKEN, clock_error_ms=8.0)])
    assert "1,000 deliveries/s, held, fan-out p99 ≤ 8.0 ms" == step_line(held, DELIVERIES)
    assert "1,000 joins/s, held, join p99 12.0 ms" == step_line(held, JOINS)
    table = steps_table(found, 1)
    assert [["≤ 8.0 ms", "≤ 8.0 ms", "12.0 ms"], ["≤ 8.0 ms", "10.0 ms", "12.0 ms"]] == [
        [plain(one.text) for one in row[7:10]] for row in table.rows
    ]
    assert "below the clock error of the step are shown as an upper bound (≤)." in table.note
    page = plain(html.unescape(page_of([found])))
    assert len(["p50", "p99", "p50 of the other", "tile"]) == page.count("≤ 8.0 ms")
    assert "Clocks" not in steps_table(cell([step(1000), step(2000, **BROKEN)]), 1).note


def test_the_law_is_told_with_its_residuals_or_refused_with_its_reason():
    """An extrapolation says so."""
    assert "Extrapolation beyond the tested loads: " in law_text(cell(bent_steps()))
    assert "was not fitted: 2 steps can be used, 6 are needed" in law_text(
        cell([step(1000), step(2000)])
    )


def test_the_table_has_every_step_in_the_order_of_its_load():
    """Repeated ones included."""
    rows = steps_table(cell([step(2000), step(1000), step(1000)]), 1).rows
    assert ["1,000", "1,000", "2,000"] == [row[0].text for row in rows]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a search with a knee, a law and steps of every kind."""
    lost = {"answer": TrialResult.NONE, "exit_code": 4, "reason": "not measured: generator_cpu"}
    steps = [*bent_steps(), step(40_000, **lost)]
    path = tmp_path_factory.mktemp("sweep") / "sweep.html"
    path.write_text(page_of([cell(steps)]), encoding="utf-8")
    return path


@pytest.mark.slow
@needs_browser[0]
@needs_browser[1]
def test_the_page_is_whole_quiet_and_asks_for_nothing_from_elsewhere(page, tmp_path):
    """Every chart and table, a silent console, text that can be selected."""
    dom, console = open_in_browser(page, tmp_path / "profile")
    assert [] == console
    names = [f"sweep-{name}-1" for name in ("latency", "throughput", "law")]
    assert names == re.findall(r'<figure [^>]*id="([^"]*)"', dom)
    assert ["headroom-1", "steps-1", "law-1"] == re.findall(r'<table id="([^"]*)"', dom)
    assert [] == re.findall(r'(?:src|href)="(?!#)[^"]*"', dom)
    assert "Extrapolation beyond the tested loads" in html.unescape(dom)
    assert "invalid</text>" in dom
    assert page.stat().st_size < 3_000_000


@pytest.mark.slow
@needs_browser[0]
@needs_browser[1]
def test_the_page_is_sound(page, tmp_path):
    """On a phone, a wall and paper, without a network, and for those who do not see it."""
    assert_page_is_sound(page, tmp_path)


def test_a_chart_says_which_search_of_a_grid_it_is_of_and_what_there_is_to_see():
    """Nothing of a knee where there is none, and no chart half as wide without one beside it."""
    cells = [cell([step(1000), step(1040, **BROKEN)], {PUBLISH_RATE: rate}) for rate in (2.0, 4.0)]
    latency, throughput, *others = draw_sweep(NAMES, cells)
    assert "Fan-out latency over load with 2 messages/s" == latency.title
    assert "Throughput over load with 4 messages/s" == others[1].title
    assert "The p99 of each step; the line is the capacity." == latency.caption
    assert throughput.is_full_width
    _, throughput, law_chart = draw_sweep(NAMES, [cell(bent_steps())])
    assert not throughput.is_full_width
    assert not law_chart.is_full_width
    (broke,) = [
        one for one in draw_sweep(NAMES, [cell([step(1000, **BROKEN)])]) if "latency" in one.name
    ]
    assert "The p99 of each step." == broke.caption


def test_a_figure_that_is_not_known_has_no_unit():
    """A dash a second is nothing."""
    page = page_of([cell([step(1000, **BROKEN)])])
    units = re.findall(r"<b><a [^>]*>([^<]*)</a></b>(?:<i>([^<]*)</i>)?", page)
    assert ("–", "") in units
    assert [] == [unit for figure, unit in units if figure == "–" and unit]


def test_a_grid_has_a_table_of_its_capacities():
    """And each search its own steps."""
    cells = [cell([step(1000), step(1040, **BROKEN)], {PUBLISH_RATE: rate}) for rate in (2.0, 4.0)]
    page = page_of(cells, "interrupted")
    assert "2 capacities" in page
    assert 1 == page.count('<table id="capacities">')
    assert "With 4 messages/s" in page
    assert "Interrupted: steps are missing." in page
