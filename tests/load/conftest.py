import pytest

from harness.scenario.plan import Plan
from harness.scenario.target import Target
from harness.scenario.workload import Workload


def make_plan(**publishing):
    """A plan of 90 + 10 users: joins 0-10 s, settle 1, warm-up 2, measure 20, drain 2."""
    workload = Workload.model_validate(
        {
            "name": "w",
            "seed": 7,
            "population": {"subscribers": 90, "chatters": 10},
            "joins": {"rate_per_s": 10.0},
            "channels": {"count": 3, "zipf_skew": 1.0},
            "publishing": {"rate_per_s": 50.0, **publishing},
            "phases": {"settle_s": 1.0, "warm_up_s": 2.0, "measure_s": 20.0, "drain_s": 2.0},
        }
    )
    target = Target.model_validate({"name": "t", "system": "appsync-events", "emulated": True})
    return Plan(workload=workload, target=target, workload_file="w.toml", target_file="t.toml")


@pytest.fixture(name="make_plan")
def _make_plan():
    return make_plan
