import pytest
from pydantic import ValidationError

from harness.core.metrics import METRICS, SUMMARY_METRICS
from harness.scenario.slo import LIVE_METRICS, RunSlo, Slo


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


def run_slo(**changes):
    return RunSlo(**{"metric": "joins.failed", "op": "<=", "limit": 3, "abort": True, **changes})


@pytest.mark.parametrize("metric", LIVE_METRICS)
def test_a_figure_that_is_known_during_a_run_can_stop_it(metric):
    """Each of those that the refusal of others lists."""
    assert run_slo(metric=metric, limit=1.0).abort


@pytest.mark.parametrize(
    "metric", ["stall_s.p99", "recovery_s.max", "cost.usd_run", "requests.GET /.count"]
)
def test_a_figure_that_is_not_known_during_a_run_cannot_stop_it(metric):
    """The hint lists those that can; without abort the objective is as good as any."""
    with pytest.raises(ValidationError, match="which is not known while the run goes on") as caught:
        run_slo(metric=metric)
    (error,) = caught.value.errors()
    assert "deliveries.ratio; joins.failed, publishes.failed" in error["ctx"]["hint"]
    assert not run_slo(metric=metric, abort=False).abort


@pytest.mark.parametrize("op", [">", ">="])
def test_a_lower_limit_of_a_count_cannot_stop_a_run(op):
    """Every run would be below it at first."""
    with pytest.raises(ValidationError, match="must be left out for a lower limit of a count"):
        run_slo(op=op)
    assert run_slo(metric="deliveries.ratio", op=op, limit=0.99).abort


@pytest.mark.parametrize("part", [{"phase": "measure"}, {"user_class": "chatter"}])
def test_a_part_of_a_run_cannot_stop_it(part):
    """The account of a run that goes on does not keep all of them apart."""
    with pytest.raises(ValidationError, match="must be left out with phase or user_class"):
        run_slo(metric="joins.latency_ms.p99", **part)


def test_only_a_workloads_slos_stop_runs():
    """A file of SLOs judges runs that are over."""
    with pytest.raises(ValidationError, match="abort"):
        Slo.model_validate({"metric": "joins.failed", "op": "<=", "limit": 3, "abort": True})


@pytest.mark.parametrize(
    ("metric", "op", "observed", "fails"),
    [
        *(("joins.failed", "==", 3, False), ("joins.failed", "==", 2, False)),
        *(("joins.failed", "==", 4, True), ("joins.failed", "<", 3, True)),
        *(("fan_out_latency_ms.p99", "<=", 3.5, True), ("fan_out_latency_ms.p99", "<=", 2, False)),
        ("deliveries.ratio", "==", 0.5, True),
    ],
)
def test_a_count_below_its_limit_may_still_grow_to_it(metric, op, observed, fails):
    """And every other figure is judged as at the end."""
    limit = 1.0 if metric == "deliveries.ratio" else 3
    assert fails == run_slo(metric=metric, op=op, limit=limit).fails_at(observed)
