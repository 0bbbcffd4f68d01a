"""Names of metrics for people."""

import pytest

from harness.report.definitions import label
from harness.scenario.slo import SUMMARY_METRICS


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("fan_out_latency_ms.p999", "fan-out latency p99.9"),
        ("deliveries.ratio", "delivery ratio"),
        ("joins.failed", "failed joins"),
        ("stall_s.max", "stall max"),
        ("stall_s.over_60s_ratio", "subscribers stalled over 60 s"),
        ("recovery_s.max", "longest recovery time"),
        ("population.pollers_peak", "users polling at the peak"),
    ],
)
def test_a_metric_has_a_name_for_people(metric, expected):
    """Dotted paths are for machines."""
    assert expected == label(metric)


@pytest.mark.parametrize("metric", SUMMARY_METRICS)
def test_no_name_for_people_has_an_underscore(metric):
    """Whatever an objective may name can be read aloud."""
    assert "_" not in label(metric)
