"""Judging a finished run by other objectives, worked out by hand."""

import shutil

import orjson
import pytest

from harness.analysis.run.finalize import analyse, judge_again, verdict_json
from harness.core.metrics import METRICS, SUMMARY_METRICS
from tests.support.records import histogram, run_file, three_subscribers, worker_second
from tests.support.simulated_run import Simulation


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


def with_slos(*slos):
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
    run = analysis.record.run | {"plan": with_slos(*slos)["plan"]}
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
    run = with_slos(objective | {"user_class": "subscriber"}, objective | {"user_class": "chatter"})
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
    limits = {40.5: ("pass", 0), 39.5: ("fail", 3)}
    for limit, expected in limits.items():
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
