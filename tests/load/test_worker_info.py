import socket
from dataclasses import replace

import pytest

from harness.core.clock import machine_id
from harness.core.errors import MachineError
from harness.load.sizing import refuse, warn_or_refuse
from harness.load.worker_info import WorkerInfo, shortages_of
from harness.scenario.loading import load_plan
from tests.support.machines import TWO_CORES
from tests.support.paths import SCENARIOS

EMULATED = SCENARIOS / "targets" / "appsync-events-emulated.toml"
EXPOSED = ["target.emulator.host=10.0.0.1", "target.emulator.processes=2"]


def plan(*overrides):
    """Return the reference load, 35,000 users, on an emulator that other machines reach."""
    workload = SCENARIOS / "workloads" / "reference.toml"
    return load_plan(workload, EMULATED, overrides=[*EXPOSED, *overrides])


def worker(host="far", machine="another", **offers):
    offered = replace(TWO_CORES, **{"ephemeral_ports": 64_512} | offers)
    return WorkerInfo(host, machine, "1.0", offers=offered)


def names(short):
    return {where: [check.name for check in checks] for where, checks in short.items()}


def test_worker_tells_what_its_machine_offers():
    """What it says arrives as it was said, figure by figure."""
    told = WorkerInfo.here(("polling",))
    assert told == WorkerInfo.from_message(told.to_message())
    assert (machine_id(), ("polling",)) == (told.machine, told.systems)
    assert told.offers.memory_bytes > 0


@pytest.mark.parametrize("offers", [None, {}, {"cores": 2.0}])
def test_worker_that_does_not_say_what_it_offers_is_not_held_back(offers):
    """Nothing is made up."""
    told = WorkerInfo.from_message({"host": "far", "version": "1.0", "offers": offers})
    assert (None, {}) == (told.offers, shortages_of([told], plan(), 1))


def test_machines_that_will_do_lack_nothing():
    """Half of 35,000 connections each."""
    assert {} == shortages_of([worker("one", "1"), worker("two", "2")], plan(), 2)


def test_worker_short_of_files_is_named_with_both_figures():
    """17,500 connections and some spare files, of which its host lets a process have 1,024."""
    short = shortages_of([worker("one", "1"), worker("two", "2", open_files=1024)], plan(), 2)
    assert {"worker on two": ["open files of a worker"]} == names(short)
    sentence = str(refuse(short))
    assert sentence.startswith(
        "worker on two: open files of a worker: 1,024 found, 17,564 needed\nhint: "
    )
    assert "raise the hard limit (ulimit -Hn)" in sentence


def test_workers_of_one_machine_share_its_memory_cores_and_ports():
    """What one could carry alone, four of them cannot: all four quarters are its load."""
    offers = {"ephemeral_ports": 10_000, "cores": 0.3, "memory_bytes": 500_000_000}
    apart = [worker(f"host-{place}", f"{place}", **offers) for place in range(4)]
    together = [worker(**offers)] * 4
    assert {} == shortages_of(apart, plan(), 4)
    assert {"4 workers on far": ["ports of a source address", "memory", "cores"]} == names(
        shortages_of(together, plan(), 4)
    )


def test_containers_of_one_machine_are_looked_at_one_by_one():
    """Each has limits of its own, and a name of its own."""
    offers = {"ephemeral_ports": 10_000, "cores": 0.3, "memory_bytes": 500_000_000}
    pods = [worker(f"pod-{place}", "node", **offers) for place in range(4)]
    assert {} == shortages_of(pods, plan(), 4)


def test_least_that_any_process_of_a_machine_was_offered_counts():
    """One shell of two has a lower limit."""
    far = [worker(), worker(open_files=100)]
    assert {"2 workers on far": ["open files of a worker"]} == names(shortages_of(far, plan(), 2))


def test_masters_own_machine_serves_as_well():
    """Its workers' half fits, but not beside the whole emulator."""
    here = worker(socket.gethostname(), machine_id(), memory_bytes=900_000_000)
    far = worker(memory_bytes=900_000_000)
    name = f"worker on {socket.gethostname()}"
    assert {name: ["memory"]} == names(shortages_of([here, far], plan(), 2))


def test_shortages_of_a_whole_fleet_are_told_for_the_first_few():
    """Equal machines have the same shortages; they are listed a few times only."""
    far = [worker(f"host-{place}", f"{place}", open_files=100) for place in range(200)]
    sentence = str(refuse(shortages_of(far, plan(), 200)))
    assert 8 == sentence.count("open files of a worker: 100 found, 239 needed")
    assert sentence.endswith("\nand 192 more")


def test_insisting_turns_a_refusal_into_a_warning_that_names_the_worker():
    """With --force, and in the record."""
    short = shortages_of([worker(open_files=100, cores=4.0)], plan(), 1)
    with pytest.raises(MachineError):
        warn_or_refuse(short, force=False)
    (warning,) = warn_or_refuse(short, force=True)
    assert ("machine_too_small", 100, 35_064) == tuple(
        warning[key] for key in ("code", "observed", "limit")
    )
    assert warning["hint"].startswith("worker on far: open files of a worker: 100 found")
