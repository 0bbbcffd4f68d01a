import contextlib
import json

import pytest

from harness.emulation.bus import Bus
from harness.emulation.control import MARK, Control
from tests.support.emulator_process import until


class Process:
    """One process of an emulator, as far as control goes."""

    def __init__(self, make_stand, index, processes):
        self.stand = stand = make_stand(index=index, processes=processes)
        self.worker_context = stand.worker_context
        self.counters, self.deliveries = stand.counters, stand.deliveries
        self.faults = stand.faults
        self.bus = Bus(self.worker_context, self.receive)
        self.resets = 0
        self.control = Control(self)

    def receive(self, parts):
        self.control.receive(parts)

    def refresh(self):
        pass

    def reset(self):
        self.resets += 1

    def report(self, totals):
        return {"twice_sent": 2 * totals["deliveries.sent"]}


@pytest.fixture
def make_processes(make_stand):
    """Make the processes of one emulator; all live in the test's event loop."""

    @contextlib.contextmanager
    def make(count, processes=None):
        made = [Process(make_stand, place, processes or count) for place in range(count)]
        try:
            yield made
        finally:
            for process in made:
                process.bus.close()

    return make


async def stats(process):
    answer = await process.control.stats()
    assert 200 == answer.status
    return json.loads(answer.body)


async def test_stats_are_summed_over_processes(make_processes):
    """Whoever is asked, counts and delays of all are in the answer, with what an emulator adds."""
    with make_processes(3) as processes:
        for process in processes:
            process.stand.join(2)
            process.stand.tell({"kind": "delay", "delay_ms": 10})
            process.stand.broadcast(b"a")
        await until(lambda: not any(process.stand.writer.pending for process in processes))
        for process in processes:
            answer = await stats(process)
            assert 6 == answer["connections"]
            assert 6 == answer["subscriptions"]
            assert 6 == answer["deliveries"]["sent"]
            assert (12, 6) == (answer["twice_sent"], answer["delays_ms"]["count"])
            assert 10 <= answer["delays_ms"]["p50"] <= answer["delays_ms"]["max"]
            assert {"answered": [0, 1, 2], "silent": []} == answer["processes"]


async def test_faults_reach_all_processes_before_the_answer(make_processes):
    """Any process takes them for all, and an empty list ends them."""
    with make_processes(3) as processes:
        answer = await processes[1].control.set_faults(b'[{"kind": "drop"}]')
        assert 200 == answer.status
        hits = [process.stand.faults.may_hit(range(1), 1) for process in processes]
        assert [True] * 3 == hits
        answer = await processes[2].control.set_faults(b"[]")
        assert {"processes": {"answered": [0, 1, 2], "silent": []}} == json.loads(answer.body)
        hits = [process.stand.faults.may_hit(range(1), 1) for process in processes]
        assert [False] * 3 == hits


async def test_count_of_posted_faults_begins_anew_each_time(make_processes):
    """Ten are dropped each time ten are told, over all processes together."""
    with make_processes(2) as processes:
        for process in processes:
            process.stand.join(10)
        for asked, dropped in ((0, 10), (1, 20), (0, 30)):
            await processes[asked].control.set_faults(b'[{"kind": "drop", "count": 10}]')
            for process in processes:
                process.stand.broadcast(b"a")
            assert dropped == (await stats(processes[0]))["deliveries"]["dropped"]["fault"]


@pytest.mark.parametrize(
    ("body", "where", "message"),
    [
        (b"[", "faults", "Invalid JSON"),
        (b'[{"kind": "drop", "ratio": 2}]', "faults.0.drop.ratio", "less than or equal to 1"),
        (b'[{"kind": "mishap"}]', "faults.0", "'mishap'"),
        (b'[{"kind": "stall", "until_s": 1, "from_s": 2}]', "faults.0.stall.until_s", "after"),
    ],
)
async def test_wrong_faults_are_refused_and_change_nothing(make_processes, body, where, message):
    """The answer names the place and the rule."""
    with make_processes(1) as (process,):
        await process.control.set_faults(b'[{"kind": "drop"}]')
        answer = await process.control.set_faults(body)
        assert 400 == answer.status
        (problem,) = json.loads(answer.body)["errors"]
        assert where == problem["where"]
        assert message in problem["message"]
        assert process.stand.faults.may_hit(range(1), 1)


async def test_reset_begins_all_counts_and_records_anew(make_processes):
    """What is as of now stays, and what is held back is still owed."""
    with make_processes(2) as processes:
        for process in processes:
            process.stand.join(2)
            process.stand.tell({"kind": "drop", "deliveries": [[0, 0], [0, 1]]})
            process.stand.broadcast(b"a")
            process.stand.tell({"kind": "stall"})
            process.stand.broadcast(b"b")
        assert 4 == len(json.loads((await processes[0].control.log()).body))
        assert 200 == (await processes[0].control.reset()).status
        answer = await stats(processes[1])
        assert (4, 4) == (answer["connections"], answer["subscriptions"])
        deliveries = answer["deliveries"]
        assert (4, 4, 0) == (deliveries["owed"], deliveries["pending"], deliveries["sent"])
        assert {"entries": 0, "left_out": 0} == answer["fault_log"]
        assert b"[]" == (await processes[0].control.log()).body
        assert [1, 1] == [process.resets for process in processes]
        for process in processes:
            process.stand.tell()
        assert 4 == (await stats(processes[0]))["deliveries"]["sent"]


async def test_process_that_is_silent_is_named(make_processes, monkeypatch):
    """The answer comes all the same, and says who has taken the order."""
    with make_processes(2, processes=3) as processes:
        await processes[0].control.reset()  # By then the two have found each other.
        monkeypatch.setattr("harness.emulation.control.ANSWER_TIMEOUT_S", 0.2)
        answer = await processes[0].control.set_faults(b"[]")
        assert 504 == answer.status
        expected = {"answered": [0, 1], "silent": [2]}
        assert {"processes": expected} == json.loads(answer.body)
        assert expected == (await stats(processes[1]))["processes"]


async def test_counts_of_a_process_that_has_gone_stay(make_processes, make_stand, monkeypatch):
    """None of its connections is open any more, and what it held back is lost."""
    monkeypatch.setattr("harness.emulation.control.ANSWER_TIMEOUT_S", 0.1)
    with make_processes(1, processes=2) as (process,):
        process.stand.join()
        killed = make_stand(index=1, processes=2)
        killed.join(5)
        killed.broadcast(b"a")
        killed.tell({"kind": "stall"})
        killed.broadcast(b"b")
        answer = await stats(process)
        assert (1, 1) == (answer["connections"], answer["subscriptions"])
        deliveries = answer["deliveries"]
        assert (10, 5, 0) == (deliveries["owed"], deliveries["sent"], deliveries["pending"])
        assert 5 == deliveries["dropped"]["process_gone"]


async def test_answer_that_comes_too_late_is_ignored(make_processes, monkeypatch):
    """A process that wakes up after its time has still taken the order."""
    with make_processes(2) as (first, second):
        await first.control.reset()  # By then the two have found each other.
        monkeypatch.setattr("harness.emulation.control.ANSWER_TIMEOUT_S", 0.2)
        taken = []
        late = second.control.receive
        second.control.receive = taken.append
        assert 504 == (await first.control.set_faults(b'[{"kind": "drop"}]')).status
        assert MARK == taken[0][0]
        late(taken[0])
        assert second.stand.faults.may_hit(range(1), 1)
        second.control.receive = late
        assert 200 == (await first.control.set_faults(b"[]")).status
