"""What goes wrong with a fleet, as its user meets it: a sentence, an exit code, nothing left."""

import re
import signal
from functools import partial

import pytest

from tests.support.distributed_runs import (
    RunGroup,
    locustfile_with,
    master_command,
    odd_worker_command,
    worker_command,
)
from tests.support.ports import free_port
from tests.support.runs import LONG, after, after_each
from tests.support.waiting import PATIENCE_S

NEEDED_FILES = "114"
"""Half of 100 connections, and 64 to spare."""

IMPATIENT = """
import locust.runners
locust.runners.MASTER_HEARTBEAT_TIMEOUT = 8
"""
FOR_POLLING = """
import harness.load.users
harness.load.users.FanOutUser.system = "polling"
"""
MAX_WAIT_S = round(PATIENCE_S / 2)
"""Long enough for the one worker that comes, on a busy machine."""


def short_of_files(launcher):
    port = free_port()
    with RunGroup(launcher) as group:
        group.begin(master_command({}, port))
        group.begin(worker_command(port))
        group.begin(worker_command(port), limits="ulimit -n 100")
        return group.outcomes()


def another_system(launcher):
    port = free_port()
    with RunGroup(launcher) as group:
        group.begin(master_command({}, port))
        group.begin(odd_worker_command(port, locustfile_with(launcher, FOR_POLLING)))
        return group.outcomes()


def never_enough(launcher):
    port = free_port()
    with RunGroup(launcher) as group:
        group.begin(master_command({}, port, "--max-wait", MAX_WAIT_S))
        group.begin(worker_command(port))
        return group.outcomes()


def _disturbed(launcher, disturb):
    """Let something happen in a running run; return how the master and each worker ended."""
    port = free_port()
    with RunGroup(launcher) as group:
        master = group.begin(master_command(LONG, port))
        workers = [group.begin(worker_command(port))]
        workers.append(group.begin(odd_worker_command(port, locustfile_with(launcher, IMPATIENT))))
        master.until_second(2)
        disturb(master, workers)
        return master.outcome(), workers[1].outcome() if disturb is kill_master else None


def kill_worker(_, workers):
    workers[1].send(signal.SIGKILL)


def stop_worker(_, workers):
    workers[1].send(signal.SIGSTOP)


def kill_master(master, _):
    master.send(signal.SIGKILL, master.master())


killed_worker = partial(_disturbed, disturb=kill_worker)
stopped_worker = partial(_disturbed, disturb=stop_worker)
killed_master = partial(_disturbed, disturb=kill_master)


@after(short_of_files)
def test_worker_whose_machine_lacks_files_is_named_before_the_load_starts(outcome):
    """Found, needed and what to do, on both sides; nothing is run."""
    master, *workers = outcome
    assert (2, [2, 2], []) == (master.exit_code, [each.exit_code for each in workers], master.left)
    (sentence,) = master.errors
    found = rf"error: .*workers? on \S+: open files of a worker: 100 found, {NEEDED_FILES} needed"
    assert re.fullmatch(found, sentence)
    assert "raise the hard limit (ulimit -Hn)" in master.stderr
    assert all("open files of a worker: 100 found" in each.said for each in workers)
    assert not master.folder.exists()
    assert "Traceback" not in "".join(each.said for each in outcome)


@after(another_system)
def test_worker_bound_to_another_system_is_refused(outcome):
    """Both sides say so."""
    master, other = outcome
    assert (2, 2, []) == (master.exit_code, other.exit_code, master.left)
    sentence = "its users can join polling, the target is of system appsync-events"
    assert sentence in master.stderr
    assert sentence in other.said
    assert "Traceback" not in master.said + other.said


@after(never_enough)
def test_workers_that_never_come_end_the_waiting(outcome):
    """The one who came is named, and told too."""
    master, worker = outcome
    assert (2, 2, []) == (master.exit_code, worker.exit_code, master.left)
    (sentence,) = master.errors
    assert re.search(
        rf"workers: 1 of 2 were ready within {MAX_WAIT_S} s \(\S+\), all must", sentence
    )
    assert "workers: 1 of 2 were ready" in worker.said
    assert not master.folder.exists()


@pytest.mark.slow
@after_each({"killed": killed_worker, "hanging": stopped_worker})
def test_lost_worker_makes_the_run_invalid(outcome):
    """It is named; the run ends, and does not go on without it."""
    master, _ = outcome
    assert (4, []) == (master.exit_code, master.left)
    cause = master.run["cause"]
    assert "worker_lost" == cause["code"]
    assert re.fullmatch(r"worker [01] \(\S+\) has not reported for \d+ s", cause["message"])
    assert cause["message"].removeprefix("w") in master.stdout
    assert "Traceback" not in master.said


@pytest.mark.slow
@after(killed_master)
def test_killed_master_ends_its_workers_with_a_sentence(outcome):
    """They hear nothing more of it, say so, and do not call that a success."""
    master, worker = outcome
    assert (1, 4, []) == (master.exit_code, worker.exit_code, worker.left)
    assert "load process: was killed by signal 9" in master.stderr
    assert "error: master: sent no heartbeat for 8 s, a worker ends with its master" in worker.said
    assert "Traceback" not in worker.said
