import json

import numpy as np
import pytest

from harness.analysis.decide.between_runs import StoredRun
from harness.analysis.decide.comparability import (
    IncomparableRunsError,
    Incompatibility,
    find_incompatibilities,
    load_of,
    refuse_unlike,
)
from harness.analysis.decide.comparison import METRICS, RATIO, compare
from harness.analysis.decide.regression import parse_gates, pass_gates
from harness.analysis.decide.run_noise import RunNoise
from harness.analysis.run.finalize import analyse
from harness.analysis.run.histograms import read_seconds
from harness.analysis.run.slo import observe
from harness.measure.record import JOURNAL_FOLDER
from harness.report import formatting as q
from harness.report.decide.compare_page import comparison_tiles, render_comparison
from harness.report.decide.compare_tables import (
    comparison_json,
    decision,
    difference_table,
    difference_text,
    noise_text,
)
from tests.support.records import run_file, three_subscribers
from tests.support.simulated_run import Simulation

P99 = "fan_out_latency_ms.p99"
REPLICATES = 400


def simulate(folder, **changes):
    """Write a simulated run that is long enough for an interval."""
    return Simulation(subscribers=18, chatters=2, measure_s=40, **changes).write(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return runs: two of one thing, one half as fast, one that loses a part."""
    folder = tmp_path_factory.mktemp("compare")
    return {
        "first": analyse(simulate(folder / "first", seed=1)),
        "again": analyse(simulate(folder / "again", seed=2)),
        "slow": analyse(simulate(folder / "slow", seed=3, median_ms=24.0)),
        "lossy": analyse(simulate(folder / "lossy", seed=4, lost_ratio=0.05)),
    }


def stored(analysis, ratio=1.02):
    """Return six earlier runs like one, each ``ratio`` from the next, up and down."""
    return [
        StoredRun(
            str(number),
            load_of(analysis.record.run),
            {
                metric: value and value * ratio ** (number % 2)
                for metric in METRICS
                for value in (observe(analysis.summary, metric),)
            },
        )
        for number in range(6)
    ]


def differences(*sides, earlier=()):
    """Compare sides with the first and return the last one's differences by metric."""
    found = compare(sides, replicates=REPLICATES, stored=earlier).differences[-1]
    return {one.metric: one for one in found}


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
    found = differences([runs["first"]], [runs["slow"]], earlier=stored(runs["first"]))
    for name in ("p50", "p99"):
        one = found[f"fan_out_latency_ms.{name}"]
        assert one.is_shown
        assert one.difference > 0
        assert one.relative.holds(2.0)


def test_without_stored_runs_twice_the_latency_of_one_run_may_be_chance(runs):
    """Two single runs of one thing may be a factor of 2.3 apart: that is assumed, and said."""
    one = differences([runs["first"]], [runs["slow"]])[P99]
    assert (False, (RunNoise(0.3),)) == (one.is_shown, one.noises)
    assert one.relative.high / one.ratio >= 2.29
    assert one.least_rise >= 1.29
    comparison = compare([[runs["first"]], [runs["slow"]]], replicates=20)
    assert "No difference shown" == decision(comparison, [])[1]
    assert "a factor of 2.30 (assumed: too few are stored)" in noise_text(comparison)


def test_a_stored_copy_of_a_compared_run_is_no_further_run(runs):
    """The runs of a baseline usually lie in the folder of stored runs, too."""
    copies = [
        one._replace(run_id=runs["first"].record.run["run_id"]) for one in stored(runs["first"])
    ]
    one = differences([runs["first"]], [runs["slow"]], earlier=copies)[P99]
    assert (RunNoise(0.3),) == one.noises


def test_another_machine_widens_the_interval(tmp_path, runs):
    """By what is assumed once more; the same differences are then less sure."""
    sides = [[runs["first"]], [runs["slow"]]]
    alike = compare(sides, replicates=20, stored=stored(runs["first"]))
    unlike = [Incompatibility("machine.cpu_model", "one in A, another in B")]
    apart = compare(sides, unlike, replicates=20, stored=stored(runs["first"]))
    (narrow, wide) = (
        next(one for one in found.differences[0] if one.metric == P99) for found in (alike, apart)
    )
    assert (True, False) == (narrow.is_shown, wide.is_shown)


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
    assert [] == find_incompatibilities([[runs["first"]], [runs["again"], runs["slow"]]])


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
        ({"workload": {"population": {"subscribers": 9}}}, "workload.population.subscribers"),
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
    assert key in {one.key for one in find_incompatibilities([[first], [other]])}


def test_targets_may_differ_between_sides_and_not_within_one(tmp_path):
    """The target is what is compared; a side is one thing."""
    first = changed(tmp_path / "first")
    other = changed(tmp_path / "other", target={"system": "polling"})
    assert [] == find_incompatibilities([[first], [other]])
    assert ["target.system"] == [
        one.key for one in find_incompatibilities([[first, other], [first]])
    ]


def test_the_error_names_key_and_values(tmp_path):
    """And says what to do."""
    pair = [[changed(tmp_path / f"{n}", workload={"seed": n})] for n in (1, 2)]
    error = IncomparableRunsError(find_incompatibilities(pair))
    assert "compare: workload.seed is 1 in A, 2 in B, runs that are compared" in str(error)
    assert "hint: --allow seed compares them all the same" in str(error)
    assert 6 == error.exit_code


@pytest.mark.parametrize(
    ("changes", "kind", "refused"),
    [
        ({"workload": {"seed": 8}}, "seed", True),
        ({"workload": {"population": {"subscribers": 9}}}, "scale", True),
        ({"workload": {"publishing": {"rate_per_s": 9}}}, "workload", True),
        ({"environment": {"versions": {"gevent": "0"}}}, "generator", True),
        ({"environment": {"cpu_model": "another"}}, "machine", False),
        ({"environment": {"kernel": "another"}}, "kernel", False),
    ],
)
def test_what_differs_has_a_kind_by_which_it_is_allowed(tmp_path, changes, kind, refused):
    """Only another machine or kernel is no reason to refuse."""
    sides = [[changed(tmp_path / "first")], [changed(tmp_path / "other", **changes)]]
    if refused:
        with pytest.raises(IncomparableRunsError):
            refuse_unlike(sides)
    assert {kind} == {one.kind for one in refuse_unlike(sides, [kind])}


def test_runs_of_a_side_may_have_different_seeds_and_sides_not(tmp_path):
    """A side of several seeds is one thing, compared with the same seeds."""
    runs = [changed(tmp_path / str(seed), workload={"seed": seed}) for seed in (1, 2, 3)]
    assert [] == find_incompatibilities([runs[:2], runs[:2]])
    (one,) = find_incompatibilities([runs[:2], runs[1:]])
    assert ("workload.seed", "1+2 in A, 2+3 in B") == one


def with_clock_error(folder, error_ms, **changes):
    """Return the analysis of a simulated run whose workers' clocks are known to ``error_ms``."""
    journal = simulate(folder, **changes) / JOURNAL_FOLDER / "generator.jsonl"
    rows = [
        json.loads(line) | {"clock_error_ms": error_ms}
        for line in journal.read_text("utf-8").splitlines()
    ]
    journal.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return analyse(folder)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """Return a comparison of medians of 12 and 24 ms, where clocks are known to 20 ms each."""
    folder = tmp_path_factory.mktemp("clocks")
    quick = with_clock_error(folder / "quick", 20.0, seed=1)
    slow = with_clock_error(folder / "slow", 20.0, seed=2, median_ms=24.0)
    return compare([[quick], [slow]], replicates=REPLICATES, stored=stored(quick))


def test_a_difference_that_the_clocks_may_have_made_is_none(apart):
    """Of the median: 12 ms, where both clocks together may be 40 ms wrong; p99 differs by more."""
    found = {one.metric: one for one in apart.differences[0]}
    p50, p99 = found["fan_out_latency_ms.p50"], found[P99]
    assert 40.0 == p50.clock_error_ms == p99.clock_error_ms
    assert p50.absolute.low > 0
    assert (True, False) == (p50.is_within_clocks, p50.is_shown)
    assert (False, True) == (p99.is_within_clocks, p99.is_shown)


def test_a_ratio_of_a_latency_below_the_clocks_error_is_unknown(apart):
    """12 ms may be anything up to 20; the p99 of both sides is longer than that."""
    found = {one.metric: one for one in apart.differences[0]}
    assert found["fan_out_latency_ms.p50"].ratio is None
    assert 2.0 == pytest.approx(found[P99].ratio, rel=0.2)


def test_latencies_on_one_clock_know_no_clock_error(apart):
    """A join begins and ends at the same worker."""
    found = {one.metric: one for one in apart.differences[0]}
    assert {0.0} == {one.clock_error_ms for one in found.values() if "fan_out" not in one.metric}


def test_pages_and_machines_get_no_latency_below_the_clocks_error(apart):
    """As in a single report: at most the error, and no ratio."""
    first, other = apart.sides
    table = difference_table(first, other, apart.differences[0])
    texts = [[cell.text.replace(q.THIN, " ") for cell in row] for row in table.rows]
    p50, p99 = (row for row in texts if row[0] in {"Fan-out latency p50", "Fan-out latency p99"})
    assert ["within the clock error", "≤ 20.0 ms"] == p50[1:3]
    assert ["≤ 40.0 ms", "–"] == p50[4:]
    assert "higher" == p99[1]
    assert "≤" not in "".join(p99)
    assert "Latencies below the clock error of the side are shown as an upper bound" in table.note
    told = difference_text(first, other, apart.differences[0]).replace(q.THIN, " ")
    assert "in B, ≤ 20.0 ms in A: within the clock error." in told
    assert "≤ 20.0 ms" == comparison_tiles(apart)[0].figures[0].text.replace(q.THIN, " ")
    assert "a clock error of up to 20.0" in render_comparison(apart, [], [])
    (entry, *_) = comparison_json(apart, [])["differences"]
    assert ("fan_out_latency_ms.p50", 40.0, None, False) == tuple(
        entry[key] for key in ("metric", "clock_error_ms", "ratio", "shown")
    )


def test_no_gate_fails_for_what_the_clocks_may_have_made(apart):
    """The median rose by far more than a tenth, as far as anybody knows."""
    rules = ["fan_out_latency_ms.p50 +10%", f"{P99} +10%"]
    assert ["pass", "fail"] == [one.verdict for one in pass_gates(apart, parse_gates(rules))]


def test_where_one_machine_makes_the_load_every_latency_is_quoted(runs):
    """There is one clock, and no word of it."""
    comparison = compare([[runs["first"]], [runs["slow"]]], replicates=REPLICATES)
    first, other = comparison.sides
    table = difference_table(first, other, comparison.differences[0])
    assert "Clocks" not in table.note
    assert "≤" not in "".join(cell.text for row in table.rows for cell in row)
    assert "with a clock error" not in render_comparison(comparison, [], [])
