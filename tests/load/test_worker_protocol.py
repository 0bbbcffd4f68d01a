from harness.load.worker_protocol import Endpoints, RunAssignment
from tests.support.plans import make_plan


def test_order_survives_its_journey_to_a_worker():
    """A worker computes the same timetable and schedule as the master."""
    endpoints = Endpoints("http://127.0.0.1:1/event", "ws://127.0.0.1:1/event/realtime", None)
    order = RunAssignment("run", 123, make_plan(), endpoints, ("a", "b"))
    arrived = RunAssignment.from_json(order.to_json())
    assert order == arrived
    assert order.plan.phases == arrived.plan.phases


def test_order_carries_no_secret(monkeypatch):
    """Keys stay in the environment of each process."""
    monkeypatch.setenv("SOME_KEY", "da2-secret")
    plan = make_plan()
    auth = plan.target.auth.model_copy(update={"api_key_env": "SOME_KEY"})
    plan = plan.model_copy(update={"target": plan.target.model_copy(update={"auth": auth})})
    text = RunAssignment("run", 0, plan, Endpoints("http://h", "ws://h"), ("a",)).to_json()
    assert "SOME_KEY" in text
    assert "da2-secret" not in text
