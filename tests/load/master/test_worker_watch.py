import subprocess
import sys
import time

import pytest

from harness.load.master import worker_watch
from harness.load.master.worker_watch import WorkerWatch
from tests.support.waiting import wait_for

FOREVER = "import time; time.sleep(60)"


@pytest.fixture
def process():
    """A process that can be killed."""
    with subprocess.Popen([sys.executable, "-c", FOREVER]) as running:
        yield running
        running.kill()


def watch(*, first_report_s=None, local=True):
    now_s = time.monotonic()
    return WorkerWatch(["vm_a", "vm_b"], first_report_s or now_s, local=local)


def test_workers_that_report_are_well(process):
    """No complaint, and their accounts are awaited."""
    watched = watch()
    watched.reported(0, process.pid)
    watched.reported(1, process.pid)
    assert (None, True) == (watched.problem(), watched.awaited)


def test_ended_worker_is_named_by_its_process(process, monkeypatch):
    """A process that is gone, and not yet waited for, is lost long before it would be silent."""
    monkeypatch.setattr(worker_watch, "IN_FLIGHT_S", 0.1)
    watched = watch()
    watched.reported(1, process.pid)
    process.kill()
    assert f"worker 1 (process {process.pid}) ended before the run did" == wait_for(watched.problem)


def test_worker_that_has_just_ended_may_have_accounts_under_way(process):
    """What it sent last is still awaited for a moment."""
    watched = watch()
    watched.done(0)
    watched.reported(1, process.pid)
    process.kill()
    process.wait()
    assert (None, True) == (watched.problem(), watched.awaited)


def test_ended_worker_is_not_awaited(process, monkeypatch):
    """The end of the run does not wait for accounts that cannot come."""
    monkeypatch.setattr(worker_watch, "IN_FLIGHT_S", -1.0)
    watched = watch()
    watched.done(0)
    watched.reported(1, process.pid)
    process.kill()
    process.wait()
    assert not watched.awaited


def test_silent_worker_is_named_by_its_id():
    """Elsewhere only silence tells; it counts from when the first report was due."""
    watched = watch(first_report_s=time.monotonic() - 7.2)
    assert "worker 0 (vm_a) has not reported for 7 s" == watched.problem()


@pytest.mark.parametrize("local", [True, False], ids=["it is done", "it is another machine's"])
def test_process_that_may_end_is_no_problem(process, monkeypatch, local):
    """A worker sent everything and left; or its number is some other process here."""
    monkeypatch.setattr(worker_watch, "IN_FLIGHT_S", -1.0)
    watched = watch(local=local)
    watched.reported(0, process.pid)
    if local:
        watched.done(0)
    process.kill()
    process.wait()
    assert watched.problem() is None


def test_lost_worker_that_was_excluded_is_no_complaint():
    """The run goes on with the other; its account is not waited for."""
    watched = watch(first_report_s=time.monotonic() - 7.2)
    watched.reported(1, 0)
    watched.done(1)
    assert [(0, "worker 0 (vm_a) has not reported for 7 s")] == watched.take_lost()
    assert (None, False, []) == (watched.problem(), watched.awaited, watched.take_lost())


def test_run_does_not_go_on_without_any_worker():
    """When all are lost, no worker remains."""
    watched = watch(first_report_s=time.monotonic() - 7.2)
    assert [] == watched.take_lost()
    assert watched.problem() is not None
