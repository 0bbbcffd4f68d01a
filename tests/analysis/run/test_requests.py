import json

import pytest

from harness.analysis.run.finalize import finalize
from harness.analysis.run.record import read_record
from harness.analysis.run.slo import judge
from harness.core.metric_types import STATISTICS
from harness.core.metrics import path_of, title_of
from harness.measure.record import request_tag
from harness.report.glossary import anchor
from harness.report.markdown import render_markdown
from harness.report.run.ci import render_junit
from harness.report.run.requests import requests as requests_table
from tests.support.records import histogram, run_file, three_subscribers

V1, ROOT = "GET /v1.2/x", "GET /"
USERS = {"subscriber": 3, "chatter": 0, "Browser": 2}


def row(second, name, count, failures=0, phase="measure"):
    latency = {f"latency_ms_{key}": 1.0 for key in STATISTICS}
    counts = {"count": count, "failures": failures, "bytes": 10 * count}
    return {"second": second, "phase": phase, "name": name, **counts, **latency}


@pytest.fixture(name="folder")
def _folder(tmp_path):
    def tag(name, phase="measure"):
        return f"request_latency.{request_tag(name)}.{phase}"

    return three_subscribers(
        tmp_path / "run",
        run=run_file(users={"planned": USERS, "tried": USERS}),
        requests=[row(5, ROOT, 3, 1), row(6, ROOT, 1), row(6, V1, 2), row(1, V1, 9, phase="join")],
        histograms=[
            (tag(ROOT), 5, histogram(2, 4, 8)),
            (tag(ROOT), 6, histogram(100)),
            (tag(V1), 6, histogram(6, 10)),
            (tag(V1, "join"), 1, histogram(*[900] * 9)),
        ],
    )


def test_figures_are_those_of_the_measured_time_by_name_and_together(folder):
    """Histograms merge over seconds and names; nothing is averaged."""
    found = finalize(folder).summary["requests"]
    root = found[ROOT]
    assert (4, 1, 0.25, 40) == tuple(
        root[key] for key in ("count", "failures", "failure_ratio", "bytes")
    )
    assert round(4 / 6, 3) == root["per_s"]
    assert (4.0, 100.0) == pytest.approx(
        (root["latency_ms"]["p50"], root["latency_ms"]["max"]), rel=1e-3
    )
    together = found["Aggregated"]
    assert (6, 6) == (together["count"], together["latency_ms"]["count"])
    assert 6.0 == pytest.approx(together["latency_ms"]["p50"], rel=1e-3)


def failed_warnings(folder, metric):
    """Return what is said of failed requests where one metric is judged."""
    run = json.loads((folder / "run.json").read_text())
    run["plan"]["workload"]["slos"] = [{"metric": metric, "op": "<=", "limit": 1.0}]
    (folder / "run.json").write_text(json.dumps(run))
    warnings = finalize(folder).summary["warnings"]
    return [one["observed"] for one in warnings if one["code"] == "requests_failed"]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("deliveries.ratio", ["1 of 6 ordinary requests failed, and no SLO judges them"]),
        (
            "requests.GET /.latency_ms.p99",
            ["1 of 6 ordinary requests failed, and no SLO judges them"],
        ),
        ("requests.Aggregated.failure_ratio", []),
    ],
)
def test_failed_requests_that_no_slo_judges_are_a_warning(folder, metric, said):
    """A run must not pass in silence over them."""
    assert said == failed_warnings(folder, metric)


def test_record_reads_the_same_from_parquet(folder):
    """What was a journal is a table afterwards."""
    before = finalize(folder).summary["requests"]
    assert before == finalize(folder).summary["requests"]
    assert 4 == len(read_record(folder).requests)


@pytest.mark.parametrize(
    ("metric", "path"),
    [
        ("requests.GET /v1.2/x.latency_ms.p99", ("requests", V1, "latency_ms", "p99")),
        ("requests.GET /.failure_ratio", ("requests", ROOT, "failure_ratio")),
        ("requests.Aggregated.per_s", ("requests", "Aggregated", "per_s")),
        ("deliveries.ratio", ("deliveries", "ratio")),
    ],
)
def test_name_of_a_request_may_have_dots(metric, path):
    """A metric's figure is what it ends with."""
    assert path == path_of(metric)


def test_objective_on_a_request_is_judged_and_one_nobody_made_has_no_data(folder):
    """What was not measured never passes."""
    summary = finalize(folder).summary
    slo = {"metric": "requests.GET /v1.2/x.latency_ms.p99", "op": "<=", "limit": 50.0}
    assert "pass" == judge(slo, summary)["verdict"]
    missing = slo | {"metric": "requests.GET /gone.latency_ms.p99"}
    assert "no_data" == judge(missing, summary)["verdict"]


def test_report_names_requests_as_locust_does(folder):
    """In the table, and in an objective's name."""
    run = run_file(users={"planned": USERS, "tried": USERS})
    run["plan"]["workload"]["slos"] = [
        {"metric": "requests.GET /.failure_ratio", "op": "<=", "limit": 0.5}
    ]
    (folder / "run.json").unlink()
    three_subscribers(folder.with_name("other"), run=run, requests=[row(5, ROOT, 4, 1)])
    analysis = finalize(folder.with_name("other"))
    assert [ROOT, "All requests"] == [cells[0].text for cells in requests_table(analysis).rows]
    assert "GET / failure ratio" == title_of("requests.GET /.failure_ratio")
    assert "GET / latency p99" == title_of("requests.GET /.latency_ms.p99")
    assert "define-requests" == anchor("requests.GET /.latency_ms.p99")
    assert b"requests.GET /.failure_ratio" in render_junit(analysis)
    assert "| GET / | 4 | 1 | 25" in render_markdown(analysis)


def test_run_without_ordinary_users_has_no_figures_of_requests(tmp_path):
    """Neither a row of zeros nor an empty table."""
    analysis = finalize(three_subscribers(tmp_path / "run"))
    assert ({}, []) == (analysis.summary["requests"], requests_table(analysis).rows)


def test_record_of_a_version_without_requests_is_whole(tmp_path):
    """An old record must not count as damaged."""
    folder = three_subscribers(tmp_path / "run")
    finalize(folder)
    (folder / "requests.parquet").unlink()
    assert () == read_record(folder).problems


def test_table_of_requests_that_is_gone_is_damage(folder):
    """A run that says it had such users has a table of what they did."""
    finalize(folder)
    (folder / "requests.parquet").unlink()
    assert "requests.parquet is missing" in read_record(folder).problems
