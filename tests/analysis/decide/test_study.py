import json
import re

import pytest

from harness.analysis.decide.study import Outcome, cells_of, find, find_runs, worst
from harness.analysis.decide.study_paper import cost_of_system, paper_of
from harness.analysis.run.finalize import analyse
from harness.report import formatting as q
from harness.report.decide.study_text import seen_text
from harness.scenario.slo import Slo
from harness.scenario.study import load_study
from tests.support.study_runs import SCENARIOS, simulate, write_study


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Return the study and its cells at the small size."""
    file = write_study(tmp_path_factory.mktemp("study"))
    study = load_study(file)
    return study, cells_of(study, file, "small")


@pytest.fixture(scope="module")
def findings(cells, tmp_path_factory):
    """Return what is found where one system is quick, one is slow and one is missing."""
    study, (quick, slow, gone) = cells
    folder = tmp_path_factory.mktemp("runs")
    runs = {
        "quick": analyse(simulate(quick, folder / "quick", seed=1)),
        "slow": analyse(simulate(slow, folder / "slow", seed=2, median_ms=40.0)),
    }
    outcomes = [
        Outcome(quick.system, quick.workload, (runs["quick"],), 1),
        Outcome(slow.system, slow.workload, (runs["slow"],), 1),
        Outcome(gone.system, gone.workload, (), 1, gone.refusal),
    ]
    return find(study, "small", outcomes)


def test_a_cell_whose_files_make_no_plan_says_why_and_the_others_have_one(cells):
    """One target that is not there does not stop a study."""
    _, (quick, slow, gone) = cells
    assert quick.plan is not None
    assert slow.plan is not None
    assert slow.plan.target.emulator is not None
    assert (36, 2) == (
        slow.plan.workload.population.subscribers,
        slow.plan.target.emulator.processes,
    )
    assert gone.plan is None
    assert "no-such-system.toml must be a file that exists" in gone.refusal


def test_scenarios_are_named_in_place_of_their_paths(tmp_path):
    """A study outside this repository takes what comes with the harness by its name."""
    file = write_study(tmp_path)
    named = re.sub(r'"[^"]*/appsync-events-emulated.toml"', '"appsync-events-emulated"', text(file))
    file.write_text(named.replace("/no-such-system.toml", "no-such-system"), encoding="utf-8")
    quick, slow, gone = cells_of(load_study(file), file, "small")
    assert quick.plan is not None
    assert slow.plan is not None
    assert "appsync-events-emulated" == quick.plan.target.name == slow.plan.target.name
    assert gone.plan is None


def text(file):
    return file.read_text(encoding="utf-8")


def test_runs_of_an_equal_plan_are_found_oldest_first(cells, tmp_path):
    """Those of another system are not among them."""
    _, (quick, slow, _) = cells
    for name, started in (("later", "2026-11-02"), ("sooner", "2026-11-01")):
        folder = simulate(quick, tmp_path / name)
        change(folder, started_at=started)
    assert ["sooner", "later"] == [folder.name for folder in find_runs(tmp_path, quick.plan)]
    assert [] == find_runs(tmp_path, slow.plan)


@pytest.mark.parametrize(
    "changes", [{"status": "interrupted"}, {"seed": 5}, {"extra": {"burst": 1}}, {"processes": 3}]
)
def test_a_run_that_was_cut_or_differs_is_not_taken(cells, tmp_path, changes):
    """It is run again instead."""
    _, (quick, *_) = cells
    change(simulate(quick, tmp_path / "run"), **changes)
    assert [] == find_runs(tmp_path, quick.plan)


def change(folder, *, processes=None, seed=None, extra=None, **top):
    """Change a stored run's ``run.json``."""
    run = json.loads((folder / "run.json").read_text()) | top
    if processes:
        run["plan"]["target"]["emulator"]["processes"] = processes
    if seed:
        run["plan"]["workload"]["seed"] = seed
    run["plan"]["workload"] |= extra or {}
    (folder / "run.json").write_text(json.dumps(run))


def test_each_requirement_stands_as_its_runs_and_its_prices_say(findings):
    """Met at the size needed; missed by a run, or by what an idle day costs; unknown without."""
    standings = [[answer.standing for answer in row] for row in findings.answers]
    assert ["met", "met", "unknown"] == standings[0]
    assert ["missed"] == standings[1][1:2]
    assert "missed" != standings[1][0]
    assert ["met", "missed", "unknown"] == standings[2]
    assert not findings.is_whole


def test_every_answer_has_its_origin_and_its_paper(findings):
    """An emulator's figures are marked as such; a quota stands beside them."""
    quick, slow, gone = findings.answers[1]
    assert ["emulator", "emulator", None] == [one.origin for one in (quick, slow, gone)]
    (delivered,) = quick.paper
    assert "25,000 messages/s to 40 at 1,000,000 deliveries/s" == delivered.text
    assert delivered.is_enough


def test_the_systems_stand_beside_the_baseline(findings):
    """The baseline first, and the shift found."""
    (contest,) = findings.contests
    assert ["quick", "slow"] == [one.name for one in contest.systems]
    assert contest.comparison is not None
    (differences,) = contest.comparison.differences
    assert {one.metric: one for one in differences}["fan_out_latency_ms.p99"].ratio > 2


@pytest.mark.parametrize(
    ("metric", "values", "op", "expected"),
    [
        ("joins.failed", [0, 3], "==", 3),
        ("deliveries.ratio", [1.0, 0.9], ">=", 0.9),
        ("deliveries.ratio", [1.0, 0.9], "", 0.9),
        ("joins.per_s_peak", [5, 7], "", 5),
        ("fan_out_latency_ms.p99", [5.0, 7.0], "<=", 7.0),
        ("fan_out_latency_ms.p99", [5.0, None], "<=", None),
        ("fan_out_latency_ms.p99", [], "<=", None),
    ],
)
def test_the_worst_of_several_runs_speaks_for_them(metric, values, op, expected):
    """And one that has no figure leaves none."""
    assert expected == worst(metric, values, op)


@pytest.fixture(scope="module")
def reference():
    """Return the study that the project comes with, and its systems by name."""
    study = load_study(SCENARIOS / "studies" / "sse-vs-appsync.toml")
    return study, {one.name: one for one in study.systems}


@pytest.mark.parametrize(
    ("name", "usd_day", "usd_idle"),
    [
        ("appsync", 785.85, 0.0),
        ("api-gateway", 654.53, 0.0),
        ("legacy", 39.07, 4.02),
        ("polling", 483.12, 0.0),
        ("hybrid", 533.76, 0.0),
    ],
)
def test_the_reference_day_has_its_known_prices(reference, name, usd_day, usd_idle):
    """The totals that were worked out by hand."""
    study, systems = reference
    cost = cost_of_system(study.need, systems[name], "", ())
    assert pytest.approx((usd_day, usd_idle), abs=0.005) == (cost.usd_day, cost.usd_idle)


@pytest.mark.parametrize(
    ("name", "about", "text", "is_enough"),
    [
        ("api-gateway", "messages", "0.333 messages/s to 30,000 at 10,000 deliveries/s", False),
        ("appsync", "messages", "33.3 messages/s to 30,000 at 1,000,000 deliveries/s", True),
        ("api-gateway", "scale_up", "30,000 accepted within 60 s at 500/s", False),
        ("appsync", "scale_up", "30,000 accepted within 15 s at 2,000/s", True),
        ("legacy", "connected", "2 servers of 15,000 connections", None),
        ("legacy", "scale_to_zero", "$4.02 a day without connections", False),
        ("hybrid", "messages", "200 messages/s to 5,000 at 1,000,000 deliveries/s", True),
    ],
)
def test_quotas_speak_in_known_figures(reference, name, about, text, is_enough):
    """As a reader would work them out."""
    study, systems = reference
    cost = cost_of_system(study.need, systems[name], "", ())
    found = paper_of(about, study.need, systems[name], cost)
    assert (text, is_enough) in [(one.text, one.is_enough) for one in found]


def test_a_system_without_a_price_list_has_no_price(reference):
    """And is no error."""
    study, systems = reference
    unknown = systems["appsync"].model_copy(update={"priced_as": None})
    assert cost_of_system(study.need, unknown, "no-such-system", ()).usd_day is None


REFERENCE = SCENARIOS / "studies" / "sse-vs-appsync.toml"
MOST_S = 400.0
"""A run takes five to eight seconds more than its timetable; eighteen of them within 600 s."""


@pytest.fixture(scope="module")
def small_plans():
    """Return the plans of the study that comes along, at its small size."""
    return {
        (one.workload.name, one.system.name): one.plan
        for one in cells_of(load_study(REFERENCE), REFERENCE, "small")
    }


def test_the_small_study_takes_less_than_ten_minutes(small_plans):
    """Every system meets every workload."""
    assert 18 == len(small_plans)
    assert sum(plan.timetable.phases[-1].end_s for plan in small_plans.values()) < MOST_S


def test_at_the_small_size_no_run_is_asked_for_more_users_than_it_has(small_plans):
    """A verdict that no system could pass says nothing about any."""
    for plan in small_plans.values():
        limits = {slo.metric: slo.limit for slo in plan.workload.slos}
        people = plan.workload.population
        assert limits.get("population.subscribers_peak", 0) <= people.subscribers
        assert limits.get("population.chatters_peak", 0) <= people.chatters


@pytest.mark.parametrize(
    ("workload", "fits"), [("steady", True), ("scale-to-zero", True), ("flash-crowd", False)]
)
def test_the_legacy_service_has_room_for_a_show_and_not_for_a_crowd(small_plans, workload, fits):
    """What the study is asked about is seen at its small size too."""
    plan = small_plans[workload, "legacy"]
    servers = plan.target.emulator.servers
    assert fits == (plan.workload.population.users <= servers.count * servers.connections)


def test_an_objective_on_one_kind_of_user_is_judged_on_theirs(cells, tmp_path):
    """By the run's record, as a workload's own is."""
    study, (quick, *_) = cells
    run = analyse(simulate(quick, tmp_path / "run", seed=3))
    whole = Slo(metric="joins.attempted", op=">", limit=0)
    chatters = Slo(metric="joins.attempted", op=">", limit=0, user_class="chatter")
    about = study.requirements[0].model_copy(update={"objectives": (whole, chatters)})
    changed = study.model_copy(update={"requirements": (about,), "systems": (quick.system,)})
    outcome = Outcome(quick.system, quick.workload, (run,), 1)
    first, second = find(changed, "small", [outcome]).answers[0][0].judged
    assert (40, 4) == (first["observed"], second["observed"])
    assert "chatter" == second["user_class"]


def test_a_latency_below_the_clocks_error_is_told_as_such(cells, tmp_path):
    """Of an objective and of a further figure."""
    study, (quick, *_) = cells
    run = analyse(simulate(quick, tmp_path / "run", seed=4))
    run.summary["generator"]["clock_error_ms"] = 500.0
    outcome = Outcome(quick.system, quick.workload, (run,), 1)
    changed = study.model_copy(update={"systems": (quick.system,)})
    answer = find(changed, "small", [outcome]).answers[1][0]
    assert 500.0 == answer.judged[0]["clock_error_ms"] == answer.figures[0].clock_error_ms
    assert "fan-out latency p50 ≤ 500 ms [E]" == seen_text(answer.figures[0]).replace(q.THIN, " ")


def test_who_polls_is_counted_once(cells, tmp_path):
    """Those who poll are subscribers and chatters too, and not more users."""
    study, (quick, *_) = cells
    run = analyse(simulate(quick, tmp_path / "run", seed=5))
    run.summary["population"]["pollers_peak"] = 40
    changed = study.model_copy(update={"systems": (quick.system,)})
    outcome = Outcome(quick.system, quick.workload, (run,), 1)
    assert 40 == find(changed, "small", [outcome]).answers[0][0].size
