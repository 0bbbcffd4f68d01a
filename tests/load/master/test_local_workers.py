"""Workers that a master has forked are counted by their processes."""

import os
import subprocess
import sys
import time

import pytest

from harness.core.errors import InvalidRunError
from harness.load.master.worker_watch import WorkerWatch, require_alive
from tests.support.waiting import PATIENCE_S, wait_for


def test_local_worker_that_has_ended_is_named_before_the_run_begins():
    """This process has no child with its own command line."""
    require_alive(0)
    with pytest.raises(InvalidRunError, match="2 of 2 ended before the run began"):
        require_alive(2)


def test_local_worker_that_ends_before_its_first_report_is_lost_at_once():
    """Its process is known from its registration; it is not awaited at the end either."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    pids = {"a": ended.pid, "b": os.getpid()}
    watch = WorkerWatch(["a", "b"], time.monotonic() + PATIENCE_S, local=True, pids=pids)

    problem = wait_for(watch.problem)

    assert problem == f"worker 0 (process {ended.pid}) ended before the run did"
    watch.done(1)
    assert not watch.awaited
