import json
from pathlib import Path

import pytest

from harness.cli.budget import Budget, BudgetWatch
from harness.core.errors import MachineError
from harness.scenario.plan import Plan
from harness.scenario.target import Target
from tests.support import plans


def plan_of(system: str = "appsync-events") -> Plan:
    """1,000 listeners and 10 more who only write; 100 messages of 6,000 bytes in 10 of 24 s."""
    return plans.plan_of(
        Target.model_validate({"name": "t", "system": system, "emulated": True}),
        population={"subscribers": 1000, "chatters": 10, "chatters_subscribe": False},
        joins={"rate_per_s": 101.0},
        publishing={
            "rate_per_s": 10.0,
            "arrival": "uniform",
            "event_bytes": {"distribution": "fixed", "value": 6000},
        },
        phases={"settle_s": 2.0, "warm_up_s": 0.0, "measure_s": 10.0, "drain_s": 2.0},
    )


# Worked by hand: 2 steps of 5 KB each for 100 messages and 100,000 deliveries, 1,010 connects and
# 1,000 subscribes at $1 a million; 404 connection minutes at $0.08 a million; 0.6 GB at EC2's
# $0.09 per 1024³ bytes.
OPERATIONS_USD = (200 + 200_000 + 1_010 + 1_000) * 1e-6
MINUTES_USD = 404 * 0.08e-6
EGRESS_USD = 100_000 * 6000 / 1024**3 * 0.09
PLANNED_USD = OPERATIONS_USD + MINUTES_USD + EGRESS_USD


def row(**counts: int) -> dict[str, int]:
    names = ("deliveries", "publishes_sent", "joins_succeeded", "connected")
    return dict.fromkeys(names, 0) | counts


def test_planned_cost_is_that_of_the_schedule() -> None:
    """Users, messages, deliveries and dollars, by hand."""
    spending = Budget(plan_of(), None)
    assert spending.planned_usd == pytest.approx(PLANNED_USD, rel=1e-9)
    assert (
        "w on t: 1,010 users, 10 messages/s outside bursts, 100 messages and "
        f"100,000 deliveries in 24 s; about ${PLANNED_USD:,.2f} at list prices of "
        "aws.amazon.com"
    ) == str(spending)


def test_run_that_will_cost_too_much_is_refused() -> None:
    """Before anything starts; a limit above the cost lets it run."""
    Budget(plan_of(), PLANNED_USD + 0.001).require_within()
    with pytest.raises(MachineError) as caught:
        Budget(plan_of(), 0.1).require_within()
    assert str(caught.value).startswith(
        "--max-usd: the run will cost about $0.25, at most $0.10 allowed\nhint: "
    )


def test_run_that_has_cost_too_much_is_told_once(tmp_path: Path) -> None:
    """Whatever it was planned to cost: all that was counted so far is paid for."""
    journal = tmp_path / "journal" / "timeline.jsonl"
    journal.parent.mkdir()
    watch = BudgetWatch(Budget(plan_of(), PLANNED_USD * 1.5), tmp_path)
    assert watch.complaint() is None
    half = row(deliveries=100_000, publishes_sent=100, joins_succeeded=1_000, connected=24_240)
    for _ in range(2):
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(half) + "\n")
        complaint = watch.complaint()
    assert "the run has cost about $0.51, at most $0.38 allowed" in str(complaint)
    assert watch.complaint() is None


def test_nothing_counted_costs_nothing() -> None:
    """A run that has not begun."""
    assert 0.0 == Budget(plan_of(), 1.0).used_usd
