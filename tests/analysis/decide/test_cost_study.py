import pytest

from harness.analysis.decide.cost_study import (
    chatters_ratio,
    coalesced_events,
    crossing,
    day_of,
    study_day,
)
from harness.core.pricing import Day
from harness.scenario.loading import load_workload
from harness.scenario.workload import Workload
from tests.support.paths import SCENARIOS

WORKLOADS = SCENARIOS / "workloads"


@pytest.fixture(scope="module")
def study():
    """Return the study of the reference day."""
    return study_day(Day())


@pytest.mark.parametrize(
    ("live_h", "window_s", "events"),
    [(4, 0, 25_000), (4, 1, 11_863), (4, 2, 6_976), (24, 1, 21_708)],
)
def test_windows_leave_their_known_number_of_events(live_h, window_s, events):
    """25,000 messages in four hours, or spread over a day."""
    assert events == pytest.approx(coalesced_events(25_000, live_h * 3600, window_s), abs=1)


def test_a_crossing_is_found_where_the_sign_changes():
    """And none is made up where it does not."""
    assert 42 == pytest.approx(crossing(lambda x: x - 42, 1, 1e6))
    assert 42 == pytest.approx(crossing(lambda x: 42 - x, 1, 1e6))
    assert crossing(lambda x: x + 1, 1, 1e6) is None


def test_the_cases_have_their_known_totals(study):
    """Both of the well-known cases, and the viewers of the hybrid."""
    everyone, chatters, viewers = (
        {bill.system: round(bill.usd, 2) for bill in case.bills} for case in study.cases
    )
    assert 785.85 == everyone["appsync-events"]
    assert 131.00 == chatters["appsync-events"]
    assert 389.80 + 12.96 == pytest.approx(viewers["polling"], abs=0.02)
    hybrid = study.hybrids["AppSync Events"]
    assert chatters["appsync-events"] + viewers["polling"] == pytest.approx(hybrid, abs=0.02)


def test_push_and_poll_break_even_near_three_seconds():
    """With requests and operations alone it is 3.1 s; traffic on both sides hardly moves it."""
    points = {each.question: each.at for each in study_day(Day(), ["egress"]).break_evens}
    at = points["Poll interval at which viewers cost as much as on AppSync Events"]
    # 625 operations, 0.175 for publishes and joins, 2.88 for minutes: 628.055 = 1 + 0.9 n.
    assert 25_000 * 86_400 / ((628.055 - 1) / 0.9 * 1e6) == pytest.approx(at, rel=0.001)


def test_at_a_break_even_point_both_bills_are_alike(study):
    """AppSync Events and API Gateway, at the number of messages that was found."""
    (point,) = (e for e in study.break_evens if "AppSync Events and API Gateway" in e.question)
    usd = {bill.system: bill.usd for bill in study_day(Day(messages=point.at)).cases[0].bills}
    assert usd["appsync-events"] == pytest.approx(usd["api-gateway-websocket"], rel=1e-6)


def test_one_byte_over_5_kb_doubles_the_deliveries(study):
    """$750 more on AppSync Events, and hardly anything elsewhere."""
    at, over = (next(s for s in study.sizes if s.event_bytes == size) for size in (5120, 5121))
    assert 750 == pytest.approx(over.usd["AppSync Events"] - at.usd["AppSync Events"], abs=0.2)
    elsewhere = over.usd["API Gateway WebSocket"] - at.usd["API Gateway WebSocket"]
    assert 0 == pytest.approx(elsewhere, abs=0.2)


def test_only_servers_cost_while_nobody_is_connected(study):
    """Scale to zero."""
    assert {"Server-sent events": 4.02} == pytest.approx(
        {name: usd for name, usd in study.idle.items() if usd}
    )


def test_both_values_of_an_open_question_are_there(study):
    """The keep-alive of AppSync Events is worth $43.20 a day."""
    (bill,) = (b for b in study.cases[0].bills if b.system == "appsync-events")
    (keep_alive,) = (each for each in bill.alternatives if each.switch == "keep-alive")
    assert 43.2 == pytest.approx(keep_alive.usd - bill.usd)
    flipped = study_day(Day(), ["keep-alive"]).cases[0].bills
    assert keep_alive.usd == pytest.approx(
        next(b.usd for b in flipped if b.system == "appsync-events")
    )


def test_a_workload_gives_its_users_messages_and_sizes():
    """The reference workload: 35,000 users, 25,000 messages, most of them near 300 bytes."""
    workload = load_workload(WORKLOADS / "reference.toml")
    day = day_of(workload)
    assert (35_000, 25_000, 1.0) == (day.connected, day.messages, day.reach)
    assert 1 == pytest.approx(sum(share for _, share in day.sizes))
    assert 5 / 35 == chatters_ratio(workload)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"distribution": "fixed", "value": 400}, ((400, 1.0),)),
        ({"distribution": "choice", "values": [200, 6000], "weights": [3.0, 1.0]},
         ((200, 0.75), (6000, 0.25))),
    ],
)  # fmt: skip
def test_sizes_of_a_workload_keep_their_shares(sizes, expected):
    """A few sizes stay what they are."""
    workload = Workload.model_validate({
        "name": "w", "population": {"subscribers": 9, "chatters": 1}, "joins": {"rate_per_s": 1.0},
        "publishing": {"rate_per_s": 1.0, "event_bytes": sizes}, "phases": {"measure_s": 1.0},
        "channels": {"count": 4},
    })  # fmt: skip
    day = day_of(workload)
    assert (expected, 86_400, 0.25) == (day.sizes, day.messages, day.reach)
