"""Records in every state a run can leave, judged and completed on disk."""

import json

import pytest

from harness.analysis.run.finalize import analyse, finalize
from harness.analysis.run.record import NoRecordError
from harness.core.errors import MachineError
from tests.support.records import (
    arrival,
    at,
    connection,
    publish,
    run_file,
    second,
    three_subscribers,
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
    summary = finalize(three_subscribers(tmp_path / "run", run=run)).summary
    assert ("no_data", 3) == outcome(summary)


def test_a_saturated_generator_makes_the_run_invalid_even_when_objectives_fail(tmp_path):
    """Invalid beats fail: exit 4, with the figure, its limit and a hint."""
    from tests.support.records import histogram

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


def test_a_run_that_nobody_joined_exits_5(tmp_path):
    """The target let nobody in: nothing was measured, and the generator is not to blame."""
    cause = {
        "code": "nobody_joined",
        "exit_code": 5,
        "message": "nobody joined: 9 users met UnauthorizedException",
        "hint": None,
    }
    run = run_file(status="aborted", cause=cause, ended_s=3.0)
    folder = write_record(
        tmp_path / "run",
        run=run,
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


def test_a_drain_that_was_cut_short_makes_the_run_invalid(tmp_path):
    """Messages still on their way would count as lost."""
    run = run_file(ended_s=10.5)
    summary = finalize(three_subscribers(tmp_path / "run", run=run)).summary
    assert "run_cut_short" in codes(summary)
    assert "invalid" == summary["verdict"]


def test_ledgers_that_disagree_make_the_run_invalid(tmp_path):
    """A subscriber counted a delivery that no message knows of."""
    rows = [connection(0, 1.0, delivered=3, last_s=7.0), connection(1, 1.0, delivered=2)]
    folder = three_subscribers(tmp_path / "run", connections=[*rows, connection(2, 6.0)])
    summary = finalize(folder).summary
    assert "ledger_disagrees" in codes(summary)
    assert "invalid" == summary["verdict"]


def test_latencies_below_zero_make_the_run_invalid(tmp_path):
    """A message cannot arrive before it was sent: the clocks are unsound."""
    folder = three_subscribers(
        tmp_path / "run", timeline=[second(5, negative_count=2, out_of_range_count=1)]
    )
    summary = finalize(folder).summary
    assert {"clock_unsound", "latency_out_of_range"} <= set(codes(summary))
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
