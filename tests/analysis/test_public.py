import pandas as pd
import pytest

from harness.analysis.decide.comparability import IncomparableRunsError
from harness.analysis.public import compare, judge, read_record
from harness.analysis.run.finalize import analyse
from harness.analysis.run.run_file import NoRecordError
from harness.core.errors import ScenarioError
from tests.support.simulated_run import Simulation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a small run that has a label."""
    simulation = Simulation(measure_s=20, changes={"label": "build 7", "tags": {"commit": "1a2b"}})
    return simulation.write(tmp_path_factory.mktemp("public") / "run")


def test_record_has_the_frames_and_figures_of_its_analysis(folder):
    """Nothing is worked out anew, and nothing is written."""
    before = sorted(folder.iterdir())
    record, analysis = read_record(str(folder)), analyse(folder)
    for name in ("messages", "connections", "timeline", "errors", "requests", "generator"):
        pd.testing.assert_frame_equal(getattr(analysis.record, name), getattr(record, name))
    assert analysis.summary == record.summary
    assert (analysis.summary["verdict"], analysis.summary["exit_code"]) == (
        record.verdict,
        record.exit_code,
    )
    assert analysis.record.workload == record.plan["workload"]
    assert ("build 7", {"commit": "1a2b"}, ()) == (record.label, record.tags, record.problems)
    assert f"RunRecord('{folder}', verdict='{record.verdict}')" == repr(record)
    assert before == sorted(folder.iterdir())


def test_judgement_has_a_row_for_each_of_the_runs_own_slos(folder):
    """With the margin that harness check shows."""
    record = read_record(folder)
    found = judge(record)
    assert record.verdict == found.verdict
    assert [one["metric"] for one in record.summary["slos"]] == list(found.slos["metric"])
    limited = found.slos[found.slos["op"] == "<="].iloc[0]
    assert pytest.approx(limited["limit"] - limited["observed"]) == limited["margin"]


def test_judgement_by_other_slos_leaves_the_record_as_it_is(folder):
    """Given as data, or as the name of a file."""
    record = read_record(folder)
    slo = {"metric": "fan_out_latency_ms.p99", "op": "<=", "limit": 0.001}
    found = judge(folder, [slo, slo | {"op": ">", "phase": "measure"}])
    assert ("fail", 3, ["fail", "pass"]) == (
        found.verdict,
        found.exit_code,
        list(found.slos["verdict"]),
    )
    assert [None, "measure"] == [None if pd.isna(one) else one for one in found.slos["phase"]]
    assert len(judge(record, "live-chat").slos) > 3
    assert "pass" == judge(record).verdict == record.verdict


@pytest.mark.parametrize(
    ("slo", "said"),
    [
        ({"metric": "nothing", "op": "<", "limit": 1}, "slos.0.metric must be a figure of the run"),
        ({"metric": "deliveries.lost", "op": "<"}, "slos.0.limit must be given"),
    ],
)
def test_wrong_slo_is_named_by_its_place(folder, slo, said):
    """As in a file."""
    with pytest.raises(ScenarioError, match=said):
        judge(folder, [slo])


def test_folder_without_a_record_is_refused(tmp_path):
    """In the sentence of the command line."""
    with pytest.raises(NoRecordError, match=r"holds no run\.json"):
        read_record(tmp_path)


def test_comparison_is_a_figure_a_row_with_its_intervals(folder, tmp_path):
    """Four times as slow is shown; sides may be records, folders or several of them."""
    slow = Simulation(measure_s=20, median_ms=48.0, seed=2).write(tmp_path / "slow")
    found = compare(read_record(folder), [slow, str(slow)])
    p50 = found.figures.loc["fan_out_latency_ms.p50"]
    assert pytest.approx(p50["other"] / p50["first"]) == p50["ratio"]
    assert p50["ratio_low"] <= p50["ratio"] <= p50["ratio_high"]
    assert p50["difference_low"] <= p50["difference"] <= p50["difference_high"]
    assert bool(p50["is_shown"])
    assert found.figures["ratio_low"].isna()["deliveries.lost"]
    assert ["build 7", ""] == list(found.sides["label"])
    assert [str(slow)] * 2 == found.sides.loc["B", "runs"]
    assert found.unlike.empty


def test_unlike_runs_are_refused_unless_asked_for(folder, tmp_path):
    """The keys in which they differ are then rows."""
    other = Simulation(measure_s=20, changes={"workers": [{"index": 0}] * 3}).write(tmp_path / "b")
    with pytest.raises(IncomparableRunsError):
        compare(folder, other)
    assert ["generator.workers"] == list(compare(folder, other, anyway=True).unlike["key"])
