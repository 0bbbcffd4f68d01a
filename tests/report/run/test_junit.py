from xml.etree import ElementTree as ET

from harness.analysis.run.finalize import analyse
from harness.report.run.ci import render_junit
from tests.support.records import run_file, three_subscribers, write_record
from tests.support.simulated_run import SLOS, Simulation


def suite_of(folder):
    """Return the test suite of a record's report."""
    (suite,) = ET.fromstring(render_junit(analyse(folder)))  # noqa: S314 - our own document
    return suite


def test_a_clean_run_has_one_passing_case_for_each_objective_and_one_for_validity(tmp_path):
    """Nothing failed, nothing is in error."""
    suite = suite_of(Simulation().write(tmp_path / "run"))
    assert (str(len(SLOS) + 1), "0", "0") == tuple(
        suite.get(name) for name in ("tests", "failures", "errors")
    )
    assert [] == [case for case in suite if len(case)]


def test_a_missed_objective_is_a_failure_with_its_figures(tmp_path):
    """Whoever reads the pipeline's page sees by how much."""
    suite = suite_of(three_subscribers(tmp_path / "run"))
    failure = suite.find("testcase[@classname='objectives']/failure")
    assert failure is not None
    assert "fail" == failure.get("type")
    assert "80" in failure.get("message")


def test_objectives_on_parts_are_cases_of_their_own(tmp_path):
    """The same limit for the whole run and for a phase in which nothing was owed."""
    run = run_file()
    (whole,) = run["plan"]["workload"]["slos"]
    run["plan"]["workload"]["slos"] = [whole, whole | {"phase": "warm_up"}]
    cases = suite_of(three_subscribers(tmp_path / "run", run=run)).findall("testcase")
    assert ["deliveries.ratio >= 1", "deliveries.ratio >= 1 (warm-up)"] == [
        case.get("name") for case in cases[1:]
    ]
    assert ["fail", "no_data"] == [case[0].get("type") for case in cases[1:]]


def test_an_objective_without_data_is_a_failure(tmp_path):
    """No data is no pass."""
    suite = suite_of(write_record(tmp_path / "run"))
    assert "no_data" == suite.find("testcase[@classname='objectives']/failure").get("type")


def test_an_invalid_run_is_an_error_of_the_case_on_validity(tmp_path):
    """The objectives may hold, the measurement does not."""
    suite = suite_of(three_subscribers(tmp_path / "run", run=run_file(ended_s=10.5)))
    error = suite.find("testcase[@classname='validity']/error")
    assert error is not None
    assert "run_cut_short" in error.text


def test_a_run_that_an_objective_stopped_is_valid_and_failed(tmp_path):
    """The case that failed is one of the objectives."""
    cause = {"code": "slo_failed", "exit_code": 3, "message": "stopped by an objective"}
    changes = {"status": "aborted", "cause": cause, "ended_s": 9.0}
    suite = suite_of(Simulation(changes=changes).write(tmp_path / "run"))
    failure = suite.find("testcase[@name='no objective stops the run']/failure")
    assert "stopped by an objective" == failure.get("message")
    assert None is suite.find("testcase/error")


def test_characters_that_xml_cannot_hold_are_replaced(tmp_path):
    """A service's error text may hold anything."""
    cause = {"code": "nobody_joined", "exit_code": 5, "message": "bad \x00\x1b key"}
    suite = suite_of(write_record(tmp_path / "run", run=run_file(status="aborted", cause=cause)))
    error = suite.find("testcase[@classname='validity']/error")
    assert "bad \ufffd\ufffd key" == error.get("message")


def test_label_and_tags_are_properties_ahead_of_the_cases(tmp_path):
    """A run that has none has no properties at all."""
    changes = {"label": "build 7", "tags": {"commit": "1a2b"}}
    suite = suite_of(Simulation(changes=changes).write(tmp_path / "run"))
    assert ("properties", [("label", "build 7"), ("tag.commit", "1a2b")]) == (
        suite[0].tag,
        [(one.get("name"), one.get("value")) for one in suite[0]],
    )
    assert None is suite_of(Simulation().write(tmp_path / "other")).find("properties")
