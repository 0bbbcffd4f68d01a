import pytest

from harness.analysis.decide.fleet import FleetLoad, FleetPlan, WorkerCost, plan_fleet, worker_cost
from harness.analysis.run.record import read_record
from harness.core.errors import MachineError
from harness.core.system import system_named
from tests.support.simulated_run import Simulation

MIB = 1024**2
COST = WorkerCost(
    "a run",
    delivery_us=8.0,
    join_us=400.0,
    connection_bytes=16_384,
    event_bytes=512,
    worker_bytes=128 * MIB,
)
FILES = 20_064


def planned(load: FleetLoad, system: str = "appsync-events") -> FleetPlan:
    return plan_fleet(COST, load, system_named(system), FILES)


def values(plan: FleetPlan) -> dict[str, float]:
    return {step.name: step.value for step in plan.steps}


def test_a_million_users_take_what_arithmetic_says() -> None:
    """2M deliveries/s at 8 µs on 80 % of a core: 20 cores; at 20,000 files each: 50 processes."""
    found = values(planned(FleetLoad(1_000_000, 2.0, 2_000, 1.0)))
    assert 2_000_000 == found["deliveries"]
    assert 20 == pytest.approx(found["workers for deliveries"])
    assert 1 == pytest.approx(found["workers for joins"])
    assert (50, 50) == (found["workers for open files"], found["workers"])
    memory_gb = (50 * 128 * MIB + 1_000_000 * 16_384) / 1024**3
    assert 21.51 == pytest.approx(memory_gb, abs=0.01)
    assert memory_gb == pytest.approx(found["memory of the workers"])
    assert (36, 500) == (found["source addresses"], found["time to join"])
    hours = 1 + 500 / 3600
    hourly_usd = 50 * 0.04048 + 50 * 2 * 0.004445  # A task of one core has 2 GB at least.
    assert hours * hourly_usd == pytest.approx(found["cost of the workers"])


def test_the_bill_is_that_of_the_price_list() -> None:
    """30,000 users, one message: 30,000 deliveries, connects, subscribes, minutes, and egress."""
    load = FleetLoad(30_000, 1 / 3600, 2_000, 1.0)
    operations = (30_000 + 1 + 30_000 + 30_000) * 1e-6
    # They join in 15 s, half of which each is connected on average.
    minutes, traffic = 30_000 * 60.125 * 0.08e-6, 30_000 * 512 / 1024**3 * 0.09
    assert operations + minutes + traffic == pytest.approx(
        values(planned(load))["bill of AppSync Events"]
    )


def test_connections_that_need_more_than_the_least_memory_are_paid_for() -> None:
    """On machines without a file limit, one core holds a million connections in 15.4 GB."""
    found = values(
        plan_fleet(COST, FleetLoad(1_000_000, 0.1, 2_000, 1.0), system_named("polling"), None)
    )
    assert "workers for open files" not in found
    memory_gb = (128 * MIB + 1_000_000 * 16_384) / 1024**3
    assert 1 == found["workers"]
    assert memory_gb == pytest.approx(found["memory of the workers"])
    usd = (1 + 500 / 3600) * (0.04048 + memory_gb * 0.004445)
    assert usd == pytest.approx(found["cost of the workers"])


def test_file_limit_below_what_a_process_itself_needs_is_no_division_by_zero() -> None:
    """One connection a process is the least there is."""
    plan = plan_fleet(COST, FleetLoad(100, 1.0, 10, 1.0), system_named("polling"), 64)
    assert 100 == values(plan)["workers"]


def test_more_deliveries_than_files_decide_the_workers() -> None:
    """Where messages are many, cores are what runs short."""
    found = values(planned(FleetLoad(100_000, 100.0, 100, 1.0)))
    assert (100, 100) == (found["workers for deliveries"], found["workers"])


def test_quotas_that_the_crowd_passes_are_told_apart() -> None:
    """A million users at 2/s pass AppSync's outbound quota and no other."""
    needs = planned(FleetLoad(1_000_000, 2.0, 2_000, 1.0)).quotas
    assert ["outbound events"] == [need.quota.name for need in needs if not need.holds]


def test_api_gateway_takes_a_request_for_each_delivery() -> None:
    """At 10,000 requests a second, 30,000 users at 1/s need three times the quota."""
    (need,) = (
        each
        for each in planned(FleetLoad(30_000, 1.0, 400, 1.0), "api-gateway-websocket").quotas
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
