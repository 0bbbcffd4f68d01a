import resource
from dataclasses import replace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.machine import PLAIN, TLS, Check, Needs, check_machine, figure, read_machine
from tests.support.machines import TWO_CORES


def needs_of(**changes) -> Needs:
    needs = {
        "users": 1000,
        "http_publishers": 0,
        "joins_per_s": 200.0,
        "deliveries_per_s": 4000.0,
        "workers": 1,
        "emulator_processes": 1,
        "source_addresses": 1,
        "tls": False,
    }
    return Needs(**(needs | changes))


def failing(machine=TWO_CORES, **changes) -> set[str]:
    return {check.name for check in check_machine(machine, needs_of(**changes)) if not check.enough}


@pytest.fixture
def kernel(tmp_path):
    """A kernel's view of which the test writes what it needs."""

    def write(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")

    write("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
    write("proc/sys/net/core/somaxconn", "4096\n")
    write.read = lambda: read_machine(tmp_path / "proc", tmp_path / "cgroup")
    return write


def test_limits_of_the_kernel_are_read(kernel):
    """Both ends of the port range count."""
    machine = kernel.read()
    assert (28_232, 4096) == (machine.ephemeral_ports, machine.somaxconn)


def test_this_machine_can_be_read():
    """The real thing has memory, a core and a clock."""
    machine = read_machine()
    assert machine.memory_bytes > 0
    assert machine.cores > 0
    assert machine.clock_resolution_ns >= 1


def test_limits_that_are_not_told_are_none(tmp_path):
    """Where the kernel shows nothing, nothing is made up."""
    machine = read_machine(tmp_path, tmp_path)
    assert (None, None) == (machine.ephemeral_ports, machine.somaxconn)


@pytest.mark.parametrize(
    ("limit", "open_files"), [(resource.RLIM_INFINITY, None), (20_000, 20_000)]
)
def test_hard_limit_of_files_counts(kernel, monkeypatch, limit, open_files):
    """A process may raise its soft limit up to the hard one; no limit is no limit."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, limit))
    assert open_files == kernel.read().open_files


def test_container_limits_memory_and_cores(kernel):
    """A container's share counts, not the host behind it."""
    kernel("cgroup/memory.max", "3000000\n")
    kernel("cgroup/memory.current", "1000000\n")
    kernel("cgroup/cpu.max", "50000 100000\n")
    machine = kernel.read()
    assert (2_000_000, 0.5) == (machine.memory_bytes, machine.cores)


def test_container_without_limits_has_the_host(kernel, monkeypatch):
    """The word max is no limit."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    kernel("cgroup/memory.max", "max\n")
    kernel("cgroup/memory.current", "1000000\n")
    kernel("cgroup/cpu.max", "max 100000\n")
    memory = psutil.virtual_memory()
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    machine = kernel.read()
    assert (3.0, memory.available) == (machine.cores, machine.memory_bytes)


def test_small_run_fits():
    """A thousand users lack nothing on two cores."""
    assert set() == failing()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"users": 19_936}, set()),
        ({"users": 19_937}, {"open files of a worker", "open files of an emulator process"}),
        ({"users": 19_937, "workers": 2}, {"open files of an emulator process"}),
        ({"users": 19_937, "emulator_processes": 0}, {"open files of a worker"}),
        ({"users": 28_233, "workers": 2, "emulator_processes": 2}, {"ports of a source address"}),
        (
            {"users": 28_132, "http_publishers": 101, "workers": 2, "emulator_processes": 2},
            {"ports of a source address"},
        ),
        (
            {"joins_per_s": 4097.0, "workers": 4},
            {"connections waiting (somaxconn)", "cores", "core of an emulator process"},
        ),
        ({"joins_per_s": 4097.0, "workers": 4, "emulator_processes": 2}, {"cores"}),
        ({"deliveries_per_s": 145_000.0, "workers": 2}, {"core of an emulator process"}),
        ({"deliveries_per_s": 200_000.0, "workers": 2, "emulator_processes": 2}, {"cores"}),
        ({"deliveries_per_s": 180_000.0, "emulator_processes": 0}, {"core of a worker"}),
    ],
)
def test_what_is_too_low_is_found_to_the_last_one(changes, names):
    """Each limit is hit exactly where it lies."""
    assert names == failing(**changes)


def test_memory_counts_every_connection_on_both_sides():
    """Known sum: processes, and for each user the worker's and the emulator's share."""
    per_user = PLAIN.worker_bytes + PLAIN.emulator_bytes
    assert 150_000_000 + 60_000_000 + 1000 * per_user == needs_of().memory_bytes
    assert (
        150_000_000 + 1000 * TLS.worker_bytes
        == needs_of(tls=True, emulator_processes=0).memory_bytes
    )


def test_cores_are_those_of_the_busier_time():
    """Joining and receiving do not overlap, so they are not added up."""
    joining = needs_of(joins_per_s=2000.0, deliveries_per_s=0.0)
    both = needs_of(joins_per_s=2000.0, deliveries_per_s=1000.0)
    assert 2000 * PLAIN.worker_join_us / 1e6 == joining.worker_cores == both.worker_cores


def test_connections_over_several_emulator_processes_are_uneven():
    """The fullest of two processes holds more than half."""
    assert (1064, 614) == (
        needs_of().files_per_emulator_process,
        needs_of(emulator_processes=2).files_per_emulator_process,
    )


def test_coarse_clock_is_found():
    """A clock that steps in milliseconds is not enough."""
    assert {"clock resolution"} == failing(replace(TWO_CORES, clock_resolution_ns=4_000_000))


@given(found=st.none() | st.floats(0, 1e9), needed=st.floats(0, 1e9))
def test_unknown_is_enough_and_bounds_work_both_ways(found, needed):
    """What is not known holds nobody back; a bound from above mirrors one from below."""
    lower = Check("x", found, needed, "", "")
    upper = Check("x", found, needed, "", "", at_most=True)
    assert (found is None or found >= needed) == lower.enough
    assert (found is None or found <= needed) == upper.enough


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "not known"),
        (28_232, "", "28,232"),
        (8e9, "bytes", "8,000 MB"),
        (0.349, "cores", "0.35 cores"),
        (1, "ns", "1 ns"),
    ],
)
def test_figure_is_written_for_people(value, unit, text):
    """Thousands have commas and units follow."""
    assert text == figure(value, unit)
