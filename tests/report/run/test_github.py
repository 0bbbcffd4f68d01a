from harness.analysis.run.validity import warning
from harness.report.run.ci import annotations

MISSED = {
    "metric": "deliveries.ratio",
    "op": ">=",
    "limit": 1.0,
    "observed": 0.5,
    "verdict": "fail",
    "user_class": "chatter",
    "phase": "warm_up",
}


def test_percent_signs_line_ends_and_commas_are_escaped():
    """Otherwise the runner would cut the message, or take a part of it for a property."""
    (line,) = annotations({"slos": [MISSED], "warnings": []}, {})
    head, _, message = line.removeprefix("::").partition("::")
    assert "error title=Delivery ratio (chatter%2C warm-up)" == head
    assert message.startswith("50")
    assert "%25" in message


def test_what_makes_a_run_invalid_is_an_error_and_the_rest_a_warning():
    """What holds says nothing."""
    held = MISSED | {"verdict": "pass"}
    warnings = [
        warning("clock_unsound", 3, 0, "one\ntwo"),
        warning("not_routed", 1, 0, "wait", invalid=False),
    ]
    first, second = annotations({"slos": [held], "warnings": warnings}, {})
    assert first.startswith("::error title=Clock unsound::")
    assert "one%0Atwo" in first
    assert second.startswith("::warning title=Not routed::")


def test_no_data_is_an_error():
    """It is no pass."""
    (line,) = annotations(
        {"slos": [MISSED | {"observed": None, "verdict": "no_data"}], "warnings": []}, {}
    )
    assert "::no data, where at least 100" in line


def test_the_objective_that_stopped_a_run_is_an_error_though_it_is_met_at_the_end():
    """The cause says which, when and why."""
    cause = {"code": "slo_failed", "message": "joins.failed was 3 at second 4"}
    held = {"slos": [MISSED | {"verdict": "pass"}], "warnings": []}
    (line,) = annotations(held, {"cause": cause})
    assert line == "::error title=Stopped by an objective::joins.failed was 3 at second 4"
