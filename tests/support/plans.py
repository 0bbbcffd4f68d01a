"""Plans of tests, checked like any other."""

from typing import Any

from harness.scenario.plan import Plan
from harness.scenario.target import Target
from harness.scenario.workload import Workload

EMULATED = Target.model_validate({"name": "t", "system": "appsync-events", "emulated": True})


def make_plan(**publishing) -> Plan:
    """A plan of 90 + 10 users: joins 0-10 s, settle 1, warm-up 2, measure 20, drain 2."""
    return plan_of(
        seed=7,
        population={"subscribers": 90, "chatters": 10},
        joins={"rate_per_s": 10.0},
        channels={"count": 3, "zipf_skew": 1.0},
        publishing={"rate_per_s": 50.0, **publishing},
        phases={"settle_s": 1.0, "warm_up_s": 2.0, "measure_s": 20.0, "drain_s": 2.0},
    )


def revised(plan: Plan, **changes: Any) -> Plan:
    """Return the plan with another workload: values by key, or by key of a table."""
    values = {
        key: getattr(plan.workload, key).model_copy(update=value)
        if isinstance(value, dict)
        else value
        for key, value in changes.items()
    }
    return plan.model_copy(update={"workload": plan.workload.model_copy(update=values)})


def plan_of(target=EMULATED, **workload) -> Plan:
    """Return the plan of a workload with these tables, on an emulated target."""
    checked = Workload.model_validate({"name": "w", **workload})
    return Plan(workload=checked, target=target, workload_file="w.toml", target_file="t.toml")
