import pytest

from harness.analysis.run.finalize import analyse
from harness.analysis.run.slo import observe
from harness.core.metrics import LATENCIES, SUMMARY_METRICS
from harness.measure.record_schema import IRREGULAR_COUNTS
from tests.support.records import (
    arrival,
    connection,
    disturbance,
    histogram,
    publish,
    run_file,
    second,
    three_subscribers,
    worker_second,
    write_record,
)
from tests.support.simulated_run import Simulation


def test_every_name_that_an_objective_may_use_is_in_the_summary(tmp_path):
    """The scenario files and the summary agree on the names, so none is always without data."""
    disturbed = [disturbance("a burst", "burst", 6.0, 7.0)]
    summary = analyse(Simulation(disturbances=disturbed).write(tmp_path / "run")).summary
    missing = [name for name in SUMMARY_METRICS if observe(summary, name) is None]
    assert ["generator.clock_error_ms"] == missing


def test_every_figure_of_the_summary_is_in_the_catalogue(tmp_path):
    """A figure that nobody explained could not be named, printed or compared."""
    summary = analyse(Simulation().write(tmp_path / "run")).summary
    unnamed = {"exit_code", "cost.operations", "joins.failed_by_cause", "generator.valid"}
    paths = {path.removesuffix(".count") for path in numbers(summary)}
    known = {*SUMMARY_METRICS, *LATENCIES, *unnamed}
    assert [] == [path for path in paths if not {path, path.rpartition(".")[0]} & known]


def numbers(block, path=""):
    """Yield the dotted path of every number below a block of the summary."""
    for key, value in block.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{path}{key}.")
        elif isinstance(value, int | float):
            yield f"{path}{key}"


def test_a_hand_made_run_has_its_known_figures(tmp_path):
    """Five deliveries were owed, four arrived, one is lost."""
    summary = analyse(three_subscribers(tmp_path / "run")).summary
    none = {"duplicated", "reordered", "late", "unexpected", "missed_before_measuring"}
    none |= {"missed_while_away", *IRREGULAR_COUNTS}
    expected = {"owed": 5, "received": 4, "lost": 1, "ratio": 0.8, "per_s_peak": 2}
    expected |= {"per_s_mean": 0.667} | dict.fromkeys(none, 0)
    assert expected == summary["deliveries"]
    assert {"attempted": 3, "succeeded": 3, "failed": 0, "per_s_peak": 2} == {
        key: summary["joins"][key] for key in ("attempted", "succeeded", "failed", "per_s_peak")
    }
    assert 3 == summary["population"]["subscribers_peak"]
    assert 2 == summary["population"]["unique_chatters_sent"]


def test_percentiles_come_from_merged_histograms(tmp_path):
    """Of 10, 20, 30 and 40 ms the median is 20 and the highest 40."""
    block = analyse(three_subscribers(tmp_path / "run")).summary["fan_out_latency_ms"]
    assert 4 == block["count"]
    assert [20, 40] == pytest.approx([block["p50"], block["max"]], rel=0.001)


def test_completion_is_timed_only_for_messages_that_reached_everyone(tmp_path):
    """Message 0 reached its last subscriber after 20 ms; message 1 never was complete."""
    block = analyse(three_subscribers(tmp_path / "run")).summary["completion_latency_ms"]
    assert 1 == block["count"]
    assert 20 == pytest.approx(block["max"], rel=0.001)


def test_the_longest_stall_is_the_silence_of_the_subscriber_that_lost_its_message(tmp_path):
    """Silent from 7 s to its end at 12 s."""
    stall = analyse(three_subscribers(tmp_path / "run")).summary["stall_s"]
    assert 5 == pytest.approx(stall["max"], rel=0.001)
    assert 0.05 == pytest.approx(stall["p50"], rel=0.001)


def test_stalls_past_each_limit_are_shares_of_the_subscribers(tmp_path):
    """Of 1, 2, 11 and 130 s three passed 1 s, two passed 10 s, one passed one minute and two."""
    folder = three_subscribers(
        tmp_path / "run",
        connections=[
            connection(user, 1.0, delivered=2, last_s=7.04, longest_stall_s=stall_s)
            for user, stall_s in enumerate((1.0, 2.0, 11.0, 130.0))
        ],
    )
    stall = analyse(folder).summary["stall_s"]
    assert [0.75, 0.5, 0.25, 0.25] == [stall[f"over_{n}s_ratio"] for n in (1, 10, 60, 120)]


def test_what_was_missed_before_measuring_is_counted_apart(tmp_path):
    """One of two never got the warm-up's message; nothing that is measured is lost."""
    folder = write_record(
        tmp_path / "run",
        timeline=[second(0, phase="join", joins_succeeded=2, connected=2)],
        publishes=[publish(0, 3.2, phase="warm_up"), publish(1, 5.0)],
        arrivals=[arrival(0, 1, 3.21, 3.21), arrival(1, 2, 5.01, 5.01)],
        connections=[
            connection(0, 1.0, delivered=2, last_s=5.01),
            connection(1, 1.0, delivered=1, last_s=5.01),
        ],
    )
    deliveries = analyse(folder).summary["deliveries"]
    assert (0, 1) == (deliveries["lost"], deliveries["missed_before_measuring"])


def test_only_messages_meant_for_the_measured_time_count(tmp_path):
    """A message of the warm-up is owed, but not in the summary."""
    summary = analyse(
        write_record(
            tmp_path / "run",
            timeline=[second(3, phase="warm_up", joins_succeeded=1, connected=1)],
            publishes=[publish(0, 3.5, phase="warm_up"), publish(1, 5.0)],
            arrivals=[arrival(0, 1, 3.51, 3.51), arrival(1, 1, 5.01, 5.01)],
            connections=[connection(0, 1.0, delivered=2, last_s=5.01)],
            histograms=[
                ("fan_out_latency.subscriber.warm_up", 3, histogram(900)),
                ("fan_out_latency.subscriber.measure", 5, histogram(10)),
            ],
        )
    ).summary
    assert 1 == summary["publishes"]["offered"]
    assert 1 == summary["deliveries"]["owed"]
    assert 1 == summary["fan_out_latency_ms"]["count"]


def test_every_outcome_of_a_publish_is_counted_once(tmp_path):
    """Offered is sent plus not sent; sent is acknowledged plus failed plus throttled."""
    outcomes = ("acknowledged", "refused", "unanswered", "throttled", "not_sent")
    publishes = [publish(n, 5.0 + n / 10, outcome=name) for n, name in enumerate(outcomes)]
    summary = analyse(write_record(tmp_path / "run", publishes=publishes)).summary
    counts = {"offered": 5, "sent": 4, "acknowledged": 1, "failed": 2, "throttled": 1}
    assert counts == {key: summary["publishes"][key] for key in counts}


def test_generator_memory_adds_up_over_workers_and_cpu_is_that_of_the_busiest(tmp_path):
    """Two workers share the memory of the host but not a core."""
    rows = [
        worker_second(number, worker=worker, cpu_ratio=cpu, rss_bytes=100)
        for number in range(4, 10)
        for worker, cpu in ((0, 0.2), (1, 0.6))
    ]
    seconds = [second(number) for number in range(4, 10)]
    folder = write_record(tmp_path / "run", generator=rows, timeline=seconds)
    generator = analyse(folder).summary["generator"]
    assert (200, 0.6) == (generator["rss_bytes_peak"], generator["cpu_ratio_peak"])


def test_a_simulated_run_is_reported_to_the_last_delivery(tmp_path):
    """What the simulation drew is what the summary says, losses included."""
    plan = Simulation(lost_ratio=0.02)
    messages = analyse(plan.write(tmp_path / "run")).record.messages
    assert plan.owed == messages["owed"].sum()
    assert plan.delivered == messages["delivered"].sum()
    assert plan.owed - plan.delivered == messages["lost"].sum() > 0


@pytest.mark.parametrize(
    ("system", "listens", "pollers"),
    [("polling", True, 5), ("polling", False, 3), ("hybrid", True, 3), ("appsync-events", True, 0)],
)
def test_pollers_are_those_of_the_system_who_listen_by_polling(tmp_path, system, listens, pollers):
    """All listeners of polling, viewers alone of the hybrid, and nobody elsewhere."""
    run = run_file()
    run["plan"]["target"]["system"] = system
    run["plan"]["workload"]["population"]["chatters_subscribe"] = listens
    seconds = [second(5, connected=3), second(5, user_class="chatter", connected=2)]
    summary = analyse(write_record(tmp_path / "run", run=run, timeline=seconds)).summary
    assert pollers == summary["population"]["pollers_peak"]
