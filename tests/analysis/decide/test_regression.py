import pytest

from harness.analysis.decide.bootstrap import Interval
from harness.analysis.decide.comparison import METRICS, Comparison, Difference, Side
from harness.analysis.decide.regression import parse_gates, pass_gates
from harness.core.errors import ScenarioError
from harness.measure.histogram import LatencyHistogram

P99 = "fan_out_latency_ms.p99"


def verdict(rule, seen):
    """Return the verdict of a gate on one difference."""
    sides = [Side(name, (), {}, {}, {}, LatencyHistogram()) for name in "AB"]
    found = [Difference(metric, 1.0, 1.0) for metric in METRICS if metric != seen.metric]
    (passage,) = pass_gates(Comparison(sides, [[*found, seen]], ()), parse_gates([rule]))
    return passage.verdict


@pytest.mark.parametrize(
    ("rule", "first", "other", "interval", "expected"),
    [
        ("+10%", 100.0, 112.0, Interval(5.0, 20.0), "fail"),
        ("+10%", 100.0, 112.0, Interval(-5.0, 30.0), "pass"),
        ("+10%", 100.0, 109.0, Interval(5.0, 13.0), "pass"),
        ("+10%", 100.0, 50.0, Interval(-60.0, -40.0), "pass"),
        ("-10%", 100.0, 50.0, Interval(-60.0, -40.0), "fail"),
        ("+10%", 100.0, 112.0, None, "fail"),
        ("+0%", 0.0, 1.0, None, "fail"),
        ("+10% and +5 ms", 100.0, 112.0, None, "fail"),
        ("+10% and +15 ms", 100.0, 112.0, None, "pass"),
        ("+20% and +5 ms", 100.0, 112.0, None, "pass"),
        ("+5 ms", 100.0, 112.0, None, "fail"),
        ("-5ms and -1%", 100.0, 90.0, None, "fail"),
        ("-0", 1.0, 0.9, None, "fail"),
        ("-0%", 1.0, 1.1, None, "pass"),
        ("+0", 0.0, 0.0, None, "pass"),
        ("+0", 0.0, 1.0, None, "fail"),
        ("+10%", None, 112.0, None, "no_data"),
        ("+10%", 100.0, None, None, "no_data"),
    ],
)
def test_a_gate_fails_beyond_its_change_where_a_difference_is_shown(
    rule, first, other, interval, expected
):
    """Without an interval the figures alone decide; without data nothing passes."""
    assert expected == verdict(f"{P99} {rule}", Difference(P99, first, other, interval, None))


@pytest.mark.parametrize(
    "rule",
    [
        *("fan_out_latency_ms.p99", f"{P99} 10%", f"{P99} +x%", ""),
        *(
            f"{P99} +5 s",
            f"{P99} +5% and",
            f"{P99} +5% and +6%",
            f"{P99} +1 ms or +5%",
            f"{P99} +5% and -1 ms",
        ),
    ],
)
def test_a_rule_that_cannot_be_read_is_an_error_with_an_example(rule):
    """A gate that does nothing would pass for ever."""
    with pytest.raises(ScenarioError, match=r"--fail-if .fan_out_latency_ms\.p99 \+10%"):
        parse_gates([rule])


def test_a_figure_that_is_not_compared_is_refused():
    """With those that are."""
    with pytest.raises(ScenarioError, match="must name a figure that is compared"):
        parse_gates(["generator.workers +10%"])


def test_rules_are_printed_as_they_are_written():
    """In a pipeline's log."""
    rules = [f" {P99}  +10.0 % ", f"{P99} +5 ms and +10%", "deliveries.lost +0"]
    assert [f"{P99} +10%", f"{P99} +10% and +5 ms", "deliveries.lost +0"] == [
        str(gate) for gate in parse_gates(rules)
    ]
