import pytest
from pydantic import ValidationError

from harness.core.metrics import METRICS, SUMMARY_METRICS
from harness.scenario.slo import Slo


@pytest.mark.parametrize(
    "metric",
    [
        *("fan_out_latency_ms.p99", "deliveries.ratio", "joins.latency_ms.p999"),
        *("stall_s.max", "stall_s.over_120s_ratio", "recovery_s.max"),
    ],
)
def test_known_metric_is_accepted(metric):
    """The figures people set limits on can be named."""
    assert f"{metric} <= 0.5" == str(Slo(metric=metric, op="<=", limit=0.5))


@pytest.mark.parametrize("metric", ["stall_s.p75", "fan_out_latency_ms", "verdict", ""])
def test_figure_that_no_summary_has_is_refused(metric):
    """An SLO that could never have data is an error and not a run that fails."""
    with pytest.raises(ValidationError, match="must be a figure of the run's summary"):
        Slo(metric=metric, op="<=", limit=1.0)


@pytest.mark.parametrize("metric", ["deliveries.ratio", "stall_s.over_10s_ratio"])
@pytest.mark.parametrize("limit", [-0.1, 1.1, 99.9])
def test_ratio_beyond_its_range_is_refused(metric, limit):
    """A ratio is not a percentage."""
    with pytest.raises(ValidationError, match="must be between 0 and 1"):
        Slo(metric=metric, op=">=", limit=limit)


def test_earlier_name_of_a_figure_is_read_as_the_one_it_has_now():
    """Unexpected deliveries were called unowed."""
    slo = Slo(metric="deliveries.unowed", op="<=", limit=0, phase="measure")
    assert "deliveries.unexpected" == slo.metric


@pytest.mark.parametrize("metric", SUMMARY_METRICS)
@pytest.mark.parametrize(("key", "value"), [("phase", "measure"), ("user_class", "chatter")])
def test_an_objective_is_narrowed_down_only_where_the_record_keeps_figures_apart(
    metric, key, value
):
    """Of every figure there is: the file is refused, with the key, or the SLO is made."""
    objective = {"metric": metric, "op": ">", "limit": 0.0, key: value}
    if key in METRICS[metric].scope.narrowed_by:
        assert value == getattr(Slo(**objective), key)
    else:
        with pytest.raises(ValidationError, match=f"must not be given for {metric}"):
            Slo(**objective)


@pytest.mark.parametrize(
    "metric", ["requests.GET /v1.2/x.latency_ms.p99", "requests.Aggregated.failure_ratio"]
)
def test_figure_of_a_request_is_accepted_whatever_its_name(metric):
    """Which requests there will be, no scenario knows."""
    assert metric == Slo(metric=metric, op="<=", limit=0.5).metric


@pytest.mark.parametrize("metric", ["requests.GET /", "requests..count", "requests.GET /.p98"])
def test_figure_that_no_request_has_is_refused_with_those_it_has(metric):
    """The name may be any, and the figure may not."""
    with pytest.raises(ValidationError, match=r"must be requests\.NAME and one of count, failures"):
        Slo(metric=metric, op="<=", limit=0.5)
