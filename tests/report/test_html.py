import re

import pytest

from harness.analysis.run.finalize import finalize
from harness.report.html import headline, render_html
from harness.report.write import write_report
from tests.support.records import run_file, three_subscribers, worker_second, write_record
from tests.support.simulated_run import Simulation


def page_of(folder):
    """Write a record's report and return the page's text."""
    return write_report(finalize(folder)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a whole run."""
    return page_of(Simulation(failed_joins=2).write(tmp_path_factory.mktemp("html") / "run"))


def test_the_page_needs_nothing_else(page):
    """No script, no style sheet, no image, no font from anywhere."""
    assert [] == re.findall(r"<(?:script src|link|img|iframe|object)\b", page)
    assert [] == re.findall(r"(?:@import|@font-face|url\((?!#))", page)
    assert {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"} >= set(
        re.findall(r'https?://[^"\s<]*', page)
    )


def test_the_page_is_small(page):
    """Under 1.5 MB."""
    assert len(page.encode()) < 1_500_000


def test_ids_on_the_page_are_unique(page):
    """Links and labels find what they mean."""
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(ids)) == len(ids)


def test_every_label_that_is_referred_to_is_there(page):
    """A region without its heading has no name."""
    ids = set(re.findall(r'\bid="([^"]*)"', page))
    assert set(re.findall(r'aria-labelledby="([^"]*)"', page)) <= ids


@pytest.mark.parametrize(
    "heading",
    [
        *("Objectives", "Latencies", "Deliveries", "Joins by stage", "Phases", "Errors"),
        *("Load generator", "Environment", "Definitions", "Users and joins"),
        *("Waiting", "Slowest messages", "Subscribers with the longest stalls"),
    ],
)
def test_a_whole_run_has_every_section(page, heading):
    """Everything measured is shown."""
    assert re.search(rf"<h2[^>]*>{heading}</h2>", page)


def test_verdict_reason_objectives_and_figures_come_first(page):
    """In this order; after them what explains a failure, and then the charts."""
    order = [
        *('<h1 id="verdict"', '<p class="reason">Failed joins: 2, where', 'id="objectives-title"'),
        *('class="tiles"', 'id="errors-title"', 'id="charts"', 'id="latencies-title"'),
    ]
    places = [page.index(mark) for mark in order]
    assert sorted(places) == places


def test_errors_of_a_run_that_passed_are_below_the_charts(tmp_path):
    """They explain no failure."""
    analysis = finalize(Simulation(failed_joins=2).write(tmp_path / "run"))
    analysis.summary["verdict"] = "pass"
    page = render_html(analysis, [])
    assert page.index('id="ledger-title"') < page.index('id="errors-title"')


def test_contents_lead_to_every_section(page):
    """In the order of the page, down to the definitions."""
    contents = re.search(r'<nav class="contents.*?</nav>', page, re.DOTALL)
    assert contents is not None
    linked = re.findall(r'href="#([^"]*)">', contents[0])
    assert re.findall(r'<h2 id="([^"]*)"', page) == linked
    assert {"objectives-title", "charts", "environment", "definitions"} <= set(linked)


def test_text_from_the_run_cannot_become_markup(tmp_path):
    """A service's error text is shown, never run."""
    cause = {"code": "nobody_joined", "exit_code": 5, "message": "<script>alert(1)</script>"}
    page = page_of(write_record(tmp_path / "run", run=run_file(status="aborted", cause=cause)))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_record_with_nothing_in_it_still_has_a_page(tmp_path):
    """No plan, no phases, no environment, no table: what is left is shown."""
    run = {"schema_version": 1, "status": "running", "epoch_ns": 1, "ended_s": None}
    page = render_html(finalize(write_record(tmp_path / "run", run=run)), [])
    assert "Invalid" in page
    assert "<figure" not in page
    assert ">Latencies<" not in page


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"machine_others_ratio": 0.98, "machine_idle_ratio": 0.0}, "machine crowded"),
        ({"cpu_ratio": 1.0}, "did not keep up"),
        ({}, "kept up"),
    ],
)
def test_a_crowded_machine_is_not_told_as_a_generator_that_fell_behind(tmp_path, changes, word):
    """Its own figures are fine then."""
    rows = [worker_second(number, **changes) for number in range(12)]
    summary = finalize(three_subscribers(tmp_path / "run", generator=rows)).summary
    assert headline(summary)[-1].detail == f"{word}, 1 worker"


def test_warnings_stand_above_the_charts_with_their_hints(tmp_path):
    """Who cannot trust the figures should know before reading them."""
    page = page_of(three_subscribers(tmp_path / "run", run=run_file(ended_s=10.5)))
    assert "Run cut short" in page
    assert page.index("Run cut short") < page.index("<figure")
    assert "Messages still on their way count as lost" in page
