"""The metric catalogue."""

import pytest

from harness.core.metrics import (
    CATALOGUE,
    METRICS,
    SUMMARY_METRICS,
    find_metric,
    more_is_better,
    title_of,
    unit_of,
)


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
    assert expected == title_of(metric)


@pytest.mark.parametrize("metric", SUMMARY_METRICS)
def test_no_name_for_people_has_an_underscore(metric):
    """Whatever an objective may name can be read aloud."""
    assert "_" not in title_of(metric)


def test_every_figure_and_every_term_stands_once():
    """A second entry would contradict the first sooner or later."""
    names = [metric.name for term in CATALOGUE for metric in term.metrics]
    assert len(names) == len(set(names))
    assert len(CATALOGUE) == len({term.key for term in CATALOGUE})


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_figure_says_how_it_is_computed_in_the_unit_of_its_name(metric):
    """Names carry units, which people rely on in SLO files."""
    assert metric.formula
    assert ("ratio" in metric.name.rpartition(".")[2]) == ("ratio" == metric.unit)
    assert ("_ms" in metric.name) == ("ms" == metric.unit)
    assert ("per_s" in metric.name) == ("1/s" == metric.unit)


def test_a_figure_of_requests_is_found_under_any_name_of_a_request():
    """The name may have dots; which there will be, no scenario knows."""
    found = find_metric("requests.GET /v1.2/x.latency_ms.p99")
    assert ("GET /v1.2/x latency p99", "ms") == (found.title, found.unit)
    assert "Aggregated requests" == title_of("requests.Aggregated.count")


def test_a_figure_of_another_version_is_a_count_without_a_direction():
    """Records name figures that this version may not know."""
    name = "deliveries.of_another_version"
    assert (None, "") == (find_metric(name), unit_of(name))
    assert "deliveries of another version" == title_of(name)
    assert not more_is_better(name)
