import gevent
import pytest
from locust import User
from locust.runners import WorkerNode

from harness.core.clock import machine_id
from harness.core.errors import MachineError
from harness.load import worker_protocol
from harness.load.master import worker_registry as registry
from harness.load.master.worker_registry import NumberedDispatcher, WorkerRegistry
from tests.support.waiting import PATIENCE_S

VERSION = {"version": "1.0", "revision": "1a2b3c"}
ME = {"host": "here", "machine": machine_id(), "systems": ["polling"], **VERSION}
FAR = ME | {"host": "far", "machine": "another"}


class Mail:
    """Keeps what the registry sends, by worker."""

    def __init__(self):
        self.sent = []

    def __call__(self, kind, data, worker):
        self.sent.append((worker, kind, data))

    def to(self, worker):
        return [(kind, data) for whose, kind, data in self.sent if whose == worker]


@pytest.fixture(autouse=True)
def _version(monkeypatch):
    """Be of one version, whatever changes in this checkout while the tests run."""
    monkeypatch.setattr(registry, "harness_version", lambda: VERSION)


def registry_of(mail, *, measure_clocks=False):
    return WorkerRegistry(mail, measure_clocks=measure_clocks, system="polling")


@pytest.fixture(name="mail")
def _mail():
    return Mail()


def test_worker_learns_whose_clock_is_the_run_clock(mail):
    """From that it knows whether its own is."""
    registry_of(mail).register("a", ME)
    assert [(worker_protocol.REGISTERED, {"run_clock_of": machine_id()})] == mail.to("a")


def test_clocks_of_this_machine_are_measured_if_asked_for(mail):
    """The run clock is then of no machine."""
    found = registry_of(mail, measure_clocks=True)
    found.register("a", ME)
    assert [(worker_protocol.REGISTERED, {"run_clock_of": ""})] == mail.to("a")
    assert "measured" == found.admit(["a"])[0]["clock"]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"version": "0.0.9"}, "worker on far: runs harness 0.0.9, the master runs "),
        ({"revision": "abc"}, "worker on far: runs git revision abc, the master's is "),
    ],
)
def test_worker_of_another_version_is_refused_by_both(mail, other, sentence):
    """It is told why, and the master does not begin."""
    found = registry_of(mail)
    found.register("a", FAR | other)
    ((_, data),) = mail.to("a")
    assert data["refused"].startswith(sentence)
    with pytest.raises(MachineError, match="all must run the same"):
        found.wait(1, PATIENCE_S, print)


@pytest.mark.parametrize(
    ("systems", "found"),
    [(["appsync-events", "hybrid"], "appsync-events, hybrid"), ([], "no system")],
)
def test_worker_without_the_system_of_the_target_is_refused(mail, systems, found):
    """Its package is not installed there, or its locustfile is bound to another system."""
    master = registry_of(mail)
    master.register("a", FAR)
    master.register("b", FAR | {"systems": systems})
    assert ["run_clock_of"] == list(mail.to("a")[0][1])
    refused = f"worker on far: its users can join {found}, the target is of system polling\n"
    assert mail.to("b")[0][1]["refused"].startswith(refused)


@pytest.mark.parametrize(
    ("used", "sentence"),
    [
        ("", "uses no --locustfile, the master uses --locustfile users.py\n"),
        ("old.py", "uses --locustfile old.py, the master uses --locustfile users.py\n"),
        ("users.py", "uses --locustfile users.py of other content, the master's must be equal\n"),
    ],
)
def test_worker_with_another_locustfile_is_told_from_those_that_fit(mail, used, sentence):
    """Its process and what it uses are named; one that fits reads that it is not the one."""
    master = WorkerRegistry(
        mail, measure_clocks=False, system="polling", users="1a", locustfile="users.py"
    )
    master.register("a", ME | {"users": "1a", "locustfile": "users.py", "pid": 11})
    master.register("b", ME | {"users": "2b", "locustfile": used, "pid": 12})
    with pytest.raises(MachineError) as caught:
        master.wait(2, PATIENCE_S, print)
    master.refuse_all(caught.value)
    accused = f"worker on here (process 12): {sentence}"
    assert f"{caught.value}\n".startswith(accused)
    assert mail.to("b")[-1][1]["refused"].startswith(accused)
    told = mail.to("a")[-1][1]["refused"]
    assert told.startswith(f"this worker fits, another does not, so nothing is run: {accused}")


def test_worker_whose_version_says_other_things_is_refused_and_not_misunderstood(mail):
    """What a later version adds, or an earlier one left out, is no reason to hang."""
    registry_of(mail).register("a", {"host": "far", "version": "9.9", "moons": 2})
    assert "runs harness 9.9" in mail.to("a")[0][1]["refused"]


def test_all_workers_get_the_reason_when_nothing_is_run(mail):
    """The sentence stands at each worker's terminal too."""
    found = registry_of(mail)
    for worker in ("a", "b"):
        found.register(worker, FAR)
    found.refuse_all(MachineError("workers", "2 of 3 came", "all must"))
    told = {"refused": "workers: 2 of 3 came, all must"}
    assert [told, told] == [mail.to(worker)[-1][1] for worker in ("a", "b")]


def test_wait_ends_once_enough_are_ready(mail):
    """To have come is not enough: a worker must know its clock."""
    found = registry_of(mail)
    for worker in ("a", "b"):
        found.register(worker, ME)
        gevent.spawn_later(0.05, found.ready, worker)
    found.wait(2, PATIENCE_S, print)


def test_missing_workers_are_counted_and_the_others_named(mail):
    """The sentence says who is there."""
    found = registry_of(mail)
    found.register("a", FAR)
    found.ready("a")
    with pytest.raises(MachineError, match=r"1 of 3 were ready within 0.05 s \(far\)"):
        found.wait(3, 0.05, print)


def test_late_worker_is_refused_and_named(mail):
    """The users are assigned; an admitted worker may register again."""
    found = registry_of(mail)
    late = []
    found.on_late = late.append
    found.register("a", ME)
    found.admit(["a"])
    found.register("b", FAR)
    found.register("a", ME)
    assert ["b on far"] == late
    assert "registered too late" in mail.to("b")[0][1]["refused"]
    assert "refused" not in mail.to("a")[-1][1]


def test_surplus_worker_is_refused(mail):
    """Two registered, one was expected."""
    found = registry_of(mail)
    late = []
    found.on_late = late.append
    for worker in ("a", "b"):
        found.register(worker, ME)
    assert ["a"] == [row["id"] for row in found.admit(["a"])]
    assert ["b on here"] == late


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "0.0.0.0", "::"])
def test_emulator_on_loopback_is_refused_to_workers_elsewhere(mail, host):
    """They would all fail to join, and the reason is known beforehand."""
    found = registry_of(mail)
    found.register("a", FAR)
    with pytest.raises(MachineError, match="workers on far must reach it"):
        found.require_reachable(host)


def test_emulator_on_loopback_will_do_for_workers_on_this_machine(mail):
    """As it will on an address that others reach."""
    found = registry_of(mail)
    found.register("a", ME)
    found.require_reachable("127.0.0.1")
    found.register("b", FAR)
    found.require_reachable("10.0.0.1")


class Subscriber(User):
    fixed_count = 9


class Chatter(User):
    fixed_count = 4


def test_each_class_is_assigned_evenly_and_in_order_of_number():
    """User k of a class is on worker k modulo W: no worker holds all the chatters."""
    known = []
    nodes = [WorkerNode(id=f"host_{name}") for name in "cab"]
    dispatcher = NumberedDispatcher(
        workers=3, on_workers=known.extend, worker_nodes=nodes, user_classes=[Subscriber, Chatter]
    )
    dispatcher.new_dispatch(target_user_count=13, spawn_rate=1000)
    assigned = list(dispatcher)[-1]
    assert ["host_a", "host_b", "host_c"] == known
    assert {
        "host_a": {"Chatter": 2, "Subscriber": 3},
        "host_b": {"Chatter": 1, "Subscriber": 3},
        "host_c": {"Chatter": 1, "Subscriber": 3},
    } == assigned


def test_shares_stay_when_a_worker_is_lost_or_comes_late():
    """The users of a lost worker are not reassigned, and a late worker gets none."""
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
