import pytest

from harness.analysis.run.finalize import finalize
from tests.support.records import connection, run_file, second, three_subscribers

USERS = {"subscriber": 3, "chatter": 1, "Browser": 2}


def warnings(tmp_path, **changes):
    """Return code and hint of each warning that makes a run of three subscribers invalid."""
    users = changes.pop("users", {"planned": USERS, "tried": USERS})
    run = run_file(users=users, **changes.pop("run", {}))
    summary = finalize(three_subscribers(tmp_path / "run", run=run, **changes)).summary
    return {one["code"]: one["hint"] for one in summary["warnings"] if one["invalidates"]}


def test_run_whose_counts_agree_is_valid(tmp_path):
    """Three joins, three rows, every planned user there."""
    assert {} == warnings(tmp_path)


@pytest.mark.parametrize(
    ("name", "who"),
    [("subscriber", "subscribers"), ("chatter", "chatters"), ("Browser", "users of class Browser")],
)
def test_users_that_never_started_make_the_run_invalid(tmp_path, name, who):
    """Whatever kept them away: the load was not the planned one."""
    found = warnings(tmp_path, users={"planned": USERS, "tried": USERS | {name: USERS[name] - 1}})
    assert ["users_missing"] == list(found)
    assert f"1 of {USERS[name]} planned {who} did not start" in found["users_missing"]


def raised(user_class, error, said, count):
    """Return a row of the errors: exceptions of one kind in user code."""
    kind = {"second": 1, "worker": 0, "stage": "task", "error_class": error, "code": ""}
    return kind | {"message": f"{user_class}: {said}", "count": count}


@pytest.mark.parametrize(
    ("name", "often"),
    [
        ("subscriber", "Viewer: RuntimeError: login failed"),
        ("Browser", "Browser: ValueError: no page"),
    ],
)
def test_users_missing_names_what_their_code_raised_most_often_and_the_log(tmp_path, name, often):
    """Of their own class, and of what is no other class that was planned."""
    errors = [
        raised("Viewer", "RuntimeError", "login failed", 2),
        raised("Viewer", "RuntimeError", "log out failed", 1),
        raised("Browser", "ValueError", "no page", 9),
    ]
    tried = USERS | {name: USERS[name] - 1}
    folder = three_subscribers(
        tmp_path / "run", run=run_file(users={"planned": USERS, "tried": tried}), errors=errors
    )
    (folder / "locust.log").write_text("a traceback")
    found = {one["code"]: one for one in finalize(folder).summary["warnings"]}
    assert found["users_missing"]["hint"].endswith(
        f"did not start; most often: {often}; see {folder / 'locust.log'}"
    )


def test_exceptions_in_user_code_are_a_warning_that_leaves_the_run_valid(tmp_path):
    """Locust goes on after them, and only logs them."""
    errors = [
        raised("Viewer", "ValueError", "boom in task", 1399),
        raised("Viewer", "KeyError", "'a'", 1),
    ]
    summary = finalize(three_subscribers(tmp_path / "run", errors=errors)).summary
    (found,) = (one for one in summary["warnings"] if one["code"] == "user_errors")
    assert found["observed"] == (
        "1,400 exceptions in user code, most often: Viewer: ValueError: boom in task"
    )
    assert not found["invalidates"]


def test_more_users_than_planned_make_the_run_invalid_too(tmp_path):
    """A load that is too high is none that was planned."""
    tried = USERS | {"Browser": 5}
    assert "users_missing" in warnings(tmp_path, users={"planned": USERS, "tried": tried})


def test_users_of_a_run_that_was_cut_short_are_not_told_apart(tmp_path):
    """That it was is reason enough."""
    tried = dict.fromkeys(USERS, 0)
    run = {"status": "interrupted", "ended_s": 1.0}
    found = warnings(tmp_path, users={"planned": USERS, "tried": tried}, run=run)
    assert ["run_cut_short"] == list(found)


def test_join_without_an_end_makes_the_run_invalid(tmp_path):
    """Each attempt has succeeded or failed when the run is over."""
    rows = [
        second(0, phase="join", connected=2, joins_attempted=4, joins_succeeded=2),
        second(5, connected=2, deliveries=2),
        second(6, connected=3, joins_succeeded=1),
        second(7, connected=3, deliveries=2),
    ]
    found = warnings(tmp_path, timeline=rows)
    assert {"joins_disagree", "connections_disagree"} == found.keys()
    assert "4 joins were attempted, 3 succeeded and 0 failed" in found["joins_disagree"]


def test_connection_with_two_rows_makes_the_run_invalid(tmp_path):
    """One row an attempt: nothing is counted twice."""
    rows = [
        connection(0, 1.0, delivered=2, last_s=7.03),
        connection(0, 1.0, delivered=2, last_s=7.04),
        connection(2, 6.0),
    ]
    assert "connections_disagree" in warnings(tmp_path, connections=rows)
