import json
import shutil

import orjson
import pytest

from harness.analysis.run.finalize import (
    analyse,
    decide,
    exit_code,
    finalize,
    judge_again,
    verdict_json,
)
from harness.analysis.run.run_file import NoRecordError
from harness.core.errors import MachineError
from harness.core.exit_codes import ExitCode
from harness.core.metrics import METRICS, SUMMARY_METRICS
from tests.support.records import (
    arrival,
    at,
    connection,
    histogram,
    publish,
    run_file,
    second,
    three_subscribers,
    worker_second,
    write_record,
)
from tests.support.simulated_run import Simulation


def outcome(summary):
    """Return verdict and exit code together."""
    return summary["verdict"], summary["exit_code"]


def codes(summary):
    """Return the codes of all warnings."""
    return [warning["code"] for warning in summary["warnings"]]


def with_slos(*slos, **changes):
    """Return a ``run.json`` with the given objectives, as (metric, op, limit)."""
    run = run_file(**changes)
    run["plan"]["workload"]["slos"] = [
        dict(zip(("metric", "op", "limit"), slo, strict=True)) for slo in slos
    ]
    return run


def test_a_clean_run_passes(tmp_path):
    """All owed, all received, generator at ease: exit 0 and no warning."""
    summary = finalize(Simulation().write(tmp_path / "run")).summary
    assert [] == summary["warnings"]
    assert ("pass", 0) == outcome(summary)


def test_a_lost_delivery_fails_the_objective_on_it(tmp_path):
    """One of five is lost, the objective allows none: exit 3."""
    summary = finalize(three_subscribers(tmp_path / "run")).summary
    assert ("fail", 3) == outcome(summary)
    assert 0.8 == summary["slos"][0]["observed"]


def test_an_objective_without_data_fails_the_run(tmp_path):
    """Nothing was thrown at the objective, so it did not hold: exit 3."""
    run = with_slos(("service_latency_ms.p99", "<=", 500.0))
    assert ("no_data", 3) == outcome(finalize(three_subscribers(tmp_path / "run", run=run)).summary)


def test_a_saturated_generator_makes_the_run_invalid_even_when_objectives_fail(tmp_path):
    """Invalid beats fail: exit 4, with the figure, its limit and a hint."""
    late = [("send_delay.chatter.measure", 5, histogram(250))]
    summary = finalize(three_subscribers(tmp_path / "run", histograms=late)).summary
    assert ("invalid", 4) == outcome(summary)
    assert summary["generator"]["valid"] is False
    (found,) = summary["warnings"]
    assert ("generator_send_delay", 100.0) == (found["code"], found["limit"])
    assert 250 == pytest.approx(found["observed"], rel=0.001)
    assert "workers" in found["hint"]


def test_finalising_again_from_parquet_changes_nothing(tmp_path):
    """The journal is gone, the tables are Parquet, the summary is the same to the last digit."""
    folder = Simulation(lost_ratio=0.01, failed_joins=2).write(tmp_path / "run")
    first = finalize(folder)
    written = (folder / "run.json").read_bytes()
    again = finalize(folder)
    assert (True, False) == (first.record.in_journal, again.record.in_journal)
    assert not (folder / "journal").exists()
    assert first.summary == again.summary
    assert written == (folder / "run.json").read_bytes()


def test_run_json_holds_the_summary_and_keeps_what_the_run_wrote(tmp_path):
    """A machine reads the verdict where it reads the plan."""
    folder = three_subscribers(tmp_path / "run")
    summary = finalize(folder).summary
    run = json.loads((folder / "run.json").read_text())
    assert (summary, "fail") == (run["summary"], run["verdict"])
    assert "by-hand" == run["plan"]["workload"]["name"]


def test_a_killed_run_keeps_its_journal_and_is_invalid(tmp_path):
    """Killed after 5 s: no connection closed, so what was owed is unknown, not zero."""
    run = run_file(status="running", ended_s=None)
    seconds = [second(n, phase="join", connected=9, joins_succeeded=3) for n in range(3)]
    seconds += [second(4, connected=9, deliveries=18)]
    folder = write_record(
        tmp_path / "run", run=run, timeline=seconds, publishes=[publish(0, 4.2), publish(1, 4.4)]
    )
    journal = folder / "journal" / "timeline.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])
    analysis = finalize(folder)
    summary = analysis.summary
    assert ("invalid", 4) == outcome(summary)
    assert {"run_cut_short", "record_damaged", "connections_missing"} == set(codes(summary))
    assert (None, None) == (summary["deliveries"]["owed"], summary["deliveries"]["ratio"])
    assert journal.exists()
    assert 3.0 == analysis.record.ended_s


def test_an_interrupted_run_exits_130(tmp_path):
    """Stopped by hand: judged no further, its record complete as far as it goes."""
    run = run_file(status="interrupted", ended_s=7.0)
    summary = finalize(three_subscribers(tmp_path / "run", run=run)).summary
    assert ("invalid", 130) == outcome(summary)


STOPPED = {
    "status": "aborted",
    "ended_s": 9.0,
    "cause": {"code": "slo_failed", "exit_code": 3, "message": "stopped", "hint": None},
}


def test_a_run_that_an_objective_stopped_fails_and_is_not_invalid(tmp_path):
    """Even if what came after the stop brought the figure back inside its limit."""
    summary = finalize(Simulation(changes=STOPPED).write(tmp_path / "run")).summary
    assert ("fail", 3) == outcome(summary)
    assert {"pass"} == {slo["verdict"] for slo in summary["slos"]}
    (found,) = summary["warnings"]
    assert ("run_cut_short", False) == (found["code"], found["invalidates"])


def test_a_run_that_an_objective_stopped_may_be_invalid_all_the_same(tmp_path):
    """A generator that did not keep up made the figure: exit 4."""
    late = [("send_delay.chatter.measure", 5, histogram(250))]
    run = run_file(**STOPPED)
    summary = finalize(three_subscribers(tmp_path / "run", run=run, histograms=late)).summary
    assert ("invalid", 4) == outcome(summary)


def test_a_run_that_nobody_joined_exits_5(tmp_path):
    """The target let nobody in: nothing was measured, and the generator is not to blame."""
    cause = {
        "code": "nobody_joined",
        "exit_code": 5,
        "message": "nobody joined: 9 users met UnauthorizedException",
        "hint": None,
    }
    folder = write_record(
        tmp_path / "run",
        run=run_file(status="aborted", cause=cause, ended_s=3.0),
        timeline=[second(0, phase="join", joins_attempted=9, joins_failed=9)],
        connections=[connection(user, None) for user in range(9)],
    )
    summary = finalize(folder).summary
    assert ("no_data", 5) == outcome(summary)
    assert summary["generator"]["valid"] is True


@pytest.mark.parametrize("code", ["worker_lost", "emulator_died"])
def test_a_run_that_lost_a_part_of_itself_is_invalid_with_the_causes_exit_code(tmp_path, code):
    """The cause tells more than the verdict."""
    cause = {"code": code, "exit_code": 4, "message": "it died", "hint": None}
    run = run_file(status="aborted", cause=cause, ended_s=6.0)
    assert ("invalid", 4) == outcome(finalize(three_subscribers(tmp_path / "r", run=run)).summary)


def test_a_run_without_messages_has_no_data(tmp_path):
    """Nothing was owed, so there is no delivery ratio."""
    folder = write_record(
        tmp_path / "run",
        timeline=[second(0, phase="join", joins_attempted=1, joins_succeeded=1, connected=1)],
        connections=[connection(0, 1.0)],
    )
    summary = finalize(folder).summary
    assert (0, None) == (summary["deliveries"]["owed"], summary["deliveries"]["ratio"])
    assert ("no_data", 3) == outcome(summary)


def test_a_record_without_any_table_is_still_judged(tmp_path):
    """Only run.json is left: everything missing is named, and the run is invalid."""
    folder = write_record(tmp_path / "run")
    for path in (folder / "journal").iterdir():
        path.unlink()
    (folder / "histograms.hlog").unlink()
    summary = finalize(folder).summary
    problems = [warning["observed"] for warning in summary["warnings"]]
    assert "timeline.jsonl is missing" in problems
    assert "histograms.hlog is missing" in problems
    assert "publishes.jsonl is missing; arrivals.jsonl is missing" in problems
    assert ("invalid", 4) == outcome(summary)


MISCOUNTED = [connection(0, 1.0, delivered=3, last_s=7.0), connection(1, 1.0, delivered=2)]
BELOW_ZERO = [second(5, negative_count=2, out_of_range_count=1)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"run": run_file(ended_s=10.5)}, {"run_cut_short"}),
        ({"connections": [*MISCOUNTED, connection(2, 6.0)]}, {"ledger_disagrees"}),
        ({"timeline": BELOW_ZERO}, {"clock_unsound", "latency_out_of_range"}),
    ],
    ids=["drain was cut short", "ledgers disagree", "latencies are below zero"],
)
def test_record_that_contradicts_itself_makes_the_run_invalid(tmp_path, changes, expected):
    """What is on its way would be lost, no message has the delivery, none comes before it left."""
    summary = finalize(three_subscribers(tmp_path / "run", **changes)).summary
    assert expected <= set(codes(summary))
    assert "invalid" == summary["verdict"]


def test_publishes_that_were_never_sent_are_a_warning_only(tmp_path):
    """The load was lighter than planned; what was measured still holds."""
    publishes = [publish(0, 5.0), publish(1, 7.0), publish(2, 8.0, outcome="not_sent")]
    summary = finalize(three_subscribers(tmp_path / "run", publishes=publishes)).summary
    assert ["publishes_not_sent"] == codes(summary)
    assert "fail" == summary["verdict"]


@pytest.mark.parametrize(
    ("outcome_of_publishes", "expected"), [("acknowledged", ["nothing_heard"]), ("refused", [])]
)
def test_run_in_which_accepted_publishes_reach_nobody_says_where_to_look(
    tmp_path, outcome_of_publishes, expected
):
    """Nothing is delivered, or the target is told wrongly what a message looks like."""
    publishes = [publish(index, 5.0 + index, outcome=outcome_of_publishes) for index in range(2)]
    acknowledged = 2 * (outcome_of_publishes == "acknowledged")
    folder = three_subscribers(
        tmp_path / "run",
        publishes=publishes,
        timeline=[second(5, publishes_sent=2, publishes_acknowledged=acknowledged)],
        arrivals=[],
        histograms=[],
        connections=[connection(user, 1.0) for user in range(3)],
    )
    assert expected == [code for code in codes(finalize(folder).summary) if "heard" in code]


@pytest.mark.parametrize(
    ("dropped", "expected"),
    [
        (
            {"fault": 9, "closed": 3, "throttled": 1622, "function_timeout": 1},
            ["throttled 1,622, function timeout 1"],
        ),
        ({"fault": 9, "closed": 3, "process_gone": 4, "throttled": 0}, []),
    ],
)
def test_deliveries_that_the_emulator_dropped_at_its_limits_are_named(tmp_path, dropped, expected):
    """The system's own doing; what it was told to drop, or had nobody to give to, is none of it."""
    folder = three_subscribers(tmp_path / "run")
    truth = {"stats": {"deliveries": {"dropped": dropped}}}
    (folder / "emulator.json").write_text(json.dumps(truth), "utf-8")
    summary = finalize(folder).summary
    found = [each for each in summary["warnings"] if "system_limit" == each["code"]]
    assert expected == [each["observed"] for each in found]
    assert "fail" == summary["verdict"]


@pytest.mark.parametrize(
    ("count", "error_class", "expected"),
    [(600, "Refused", [1200]), (500, "Refused", []), (600, "Disconnected", [])],
)
def test_flood_of_errors_that_the_system_sends_is_named(tmp_path, count, error_class, expected):
    """Of one worker in one second; ends of connections are no frames."""
    common = {"stage": "receive", "error_class": error_class, "message": "no", "count": count}
    errors = [
        common | {"second": at, "worker": worker, "code": code}
        for at, worker, code in [(5, 0, "a"), (5, 0, "b"), (5, 1, "a"), (6, 0, "a")]
    ]
    summary = finalize(three_subscribers(tmp_path / "run", errors=errors)).summary
    found = [each["observed"] for each in summary["warnings"] if each["code"] == "error_frames"]
    assert expected == found


@pytest.mark.parametrize("content", ["", "[]", '{"stats": 1}', '{"stats": {"deliveries": 1}}'])
def test_damaged_ground_truth_limits_nothing(tmp_path, content):
    """What cannot be read says nothing."""
    folder = three_subscribers(tmp_path / "run")
    (folder / "emulator.json").write_text(content, "utf-8")
    assert "system_limit" not in codes(finalize(folder).summary)


def test_subscribers_that_heard_nothing_before_measuring_are_a_warning_only(tmp_path):
    """A join does not mean routed: 2 of 3 heard the warm-up's probe, and the run still counts."""
    heard = {"delivered": 2, "last_s": 5.01, "first_arrival_ns": at(3.01)}
    folder = three_subscribers(
        tmp_path / "run",
        publishes=[publish(0, 2.5, phase="warm_up"), publish(1, 5.0)],
        arrivals=[arrival(0, 2, 3.01, 3.02), arrival(1, 2, 5.01, 5.01)],
        connections=[connection(0, 1.0, **heard), connection(1, 1.0, **heard), connection(2, 1.0)],
    )
    summary = finalize(folder).summary
    (found,) = summary["warnings"]
    assert ("not_routed", 1, False) == (found["code"], found["observed"], found["invalidates"])
    assert "a join does not mean routed" in found["hint"]
    deliveries = summary["deliveries"]
    assert (1, 1) == (deliveries["missed_before_measuring"], deliveries["lost"])


def test_what_was_no_intact_delivery_is_a_warning_with_examples(tmp_path):
    """Of each kind as many as the errors table has, five at most; the run still counts."""
    common = {"second": 5, "worker": 0, "stage": "receive", "error_class": "Foreign"}
    texts = ["hello", "", *map(str, range(6))]
    folder = three_subscribers(
        tmp_path / "run",
        connections=[
            connection(0, 1.0, delivered=2, last_s=7.03, foreign=8),
            connection(1, 1.0, delivered=2, last_s=7.04),
            connection(2, 6.0),
        ],
        errors=[common | {"code": "foreign", "message": text, "count": 1} for text in texts],
    )
    (found,) = finalize(folder).summary["warnings"]
    assert ("deliveries_foreign", 8, False) == (
        found["code"],
        found["observed"],
        found["invalidates"],
    )
    expected = "events without a message of this run, for example at receive: “hello”, “0”, “1”, "
    assert f"{expected}“2”, “3”" == found["hint"]


def test_warnings_raised_during_the_run_are_kept_once(tmp_path):
    """Reading the record again does not double them."""
    raised = {"code": "slow_disk", "observed": 3, "limit": 1, "hint": "use a faster one"}
    folder = three_subscribers(tmp_path / "run", run=run_file(warnings=[raised]))
    finalize(folder)
    assert [raised] == finalize(folder).summary["warnings"]


def test_arrivals_whose_publish_is_not_on_record_are_named(tmp_path):
    """A torn journal of publishes cannot pass for deliveries that were not owed."""
    folder = three_subscribers(tmp_path / "run", publishes=[publish(0, 5.0)])
    problems = [warning["observed"] for warning in analyse(folder).summary["warnings"]]
    assert "messages that arrived without a publish on record: 1" in problems


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "holds no run.json, a run's own folder is needed"),
        (b"{half", "is not JSON"),
        (b"[]", "is no run record, a JSON object with a schema_version is needed"),
        (
            b'{"schema_version": 99}',
            "has schema version 99, written by an unknown version of the harness",
        ),
    ],
)
def test_a_folder_that_holds_no_readable_record_is_refused_in_one_sentence(
    tmp_path, content, sentence
):
    """Bad usage: exit 2."""
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(NoRecordError) as caught:
        finalize(tmp_path)
    assert sentence in str(caught.value)
    assert 2 == caught.value.exit_code


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    """A disk that is full, or here a path that is taken, is no traceback."""
    folder = three_subscribers(tmp_path / "run")
    (folder / "run.json.new").mkdir()
    with pytest.raises(MachineError, match=r"cannot be written"):
        finalize(folder)
    assert (folder / "journal").is_dir()


BAD = {"invalidates": True}
MILD = {"invalidates": False}


@pytest.mark.parametrize(
    ("verdicts", "warnings", "expected"),
    [
        ([], [], "pass"),
        (["pass"], [MILD], "pass"),
        (["pass", "no_data"], [], "no_data"),
        (["no_data", "fail"], [], "fail"),
        (["fail"], [BAD], "invalid"),
        (["pass"], [BAD], "invalid"),
    ],
)
def test_invalid_beats_fail_beats_no_data_beats_pass(verdicts, warnings, expected):
    """The worst thing known about a run is its verdict."""
    assert expected == decide({}, [{"verdict": verdict} for verdict in verdicts], warnings)


def test_a_run_that_let_nobody_in_never_passes():
    """Without any objective it still measured nothing."""
    assert "no_data" == decide({"cause": {"code": "nobody_joined"}}, [], [])


@pytest.mark.parametrize(
    ("run", "verdict", "expected"),
    [
        ({}, "pass", ExitCode.PASS),
        ({}, "fail", ExitCode.SLO_FAILED),
        ({}, "no_data", ExitCode.SLO_FAILED),
        ({}, "invalid", ExitCode.RUN_INVALID),
        ({"status": "interrupted"}, "invalid", ExitCode.INTERRUPTED),
        ({"cause": {"exit_code": 5}, "status": "aborted"}, "no_data", ExitCode.TARGET_UNREACHABLE),
    ],
)
def test_the_exit_code_tells_what_ended_the_run_before_the_verdict(run, verdict, expected):
    """Pipelines branch on it."""
    assert int(expected) == exit_code(run, verdict)


def slo(metric, op="<=", limit=1e9, **scope):
    """Return an objective that nearly everything meets."""
    return {"metric": metric, "op": op, "limit": limit} | scope


def judged(folder, *slos):
    """Return the entries of a record's verdict by other objectives."""
    return judge_again(analyse(folder), slos).summary["slos"]


def observed(folder, metric, **scope):
    """Return what a metric of a part of a run was."""
    (entry,) = judged(folder, slo(metric, **scope))
    return entry["observed"]


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory):
    """Return a record whose latencies differ by class and phase; histograms are exact to 0.1 %."""
    folder = tmp_path_factory.mktemp("check") / "run"
    lines = [
        ("fan_out_latency.subscriber.measure", 5, histogram(10, 20)),
        ("fan_out_latency.chatter.measure", 5, histogram(30, 40)),
        ("fan_out_latency.subscriber.warm_up", 3, histogram(50, 60)),
        ("join_latency.subscriber.join", 0, histogram(5, 6)),
        ("join_latency.chatter.join", 0, histogram(7, 8)),
    ]
    return three_subscribers(folder, histograms=lines)


@pytest.mark.parametrize(
    ("metric", "scope", "expected"),
    [
        ("fan_out_latency_ms.max", {}, 40),
        ("fan_out_latency_ms.max", {"user_class": "subscriber"}, 20),
        ("fan_out_latency_ms.max", {"user_class": "chatter"}, 40),
        ("fan_out_latency_ms.max", {"phase": "warm_up"}, 60),
        ("joins.latency_ms.max", {}, 8),
        ("joins.latency_ms.max", {"user_class": "subscriber"}, 6),
    ],
)
def test_latencies_of_a_part_are_those_of_its_histograms(two_classes, metric, scope, expected):
    """Without a scope it is the summary's figure: measured for fan-out, all phases for joins."""
    assert expected == pytest.approx(observed(two_classes, metric, **scope), rel=1e-3)


def test_scoped_figures_of_everything_agree_with_the_summary(tmp_path):
    """The measured phase by name is the summary's own figure."""
    folder = Simulation(lost_ratio=0.02, failed_joins=3).write(tmp_path / "run")
    summary = analyse(folder).summary
    deliveries = summary["deliveries"]
    for name in ("owed", "received", "lost", "ratio"):
        assert deliveries[name] == observed(folder, f"deliveries.{name}", phase="measure")
    by_class = [
        observed(folder, "joins.attempted", user_class=one) for one in ("subscriber", "chatter")
    ]
    assert summary["joins"]["attempted"] == sum(by_class)
    stalls = [observed(folder, "stall_s.max", user_class=one) for one in ("subscriber", "chatter")]
    assert summary["stall_s"]["max"] == max(stalls)


def with_slos_of(*slos):
    """Return a ``run.json`` whose workload has these objectives."""
    run = run_file()
    run["plan"]["workload"]["slos"] = list(slos)
    return run


def test_a_workload_and_a_file_of_objectives_judge_alike(two_classes, tmp_path):
    """Every objective on every part, once as the workload's own and once afterwards."""
    parts = {metric: METRICS[metric].scope.narrowed_by for metric in SUMMARY_METRICS}
    metrics = [metric for metric, keys in parts.items() if keys and "stall" not in metric]
    slos = [
        slo(metric, phase=phase)
        for metric in metrics
        for phase in (None, "join", "settle", "warm_up", "measure", "drain")
    ]
    slos += [
        slo(metric, user_class=one)
        for metric, keys in parts.items()
        if "user_class" in keys
        for one in ("subscriber", "chatter")
    ]
    analysis = analyse(two_classes)
    run = analysis.record.run | {"plan": with_slos_of(*slos)["plan"]}
    copy = shutil.copytree(two_classes, tmp_path / "run")
    (copy / "run.json").write_bytes(orjson.dumps(run))
    own = analyse(copy).summary["slos"]
    assert judge_again(analysis, slos).summary["slos"] == own
    assert {"phase", "user_class"} <= {key for one in own for key in one}


def test_an_objective_that_one_kind_of_user_missed_fails_the_run(tmp_path):
    """Chatters waited 40 ms at most, subscribers 20 ms."""
    fan_out = [
        ("fan_out_latency.subscriber.measure", 5, histogram(10, 20)),
        ("fan_out_latency.chatter.measure", 5, histogram(30, 40)),
    ]
    objective = slo("fan_out_latency_ms.max", limit=25.0)
    run = with_slos_of(
        objective | {"user_class": "subscriber"}, objective | {"user_class": "chatter"}
    )
    summary = analyse(three_subscribers(tmp_path / "run", run=run, histograms=fan_out)).summary
    assert ("fail", 3) == (summary["verdict"], summary["exit_code"])
    assert [("subscriber", "pass"), ("chatter", "fail")] == [
        (one["user_class"], one["verdict"]) for one in summary["slos"]
    ]


def test_a_part_below_the_clocks_error_is_marked_as_the_whole_is(tmp_path):
    """20 ms, where two machines' clocks may be 50 ms apart."""
    rows = [
        worker_second(number, clock_error_ms=25.0, worker=w) for number in range(12) for w in (0, 1)
    ]
    objective = slo("fan_out_latency_ms.p50")
    folder = three_subscribers(tmp_path / "run", generator=rows)
    whole, part = judged(folder, objective, objective | {"user_class": "subscriber"})
    assert (50.0, 50.0) == (whole["clock_error_ms"], part["clock_error_ms"])


def test_no_data_fails(two_classes):
    """A phase in which nobody published has nothing to judge by."""
    (entry,) = judged(two_classes, slo("service_latency_ms.p99", phase="drain"))
    assert ("no_data", None) == (entry["verdict"], entry["observed"])
    again = judge_again(analyse(two_classes), [slo("service_latency_ms.p99", phase="drain")])
    assert ("no_data", 3) == (again.summary["verdict"], again.summary["exit_code"])


def test_other_limits_give_another_verdict(two_classes):
    """The very same record passes by one and fails by the other."""
    for limit, expected in {40.5: ("pass", 0), 39.5: ("fail", 3)}.items():
        again = judge_again(analyse(two_classes), [slo("fan_out_latency_ms.max", limit=limit)])
        assert expected == (again.summary["verdict"], again.summary["exit_code"])


def test_an_invalid_run_stays_invalid_whatever_holds(tmp_path):
    """No limit is wide enough for a measurement that cannot be trusted."""
    folder = three_subscribers(tmp_path / "run", run=run_file(ended_s=10.5))
    again = judge_again(analyse(folder), [slo("fan_out_latency_ms.max")])
    assert ("invalid", 4) == (again.summary["verdict"], again.summary["exit_code"])


def test_the_json_has_scope_and_margin(two_classes):
    """Names that a pipeline can rely on."""
    objective = slo("fan_out_latency_ms.max", limit=100, user_class="chatter")
    found = verdict_json(judge_again(analyse(two_classes), [objective]))
    names = ["version", "run_id", "workload", "target"]
    assert [*names, "verdict", "exit_code", "slos", "warnings"] == list(found)
    (entry,) = found["slos"]
    assert ("chatter", None, "pass") == (entry["user_class"], entry["phase"], entry["verdict"])
    assert 60 == pytest.approx(entry["margin"], abs=0.05)
