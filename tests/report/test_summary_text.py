import html

import pytest

from harness.analysis.run.finalize import analyse
from harness.measure.record_schema import IRREGULAR_COUNTS
from harness.report import formatting as q
from harness.report.html import headline, render_html
from harness.report.markdown import render_markdown
from harness.report.run.ci import render_junit
from harness.report.summary_text import (
    advise,
    evidence,
    observed_text,
    summary_text,
    what_happened,
)
from tests.support.records import (
    arrival,
    connection,
    disturbance,
    publish,
    run_file,
    second,
    three_subscribers,
)
from tests.support.records import write_record as write
from tests.support.simulated_run import Simulation


def told(folder):
    """Return the story of a record with ordinary spaces."""
    return summary_text(analyse(folder)).replace(q.THIN, " ")


def test_a_passing_run_says_who_joined_what_arrived_and_how_fast(tmp_path):
    """One sentence on what happened, one on why it passed."""
    story = told(Simulation().write(tmp_path / "run"))
    assert story.startswith("All 40 users joined and ")
    assert " messages were published in 8 s; all " in story
    assert " deliveries owed arrived, 99 % of them within " in story
    assert story.endswith(" Every objective was met.")


def test_a_loss_is_told_with_its_number_and_the_objective_it_missed(tmp_path):
    """One of five never came."""
    assert (
        "All 3 users joined and 2 messages were published in 6 s; of 5 deliveries owed, 4 "
        "arrived, 99 % of them within 40.0 ms, and 1 did not. Delivery ratio: 80 %, where at least "
        "100 % is required."
    ) == told(three_subscribers(tmp_path / "run"))


def test_a_run_that_is_not_clean_says_what_came_besides(tmp_path):
    """What was no intact delivery stands on the first screen, also where all passed."""
    odd = {"foreign": 3, "malformed": 2, "altered": 0, "misrouted": 1}
    folder = three_subscribers(
        tmp_path / "run",
        connections=[
            connection(0, 1.0, delivered=2, last_s=7.03, **odd),
            connection(1, 1.0, delivered=2, last_s=7.04),
            connection(2, 6.0),
        ],
    )
    assert "Not clean: 3 foreign, 2 malformed, 1 misrouted." in told(folder)
    tile = next(tile for tile in headline(analyse(folder).summary) if tile.title == "Delivered")
    assert tile.detail.endswith("owed, 3 foreign, 2 malformed, 1 misrouted")


def test_counts_that_an_earlier_version_did_not_keep_are_not_recorded(tmp_path):
    """They are unknown, and not 0."""
    unknown = dict.fromkeys(IRREGULAR_COUNTS)
    rows = [connection(user, 1.0, delivered=2, last_s=7.04, **unknown) for user in range(3)]
    folder = three_subscribers(tmp_path / "run", connections=rows)
    summary = analyse(folder).summary
    assert unknown == {kind: summary["deliveries"][kind] for kind in IRREGULAR_COUNTS}
    tile = next(tile for tile in headline(summary) if tile.title == "Delivered")
    assert tile.detail.endswith("owed, foreign, malformed, altered, misrouted not recorded")
    assert "Not clean" not in told(folder)


def test_a_run_that_nobody_joined_tells_its_cause_first(tmp_path):
    """The service's own error is the news."""
    cause = {"code": "nobody_joined", "exit_code": 5, "message": "no user joined ws://x: bad key"}
    cause["hint"] = "check the key"
    folder = write(
        tmp_path / "run",
        run=run_file(status="aborted", cause=cause, ended_s=2.0),
        timeline=[second(0, phase="join", joins_attempted=9, joins_failed=9)],
        connections=[connection(0, None)],
    )
    story = told(folder)
    assert "No user joined ws://x: bad key. Delivery ratio has an objective but no data." == story
    assert "Check the key." == advise(analyse(folder))


def test_a_run_whose_publishes_were_all_refused_says_with_what(tmp_path):
    """The system's own words for most of them; nobody is owed what was never accepted."""
    common = {"second": 5, "worker": 0, "stage": "publish", "error_class": "Refused"}
    errors = [
        common | {"code": "busy", "message": "later", "count": 1},
        common | {"code": "Forbidden", "message": "no route", "count": 2},
        common | {"code": "timeout", "message": "late", "stage": "connect", "count": 9},
    ]
    folder = write(
        tmp_path / "run",
        run=run_file(),
        timeline=[second(5, joins_attempted=1, joins_succeeded=1, publishes_failed=3)],
        publishes=[publish(index, 5.0 + index, outcome="refused") for index in range(3)],
        connections=[connection(0, 1.0)],
        errors=errors,
    )
    assert (
        "3 messages were published in 6 s, none of them acknowledged; no subscriber was owed any "
        "of them. 2 publishes failed: Forbidden “no route”. 1 publish failed: busy “later”."
    ) in told(folder)


def refused_by_a_stream_a_token(folder):
    """Write a run in which one of 50 users joined, and return its folder."""
    common = {"worker": 0, "stage": "subscribe", "error_class": "JoinError"}
    common |= {"code": "http_error_terminal"}
    said = '{"message": "this token already has a stream"}'
    unsent = {"stage": "publish", "error_class": "NotConnected", "code": "", "count": 24}
    errors = [
        common | {"second": 0, "message": f"409 application/json: {said}", "count": 40},
        common | {"second": 1, "message": f"409 application/json: {said}", "count": 6},
        common | {"second": 1, "message": "503 text/plain: busy, request 1", "count": 1},
        common | {"second": 1, "message": "503 text/plain: busy, request 2", "count": 1},
        common | {"second": 1, "message": "404 text/plain: gone", "count": 1},
        common | unsent | {"second": 5, "message": "its chatter is not connected"},
    ]
    run = run_file()
    run["plan"]["workload"]["slos"].append({"metric": "joins.failed", "op": "==", "limit": 0.0})
    return write(
        folder,
        run=run,
        timeline=[second(0, joins_attempted=50, joins_succeeded=1, joins_failed=49)],
        publishes=[publish(0, 5.0), publish(1, 6.0, outcome="not_sent")],
        arrivals=[arrival(0, 1, 5.01, 5.01)],
        connections=[
            connection(user, None if user else 1.0, delivered=0 if user else 1, last_s=5.01)
            for user in range(50)
        ],
        errors=errors,
    )


def test_failed_joins_are_told_with_the_services_own_words(tmp_path):
    """The two commonest, with their counts; texts that differ are one cause."""
    analysis = analyse(refused_by_a_stream_a_token(tmp_path / "run"))
    told_409 = (
        '46 joins failed: 409 application/json “{"message": "this token already has a stream"}”'
    )
    told_503 = "2 joins failed: 503 text/plain for example “busy, request 1”"
    assert f". {told_409}. {told_503}." in what_happened(analysis)
    assert "publishes failed" not in what_happened(analysis)
    unsent = [one for one in analysis.summary["warnings"] if one["code"] == "publishes_not_sent"]
    assert [told_409 in one["hint"] for one in unsent] == [True]
    assert told_409 in html.unescape(render_html(analysis, []))
    assert told_503 in render_junit(analysis).decode()
    assert told_503 in render_markdown(analysis)


def test_run_whose_publishes_nobody_acknowledged_says_so_though_all_arrived(tmp_path):
    """Deliveries alone look like success."""
    folder = three_subscribers(
        tmp_path / "run", publishes=[publish(n, 5.0 + n, outcome="unanswered") for n in range(2)]
    )
    assert "2 messages were published in 6 s, none of them acknowledged; " in told(folder)


def test_a_cut_record_says_that_what_was_owed_is_unknown(tmp_path):
    """It never calls missing evidence a loss."""
    folder = write(
        tmp_path / "run",
        run=run_file(status="running", ended_s=None),
        timeline=[second(5, joins_attempted=2, joins_succeeded=2, deliveries=8)],
        publishes=[publish(0, 5.0)],
    )
    story = told(folder)
    assert "8 deliveries arrived, and how many were owed is unknown." in story
    assert "These figures cannot be trusted: the run was killed, or is still going" in story


def test_a_user_that_came_back_is_one_user(tmp_path):
    """Half were cut off and joined again."""
    story = told(Simulation(measure_s=20, cut=(10.0, 0.5)).write(tmp_path / "run"))
    assert story.startswith("All 40 users joined and ")


DISTURBED = [disturbance("a stall", "stall", 8.0, 9.0), disturbance("a herd", "herd", 11.0, 11.0)]


def test_users_that_were_planned_and_never_tried_are_counted(tmp_path):
    """All who tried are not all."""
    planned = {"subscriber": 4, "chatter": 1, "Browser": 9}
    run = run_file(users={"planned": planned, "tried": planned | {"subscriber": 2}})
    story = told(three_subscribers(tmp_path / "run", run=run))
    assert story.startswith("3 of 5 planned users joined and ")


def test_a_run_that_recovered_says_within_how_long(tmp_path):
    """The longest of all its recoveries, in whole seconds."""
    plan = Simulation(measure_s=20, stall=(8.0, 9.2), disturbances=DISTURBED)
    story = told(plan.write(tmp_path / "run"))
    assert "p99 was back within its limit at most 1 s after each of 2 disturbances." in story


def test_a_crowd_that_waited_long_for_a_first_message_is_told(tmp_path):
    """Of three subscribers one, who never got any, waited for 50 s; nobody else waited long."""
    users = [
        connection(0, 1.0, delivered=2, last_s=7.03),
        connection(1, 1.0, delivered=2, last_s=7.04),
        connection(2, 6.0, 57.0),
    ]
    story = told(three_subscribers(tmp_path / "run", connections=users))
    assert "33 % of subscribers waited over 10 s for a first message, up to 50.0 s." in story
    assert "first message" not in told(three_subscribers(tmp_path / "another"))


def test_a_run_that_ended_before_it_recovered_says_after_what(tmp_path):
    """Too little of the run is left after either to call it recovered."""
    plan = Simulation(measure_s=6, stall=(8.0, 9.2), disturbances=DISTURBED)
    story = told(plan.write(tmp_path / "run"))
    assert "Fan-out p99 did not return within its limit after a stall and a herd." in story


def test_without_an_objective_nothing_says_what_recovered_means(tmp_path):
    """No limit on fan-out p99, no sentence."""
    run = run_file(disturbances=DISTURBED)
    assert "back inside" not in told(three_subscribers(tmp_path / "run", run=run))


def test_an_empty_run_says_that_nobody_tried(tmp_path):
    """Nothing happened, and that is what it says."""
    assert told(write(tmp_path / "run")).startswith("No user attempted to join.")


def test_an_observation_just_past_its_limit_is_told_exactly():
    """Otherwise 500 ms would fail where at most 500 ms is required."""
    slo = {"metric": "fan_out_latency_ms.p99", "limit": 500.0, "observed": 500.2}
    assert "500.2 ms" == observed_text(slo).replace(q.THIN, " ")


@pytest.mark.parametrize(
    ("observed", "limit", "text"),
    [
        (612.3433, 100.0, ": 612, where at most 100 is allowed"),
        (10.5, 12.0, ": 10.5, where at least 12.0 is required"),
        (5, 10, ": 5, where at least 10 is required"),
        (3, 0, ": 3"),
        ("1,024", "35,000", ": 1,024, where 35,000 is required"),
        ("owed: 3 by message, 4 by connection", None, ": owed: 3 by message, 4 by connection"),
        (None, None, ""),
    ],
)
def test_a_warning_tells_what_was_observed_and_which_side_of_its_limit_was_missed(
    observed, limit, text
):
    """Too much and too little are different faults; figures are rounded, sentences left alone."""
    assert text == evidence({"code": "any", "observed": observed, "limit": limit})


@pytest.mark.parametrize(
    ("code", "observed", "limit", "text"),
    [
        ("machine_crowded", 0.98, 0.3, ": 98 %, where at most 30 % is allowed"),
        ("generator_loop_lag", 120.4, 50.0, ": 120 ms, where at most 50 ms is allowed"),
        ("clock_step", 7.0, 5.0, ": 7.0 ms, where at most 5 ms is allowed"),
    ],
)
def test_a_warning_about_the_generator_has_the_unit_of_its_figure(code, observed, limit, text):
    """0.98 alone may be anything."""
    warning = {"code": code, "observed": observed, "limit": limit}
    assert text == evidence(warning).replace(q.THIN, " ")
