"""Runs whose workers are elsewhere: in namespaces, behind slow lines, with clocks of their own."""

import shutil
import signal
import sys

import pytest

from harness.core.clock import NS_PER_S
from tests.support import network_namespaces
from tests.support.distributed_runs import (
    RunGroup,
    locustfile_with,
    master_command,
    odd_worker_command,
    worker_command,
)
from tests.support.ports import free_port
from tests.support.runs import ROOT, after

pytestmark = pytest.mark.slow

AHEAD_S, FASTER = 30.0, 1e-4
SLOW_LINE = ROOT / "tests/support/slow_line.py"
LINE_S = (0.02, 0.005, 0.004)
"""Delay to the master and back, and jitter of each."""

FAKED = f"+{AHEAD_S:g} x{1 + FASTER}"
"""Ahead, and faster by 100 parts in a million."""

WITHOUT_STAMPS = """
import socket
import harness.net.stream
# The faked clock is this process's alone; the kernel stamps by its own, as no other machine would.
harness.net.stream.SO_TIMESTAMPNS = socket.SO_KEEPALIVE
"""
HELD_AT_A_GATE = """
import pathlib, time
import harness.load.users
while not pathlib.Path("{gate}").exists():
    time.sleep(0.05)
"""
"""All is loaded before the run begins, so that a busy machine takes no time for it after."""
ANOTHER_VERSION = """
import harness.load.worker_info
harness.load.worker_info.harness_version = lambda: {"version": "0.0.9", "revision": None}
"""


def _clocks(outcome):
    """Return the seconds of each worker, which must have been measured in every one."""
    rows = outcome.table("generator").sort_values("second")
    assert rows["clock_error_ms"].notna().all()
    return {number: rows[rows["worker"] == number] for number in (0, 1)}


def _over_namespaces(launcher, network, settings, slow_line=()):
    """Run a master in the first namespace and a worker in each other; the last may be slow."""
    port, here = free_port(), network.address(0)
    flags = ("--measure-clocks", "--set", f"target.emulator.host={here}")
    with RunGroup(launcher) as group:
        group.begin(network.inside(0, *master_command(settings, port, *flags)))
        group.begin(network.inside(1, *worker_command(port, here)))
        group.begin(network.inside(2, *worker_command(port, "127.0.0.1" if slow_line else here)))
        if slow_line:
            group.begin(network.inside(2, *slow_line, port, here, *LINE_S))
        return [running.outcome() for running in group.commands[:3]]


def three_namespaces(launcher):
    with network_namespaces.Network(3) as network:
        return _over_namespaces(launcher, network, {})


def slow_line(launcher):
    with network_namespaces.Network(3) as network:
        limit = {"generator.clock_error_max_ms": 10.0}
        return _over_namespaces(launcher, network, limit, (sys.executable, SLOW_LINE))[0]


def delayed_packets(launcher):
    with network_namespaces.Network(3) as network:
        network.delay(2, 10, 2)
        return _over_namespaces(launcher, network, {})[0]


def faked_clock(launcher):
    port = free_port()
    with RunGroup(launcher) as group:
        group.begin(master_command({"phases.measure_s": 10.0}, port, "--measure-clocks"))
        group.begin(worker_command(port))
        faked = odd_worker_command(port, locustfile_with(launcher, WITHOUT_STAMPS))
        group.begin(("faketime", "-f", FAKED, *faked), DONT_FAKE_MONOTONIC="1")
        return group.outcomes()[0]


def lost_and_late(launcher):
    port = free_port()
    with RunGroup(launcher) as group:
        settings = {"phases.measure_s": 14.0}
        master = group.begin(master_command(settings, port, "--allow-lost-workers"))
        lost = [group.begin(worker_command(port)) for _ in range(2)][1]
        gate = launcher.new_folder() / "gate"
        late = locustfile_with(launcher, HELD_AT_A_GATE.format(gate=gate))
        group.begin(odd_worker_command(port, late))
        master.until_second(3)
        lost.send(signal.SIGKILL, lost.pids("locust", "--worker")[0])
        gate.touch()
        outcomes = group.outcomes()
        return outcomes[0], outcomes[3]


def another_version(launcher):
    port = free_port()
    with RunGroup(launcher) as group:
        group.begin(master_command({}, port))
        group.begin(odd_worker_command(port, locustfile_with(launcher, ANOTHER_VERSION)))
        return group.outcomes()


@network_namespaces.needed
@after(three_namespaces)
def test_run_over_three_namespaces_passes_and_shows_its_clocks(outcome):
    """Master and two workers share a kernel, so the true offsets are 0: within every bound."""
    master, *workers = outcome
    assert (0, [], [0, 0]) == (master.exit_code, master.left, [w.exit_code for w in workers])
    for seconds in _clocks(master).values():
        assert (seconds["clock_offset_ms"].abs() <= seconds["clock_error_ms"]).all()
    page = (master.folder / "report.html").read_text("utf-8")
    assert "Offset of the run clock, the master" in page


@network_namespaces.needed
@after(slow_line)
def test_slow_line_widens_the_bound_and_makes_the_run_invalid(outcome):
    """20 ms there and 5 ms back are 7.5 ms of error, inside a bound of 12.5 ms that is too wide."""
    assert (4, []) == (outcome.exit_code, outcome.left)
    assert "clock_error" in [warning["code"] for warning in outcome.summary["warnings"]]
    slow = max(_clocks(outcome).values(), key=lambda seconds: seconds["clock_error_ms"].median())
    assert (slow["clock_offset_ms"].abs() <= slow["clock_error_ms"]).all()
    assert slow["clock_error_ms"].min() > 12.0


@pytest.mark.skipif(not network_namespaces.has_netem(), reason="the kernel has no netem")
@after(delayed_packets)
def test_delayed_packets_stay_inside_the_bound(outcome):
    """10 ms with jitter on every packet that leaves a worker, answers and deliveries alike."""
    assert [] == outcome.left
    for seconds in _clocks(outcome).values():
        assert (seconds["clock_offset_ms"].abs() <= seconds["clock_error_ms"]).all()


@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
@after(faked_clock)
def test_clock_that_is_ahead_and_drifts_is_corrected(outcome):
    """30 s ahead and 100 ppm fast: found within the bound, and gone from the latencies."""
    assert (0, []) == (outcome.exit_code, outcome.left)
    ahead = min(_clocks(outcome).values(), key=lambda seconds: seconds["clock_offset_ms"].min())
    drifted_ms = outcome.seconds * FASTER * 1000
    beyond_ms = -ahead["clock_offset_ms"] - AHEAD_S * 1000
    assert (beyond_ms > -ahead["clock_error_ms"]).all()
    assert (beyond_ms < ahead["clock_error_ms"] + drifted_ms).all()
    first = outcome.table("connections").groupby("worker")["first_arrival_ns"].min()
    assert abs(first[0] - first[1]) / NS_PER_S < AHEAD_S / 2
    assert outcome.summary["fan_out_latency_ms"]["p50"] < AHEAD_S * 1000 / 2


@after(lost_and_late)
def test_lost_worker_is_named_and_a_late_one_is_sent_away(outcome):
    """The run goes on without the one, as was allowed, and the other takes nobody's share."""
    master, late = outcome
    assert (0, 2, []) == (master.exit_code, late.exit_code, master.left)
    warnings = {warning["code"]: warning for warning in master.summary["warnings"]}
    assert {"worker_lost", "worker_late"} == set(warnings)
    assert "50 users and 1/2 of the publishes were missing" in warnings["worker_lost"]["hint"]
    assert "registered too late" in late.said


@after(another_version)
def test_worker_of_another_version_is_named_and_refused(outcome):
    """Nothing is run, no folder is left, and both sides say why."""
    master, other = outcome
    assert (2, 2, False) == (master.exit_code, other.exit_code, master.folder.exists())
    assert "runs harness 0.0.9, the master runs" in master.stderr
    assert "runs harness 0.0.9, the master runs" in other.said
