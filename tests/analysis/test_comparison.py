"""Sides of runs beside each other: pooled figures, differences, and who may be compared."""

import numpy as np
import pytest

from harness.analysis.comparison import RATIO, compare
from harness.analysis.finalise import analyse
from harness.analysis.histograms import read_seconds
from harness.analysis.likeness import UnlikeRunsError, find_unlike
from harness.analysis.slo import observe
from tests.analysis.simulated_run import Simulation
from tests.analysis.synthetic_record import run_file, three_subscribers

P99 = "fan_out_latency_ms.p99"
REPLICATES = 400


def simulate(folder, **changes):
    """Return the analysis of a simulated run that is long enough for an interval."""
    plan = {"subscribers": 18, "chatters": 2, "measure_s": 40} | changes
    return analyse(Simulation(**plan).write(folder))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return runs: two of one thing, one half as fast, one that loses a part."""
    folder = tmp_path_factory.mktemp("compare")
    return {
        "first": simulate(folder / "first", seed=1),
        "again": simulate(folder / "again", seed=2),
        "slow": simulate(folder / "slow", seed=3, median_ms=24.0),
        "lossy": simulate(folder / "lossy", seed=4, lost_ratio=0.05),
    }


def differences(*sides):
    """Compare sides with the first and return the last one's differences by metric."""
    return {one.metric: one for one in compare(sides, replicates=REPLICATES).differences[-1]}


def test_a_record_beside_itself_shows_no_difference_in_anything(runs):
    """Difference 0, ratio 1, and every interval holds them."""
    found = differences([runs["first"]], [runs["first"]])
    assert 0.0 == found[P99].difference
    assert 1.0 == found[P99].ratio
    assert found[P99].absolute.holds(0.0)
    assert found[P99].relative.holds(1.0)
    assert [] == [metric for metric, one in found.items() if one.is_shown]


def test_twice_the_latency_is_shown_with_an_interval_around_two(runs):
    """The median doubles too."""
    found = differences([runs["first"]], [runs["slow"]])
    for name in ("p50", "p99"):
        one = found[f"fan_out_latency_ms.{name}"]
        assert one.is_shown
        assert one.difference > 0
        assert one.relative.holds(2.0)


def test_losses_are_shown_with_an_interval_around_their_share(runs):
    """One delivery in twenty is lost, and the other side loses none."""
    one = differences([runs["first"]], [runs["lossy"]])[RATIO]
    assert (1.0, True) == (one.first, one.is_shown)
    assert one.absolute.holds(-0.05)


def test_a_side_of_one_run_has_the_figures_of_its_summary(runs):
    """Percentiles are read from the same histograms, to the digit."""
    (side, _) = compare([[runs["slow"]], [runs["first"]]], replicates=20).sides
    summary = runs["slow"].summary
    wrong = {
        metric: (value, observe(summary, metric))
        for metric, value in side.figures.items()
        if value is not None and value != pytest.approx(observe(summary, metric), rel=1e-6)
    }
    assert {} == wrong


def test_runs_of_a_side_are_pooled_by_merging_their_histograms(runs):
    """The tail is the slow run's: no percentile is averaged."""
    pooled = compare([[runs["first"], runs["slow"]], [runs["first"]]], replicates=20).sides[0]
    counts = [one.summary["fan_out_latency_ms"]["count"] for one in pooled.runs]
    assert sum(counts) == pooled.latencies.count
    of_both = pooled.latencies.percentiles_ms()["p99"]
    assert of_both == pytest.approx(pooled.figures[P99])
    assert of_both > np.mean([one.summary["fan_out_latency_ms"]["p99"] for one in pooled.runs])


def test_the_same_records_always_give_the_same_intervals(runs):
    """Chance has a fixed seed, so a page can be made again."""
    again = [differences([runs["first"]], [runs["slow"]])[P99] for _ in range(2)]
    assert again[0] == again[1]


def test_seconds_add_up_to_the_whole(runs):
    """What is read second by second is what is merged for the summary."""
    log = runs["first"].record.folder / "histograms.hlog"
    by_second = read_seconds(log, "fan_out_latency", "measure")
    whole = runs["first"].summary["fan_out_latency_ms"]["count"]
    assert whole == sum(int(counts.sum()) for counts in by_second.values())
    assert len(by_second) >= 38


def test_a_run_without_deliveries_has_no_figures_and_no_interval(tmp_path, runs):
    """Nothing is made up."""
    empty = analyse(three_subscribers(tmp_path / "run", histograms=[]))
    one = differences([runs["first"]], [empty])[P99]
    assert (None, None, None, False) == (one.other, one.difference, one.absolute, one.is_shown)


def test_runs_of_one_plan_are_alike(runs):
    """Nothing but chance differs."""
    assert [] == find_unlike([[runs["first"]], [runs["again"], runs["slow"]]])


def changed(folder, **changes):
    """Return the analysis of a small record with changes to ``run.json``'s plan or environment."""
    run = run_file()
    run["plan"]["workload"] |= changes.get("workload", {})
    run["plan"]["target"] |= changes.get("target", {})
    run.setdefault("environment", {}).update(changes.get("environment", {}))
    run |= changes.get("run", {})
    return analyse(three_subscribers(folder, run=run))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"workload": {"seed": 8}}, "workload.seed"),
        ({"workload": {"publishing": {"rate_per_s": 9}}}, "workload.publishing.rate_per_s"),
        ({"environment": {"cpus": 64}}, "machine.cpus"),
        ({"environment": {"versions": {"gevent": "0"}}}, "generator.versions.gevent"),
        ({"run": {"workers": [{"index": n} for n in range(9)]}}, "generator.workers"),
        ({"run": {"ended_s": 10.5}}, "verdict"),
    ],
)
def test_unlike_runs_are_told_by_key(tmp_path, changes, key):
    """Load, generator and machine must be the same, and the runs valid."""
    first, other = changed(tmp_path / "first"), changed(tmp_path / "other", **changes)
    assert key in {one.key for one in find_unlike([[first], [other]])}


def test_targets_may_differ_between_sides_and_not_within_one(tmp_path):
    """The target is what is compared; a side is one thing."""
    first = changed(tmp_path / "first")
    other = changed(tmp_path / "other", target={"system": "polling"})
    assert [] == find_unlike([[first], [other]])
    assert ["target.system"] == [one.key for one in find_unlike([[first, other], [first]])]


def test_the_error_names_key_and_values(tmp_path):
    """And says what to do."""
    pair = [[changed(tmp_path / f"{n}", workload={"seed": n})] for n in (1, 2)]
    error = UnlikeRunsError(find_unlike(pair))
    assert "compare: workload.seed is 1 in A, 2 in B, runs that are compared" in str(error)
    assert "hint: --anyway" in str(error)
    assert 2 == error.exit_code
