from locust import User
from locust.runners import WorkerNode

from harness.load.master.worker_registry import NumberedDispatcher


class Subscriber(User):
    fixed_count = 9


class Chatter(User):
    fixed_count = 4


def test_each_class_is_dealt_evenly_and_in_order_of_number():
    """User k of a class is on worker k modulo W: no worker holds all the chatters."""
    told = []
    nodes = [WorkerNode(id=f"host_{name}") for name in "cab"]
    dispatcher = NumberedDispatcher(
        workers=3, on_workers=told.extend, worker_nodes=nodes, user_classes=[Subscriber, Chatter]
    )
    dispatcher.new_dispatch(target_user_count=13, spawn_rate=1000)
    dealt = list(dispatcher)[-1]
    assert ["host_a", "host_b", "host_c"] == told
    assert {
        "host_a": {"Chatter": 2, "Subscriber": 3},
        "host_b": {"Chatter": 1, "Subscriber": 3},
        "host_c": {"Chatter": 1, "Subscriber": 3},
    } == dealt


def test_shares_stay_when_a_worker_is_lost_or_comes_late():
    """Nobody takes over a lost worker's users, and who comes late gets none."""
    nodes = [WorkerNode(id=name) for name in "abc"]
    dispatcher = NumberedDispatcher(
        workers=2,
        on_workers=lambda _ids: None,
        worker_nodes=nodes,
        user_classes=[Subscriber, Chatter],
    )
    dispatcher.new_dispatch(target_user_count=13, spawn_rate=5)
    dispatches = iter(dispatcher)
    next(dispatches)
    dispatcher.remove_worker(nodes[0])
    dispatcher.add_worker(nodes[2])
    assert {
        "a": {"Chatter": 2, "Subscriber": 5},
        "b": {"Chatter": 2, "Subscriber": 4},
    } == list(dispatches)[-1]
