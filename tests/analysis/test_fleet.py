"""Planning for a larger crowd: each figure is the one worked out by hand."""

import pytest

from harness.analysis.economics import priced_systems
from harness.analysis.fleet import Crowd, FleetPlan, WorkerCost, plan_fleet, worker_cost
from harness.analysis.record import read_record
from harness.core.errors import MachineError
from tests.analysis.simulated_run import Simulation

COST = WorkerCost("a run", delivery_us=8.0, join_us=400.0, connection_bytes=16_384, event_bytes=512)
FILES = 20_064


def planned(crowd: Crowd, system: str = "appsync-events") -> FleetPlan:
    return plan_fleet(COST, crowd, priced_systems()[system], FILES)


def values(plan: FleetPlan) -> dict[str, float]:
    return {step.name: step.value for step in plan.steps}


def test_a_million_users_take_what_arithmetic_says() -> None:
    """2M deliveries/s at 8 µs on 80 % of a core: 20 cores; at 20,000 files each: 50 processes."""
    found = values(planned(Crowd(1_000_000, 2.0, 2_000, 1.0)))
    assert 2_000_000 == found["deliveries"]
    assert 20 == pytest.approx(found["workers for deliveries"])
    assert 1 == pytest.approx(found["workers for joins"])
    assert (50, 50) == (found["workers for open files"], found["workers"])
    assert 15.26 == pytest.approx(found["memory of the workers"], abs=0.01)
    assert (36, 500) == (found["source addresses"], found["time to join"])
    assert 50 * 0.04048 + 15.2588 * 0.004445 == pytest.approx(found["cost of the workers"], 1e-4)


def test_the_bill_is_that_of_the_price_list() -> None:
    """30,000 users, one message: 30,000 deliveries, connects, subscribes, minutes, and egress."""
    crowd = Crowd(30_000, 1 / 3600, 2_000, 1.0)
    operations = (30_000 + 1 + 30_000 + 30_000) * 1e-6
    minutes, traffic = 30_000 * 60 * 0.08e-6, 30_000 * 512 / 1024**3 * 0.09
    assert operations + minutes + traffic == pytest.approx(
        values(planned(crowd))["bill of AppSync Events"]
    )


def test_more_deliveries_than_files_decide_the_workers() -> None:
    """Where messages are many, cores are what runs short."""
    found = values(planned(Crowd(100_000, 100.0, 100, 1.0)))
    assert (100, 100) == (found["workers for deliveries"], found["workers"])


def test_quotas_that_the_crowd_passes_are_told_apart() -> None:
    """A million users at 2/s pass AppSync's outbound quota and no other."""
    needs = planned(Crowd(1_000_000, 2.0, 2_000, 1.0)).quotas
    assert ["outbound events"] == [need.quota.name for need in needs if not need.holds]


def test_api_gateway_takes_a_request_for_each_delivery() -> None:
    """At 10,000 requests a second, 30,000 users at 1/s need three times the quota."""
    (need,) = (
        each
        for each in planned(Crowd(30_000, 1.0, 400, 1.0), "api-gateway-websocket").quotas
        if each.quota.bounds == "deliveries_per_s"
    )
    assert (30_000, False) == (need.needed_per_s, need.holds)


def test_costs_of_a_run_come_from_its_record(tmp_path) -> None:
    """Deliveries and joins of the run divide the CPU time of its workers."""
    record = read_record(Simulation().write(tmp_path / "run"))
    cost = worker_cost(record)
    generator, timeline = record.generator, record.timeline
    phase = next(one for one in record.phases if one["name"] == "measure")
    rows = generator[generator["second"].between(phase["start_s"], phase["end_s"] - 1)]
    deliveries = timeline[timeline["phase"] == "measure"]["deliveries"].sum()
    assert rows["cpu_ratio"].sum() * 1e6 / deliveries == pytest.approx(cost.delivery_us)
    assert cost.connection_bytes >= 0


def test_a_run_without_deliveries_is_refused(tmp_path) -> None:
    """There is nothing to scale."""
    record = read_record(Simulation().write(tmp_path / "run"))
    record.timeline["deliveries"] = 0
    with pytest.raises(MachineError, match="0 deliveries"):
        worker_cost(record)
