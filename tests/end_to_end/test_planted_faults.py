"""Faults of the load generator, planted by real means: each makes the run invalid and is named."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest

from harness.net.stream import RESERVED_FILES
from harness.scenario.workload import Generator
from tests.support.paths import ROOT
from tests.support.runs import (
    EMULATED,
    SHORT,
    SMOKE,
    RunningCommand,
    after,
    after_each,
    lenient,
    sets,
)

FAULTY = ROOT / "tests/support/faulty_locustfile.py"
MEASURED = SHORT | {"phases.measure_s": 5.0, "phases.drain_s": 0.5}
JOINING = SHORT | {"joins.rate_per_s": 5.0}
"""Users join one after the other for twenty seconds, unless the run ends before."""
MEASURING_AT_S = 3

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))),
    reason="only root may make a network of its own",
)


def strict(*limits):
    """Return settings that judge by the default of these limits, whatever the machine does."""
    return {f"generator.{name}": getattr(Generator(), name) for name in limits}


def faulty(launcher, fault, limits):
    """Run the locustfile that plants this fault."""
    files = ("--workload", SMOKE, "--target", EMULATED, "--out", "RECORD")
    flags = sets(lenient() | MEASURED | strict(*limits))
    command = (sys.executable, "-m", "locust", "-f", FAULTY, "--headless", *files, *flags)
    return RunningCommand(launcher.new_folder(), *command, FAULT=fault).outcome()


def hogged_cpu(launcher):
    running = launcher.run(MEASURED | strict("machine_others_ratio")).until_second(0)
    with contextlib.ExitStack() as hogs:
        for _ in range(os.cpu_count() or 1):
            hog = hogs.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            hogs.callback(hog.kill)
        running.until_second(MEASURING_AT_S + 4)
    return running.outcome()


def stopped_worker(launcher):
    running = launcher.run(MEASURED | strict("loop_lag_max_ms")).until_second(MEASURING_AT_S)
    running.send(signal.SIGSTOP, running.master())
    time.sleep(2.0)
    running.send(signal.SIGCONT, running.master())
    return running.outcome()


blocked_loop = partial(faulty, fault="blocked loop", limits=("loop_lag_max_ms",))
stepped_clock = partial(faulty, fault="clock step", limits=("clock_step_max_ms",))
late_schedule = partial(
    faulty, fault="late schedule", limits=("late_slots_ratio", "send_delay_p99_ms")
)

broken_ledger = partial(faulty, fault="broken ledger", limits=())
broken_report = partial(faulty, fault="broken report", limits=())
broken_watch = partial(faulty, fault="broken watch", limits=())
broken_conclusion = partial(faulty, fault="broken conclusion", limits=())


def full_files(launcher):
    running = launcher.run(JOINING).until_second(0)
    worker = psutil.Process(running.master())
    full = worker.num_fds() + RESERVED_FILES + 5
    worker.rlimit(resource.RLIMIT_NOFILE, (full, full))
    return running.outcome()


def full_ports(launcher):
    flags = ("--target", EMULATED, "--out", "RECORD", *sets(lenient() | JOINING))
    command = (sys.executable, "-m", "harness", "run", SMOKE, *flags)
    in_a_network = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    running = RunningCommand(launcher.new_folder(), *in_a_network, *command)
    running.until_second(0)
    narrow = "echo 50000 50004 > /proc/sys/net/ipv4/ip_local_port_range"
    network = ["nsenter", "--net", f"--target={running.master()}"]
    subprocess.run([*network, "sh", "-c", narrow], check=True)
    return running.outcome()


def named(outcome):
    """Return what the run was found to suffer from, and check that it is invalid for it."""
    assert (4, "invalid") == (outcome.exit_code, outcome.summary["verdict"])
    assert "Traceback" not in outcome.said
    found = [w for w in outcome.summary["warnings"] if w["invalidates"]]
    assert all(warning["hint"] for warning in found)
    return {warning["code"] for warning in found}


NOTICED = {
    "programs outside the run have all cores": (hogged_cpu, "machine_crowded"),
    "realtime jumps by 60 ms": (stepped_clock, "clock_step"),
}
ALONE = {
    "a worker is stopped for two seconds": (stopped_worker, {"generator_stopped"}),
    "code in a locustfile sleeps without yielding": (blocked_loop, {"generator_stopped"}),
    "the publisher gets its turn 0.3 s too late": (
        late_schedule,
        {"generator_send_delay", "generator_late_slots"},
    ),
}
OUR_OWN = {
    "the account of deliveries raises": (broken_ledger, "internal_error"),
    "the report of a second raises": (broken_report, "run_cut_short"),
    "the watch of the master raises": (broken_watch, "run_cut_short"),
}


def commands(faults):
    return {name: fault for name, (fault, *_) in faults.items()}


@after_each(commands(NOTICED))
def test_fault_is_noticed(outcome, request):
    """It makes the run invalid, maybe beside others."""
    assert NOTICED[request.node.callspec.id][1] in named(outcome)


@after_each(commands(ALONE))
def test_fault_is_noticed_and_no_other(outcome, request):
    """What it does to other figures is not told as a fault of its own."""
    assert ALONE[request.node.callspec.id][1] == named(outcome)


@after(full_files)
def test_full_limit_on_open_files_ends_the_run_and_is_its_cause(outcome):
    """The run ends at once and says why; the target is not blamed."""
    assert "out_of_open_files" in named(outcome)
    assert "out_of_open_files" == outcome.run["cause"]["code"]


@after_each(commands(OUR_OWN))
def test_exception_in_our_own_code_is_the_reason_and_its_line_is_in_the_log(outcome, request):
    """The run is invalid; the target is not blamed."""
    warning = next(w for w in outcome.summary["warnings"] if w["invalidates"])
    assert (4, OUR_OWN[request.node.callspec.id][1]) == (outcome.exit_code, warning["code"])
    assert "faulty_locustfile.py" in outcome.said
    assert "ZeroDivisionError: planted" in outcome.stdout


@after(broken_conclusion)
def test_exception_at_the_end_is_no_bad_usage_and_no_verdict(outcome):
    """The user gets one sentence, and nothing says Pass."""
    assert (1, "") == (outcome.exit_code, outcome.stdout)
    (sentence,) = outcome.errors
    assert sentence.startswith("error: run: ")
    assert "ZeroDivisionError: planted" in sentence


@needs_namespaces
@after(full_ports)
def test_full_ports_are_noticed(outcome):
    """The ports of the source address are used up while users join."""
    assert "out_of_ports" in named(outcome)
    assert "out_of_ports" == outcome.run["cause"]["code"]
