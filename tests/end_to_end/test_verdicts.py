from functools import partial
from xml.etree import ElementTree as ET

from tests.support.runs import after

WORKLOAD = """
name = "judged"
[population]
subscribers = 20
chatters = 2
[joins]
rate_per_s = 50.0
[publishing]
rate_per_s = {rate_per_s}
[phases]
settle_s = 0.2
warm_up_s = 0
measure_s = 1.5
drain_s = 0.5
[[slos]]
metric = "joins.failed"
op = "=="
limit = 0
[[slos]]
metric = "fan_out_latency_ms.p50"
op = "<="
limit = 0.001
"""


def judged(launcher, rate_per_s):
    file = launcher.new_folder() / "judged.toml"
    file.write_text(WORKLOAD.format(rate_per_s=rate_per_s), encoding="utf-8")
    return launcher.run({}, workload=file).outcome()


missed = partial(judged, rate_per_s=20)
unjudged = partial(judged, rate_per_s=1e-6)


def failures(outcome):
    """Return for each case of junit.xml its kinds of failure."""
    cases = ET.parse(outcome.folder / "junit.xml").iter("testcase")  # noqa: S314 - our own
    return {case.get("name"): [failure.get("type") for failure in case] for case in cases}


@after(missed)
def test_missed_objective_fails_the_run(outcome):
    """Exit 3; the report for pipelines names the objective that was missed, and only that."""
    assert (3, [], []) == (outcome.exit_code, outcome.errors, outcome.left)
    assert "fail" == outcome.summary["verdict"]
    assert outcome.stdout.startswith("✕ Fail judged on appsync-events-emulated\n")
    assert {
        "the run is valid": [],
        "joins.failed == 0": [],
        "fan_out_latency_ms.p50 <= 0.001": ["fail"],
    } == failures(outcome)


@after(unjudged)
def test_objective_without_data_fails_the_run(outcome):
    """Exit 3: a run that measured nothing has proved nothing."""
    assert (3, [], []) == (outcome.exit_code, outcome.errors, outcome.left)
    assert "no_data" == outcome.summary["verdict"]
    assert ["no_data"] == failures(outcome)["fan_out_latency_ms.p50 <= 0.001"]
    assert [] == failures(outcome)["joins.failed == 0"]
    assert outcome.stdout.startswith("? No data judged on appsync-events-emulated\n")
