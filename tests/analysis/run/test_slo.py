import pytest

from harness.analysis.run.slo import judge, margin, observe

SUMMARY = {"a": {"p99": 500.0, "none": None, "valid": True, "zero": 0}}


@pytest.mark.parametrize(
    ("op", "limit", "verdict"),
    [
        ("<=", 500.0, "pass"),
        ("<=", 499.9, "fail"),
        ("<", 500.0, "fail"),
        (">=", 500.0, "pass"),
        (">", 500.0, "fail"),
        ("==", 500.0, "pass"),
        ("==", 501.0, "fail"),
    ],
)
def test_an_objective_is_met_as_its_operator_says(op, limit, verdict):
    """500 observed against each operator, at and beside its limit."""
    assert verdict == judge({"metric": "a.p99", "op": op, "limit": limit}, SUMMARY)["verdict"]


@pytest.mark.parametrize("metric", ["a.none", "a.absent", "b.p99", "a.p99.deeper", "a", "a.valid"])
def test_an_objective_without_a_figure_has_no_data_and_never_passes(metric):
    """Not measured, not there, a whole block or a truth value: none is a number to judge."""
    judged = judge({"metric": metric, "op": "<=", "limit": 1.0}, SUMMARY)
    assert ("no_data", None) == (judged["verdict"], judged["observed"])


def test_an_objective_with_a_figures_earlier_name_is_judged_by_it():
    """Workloads in earlier records limit ``deliveries.unowed``."""
    assert 3 == observe({"deliveries": {"unexpected": 3}}, "deliveries.unowed")


def test_zero_is_a_figure():
    """Nothing lost is an observation, not a missing one."""
    assert 0 == observe(SUMMARY, "a.zero")


@pytest.mark.parametrize(
    ("op", "observed", "expected"),
    [("<=", 400.0, 100.0), ("<", 600.0, -100.0), (">=", 600.0, 100.0), (">", 400.0, -100.0)],
)
def test_the_margin_is_positive_inside_the_limit(op, observed, expected):
    """It tells how much room is left, or by how much the limit was missed."""
    assert expected == margin({"op": op, "limit": 500.0, "observed": observed})


@pytest.mark.parametrize(("op", "observed"), [("==", 500.0), ("<=", None)])
def test_there_is_no_margin_to_a_point_or_without_data(op, observed):
    """An equality has no inside, and nothing has no distance."""
    assert margin({"op": op, "limit": 500.0, "observed": observed}) is None
