import re

import pytest

from harness.core.exit_codes import ExitCode
from harness.load.master.abort_reason import failed_slo
from harness.scenario.slo import RunSlo
from tests.live.conftest import arrivals, at_ns, latencies, live_run, play, publish, report
from tests.support.plans import make_plan, revised

MEASURE_S = 13
"""When a run of ``make_plan`` begins to measure, for 20 s."""


def slo(metric, op, limit, **changes):
    return RunSlo(metric=metric, op=op, limit=limit, abort=True, **changes)


@pytest.fixture(name="reason_after")
def _reason_after(tmp_path_factory):
    """Return a function that plays reports to a run with objectives, and returns its reason."""

    def reason_after(reports, *slos):
        run = live_run(revised(make_plan(), slos=slos))
        return failed_slo(play(run, tmp_path_factory.mktemp("played") / "run", reports))

    return reason_after


def slow(second):
    return report(second, stats=latencies([0.7, 0.8]))


def test_latency_beyond_its_limit_stops_the_run_with_figure_limit_and_second(reason_after):
    """In one sentence, and as a failed objective."""
    reason = reason_after([slow(24)], slo("fan_out_latency_ms.p99", "<=", 500.0))
    assert ("slo_failed", ExitCode.SLO_FAILED) == (reason.code, reason.exit_code)
    assert re.fullmatch(
        r"stopped by an objective at second 25 of 35 "
        r"\(fan-out latency p99: 800\.\d+ ms, where at most 500 ms is required\)",
        reason.message,
    )


@pytest.mark.parametrize(
    ("second", "after_s", "stops"),
    [
        *((MEASURE_S + 9, 10.0, True), (MEASURE_S + 8, 10.0, False)),
        *((MEASURE_S, 0.0, True), (MEASURE_S - 2, 0.0, False)),
        *((MEASURE_S + 19, 10.0, True), (MEASURE_S + 20, 10.0, False)),
    ],
)
def test_run_is_stopped_only_while_measuring_and_after_the_grace_time(
    reason_after, second, after_s, stops
):
    """The first seconds may be slow, and the end is near in the drain."""
    objective = slo("fan_out_latency_ms.p99", "<=", 500.0, abort_after_s=after_s)
    assert stops == (reason_after([slow(second)], objective) is not None)


def test_objective_without_abort_stops_nothing(reason_after):
    """It is judged at the end."""
    objective = RunSlo(metric="fan_out_latency_ms.p99", op="<=", limit=500.0)
    assert reason_after([slow(24)], objective) is None


def test_figure_without_data_stops_nothing(reason_after):
    """Nothing was published yet."""
    objectives = [slo("deliveries.ratio", ">=", 1.0), slo("publishes.latency_ms.p50", "<=", 1.0)]
    assert reason_after([report(24)], *objectives) is None


def test_failed_joins_of_the_whole_run_count(reason_after):
    """Joins end before measuring begins."""
    failing = latencies([])
    failing.count("subscriber", "joins_failed", 2)
    reports = [report(3, stats=failing), report(24)]
    reason = reason_after(reports, slo("joins.failed", "<=", 1))
    assert "failed joins: 2, where at most 1 is required" in reason.message
    assert reason_after(reports, slo("joins.failed", "<=", 2)) is None


def test_lost_deliveries_stop_a_run_once_they_had_time_to_arrive(reason_after):
    """Eight seconds after the message, by its ratio as well as by its count."""
    windows = {"/default/room-0": ([at_ns(0)] * 4, [])}
    sent = report(14, windows=windows, publishes=[publish(0, 14.5)])
    arrived = report(15, arrivals=[arrivals(0, 3)])
    ratio, lost = slo("deliveries.ratio", ">=", 0.99), slo("deliveries.lost", "==", 0)
    early = slo("deliveries.ratio", ">=", 0.99, abort_after_s=0.0)
    assert reason_after([sent, arrived], early) is None
    late = [sent, arrived, report(24)]
    assert "ratio: 75 %, where at least 99 % is required" in reason_after(late, ratio).message
    assert "lost deliveries: 1, where exactly 0 is required" in reason_after(late, lost).message


def test_refused_publishes_of_the_measured_time_count(reason_after):
    """Those before it do not."""
    refused = [publish(0, 12.0, outcome="refused", phase="warm_up")]
    refused.append(publish(1, 14.0, outcome="refused"))
    objective = slo("publishes.failed", "<=", 0)
    assert (
        "failed publishes: 1, where"
        in reason_after([report(24, publishes=refused)], objective).message
    )
    assert reason_after([report(24, publishes=refused[:1])], objective) is None


def test_run_without_a_live_account_is_not_judged():
    """No objective of it asks for that."""
    assert failed_slo(None) is None
