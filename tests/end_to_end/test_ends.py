"""Ends that a user meets: each has one sentence, the right exit code, and comes soon."""

import os
import signal
import subprocess
import sys

import pytest

from tests.support.runs import SHORT
from tests.support.waiting import PATIENCE_S, wait_for

SHOW = "from harness.cli.terminal import tolerate_closed_output as t; t(); print('✓ Pass')"


def test_stream_that_cannot_show_a_character_shows_another():
    """A pipeline whose locale is C still gets the verdict."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (0, b"? Pass\n") == (done.returncode, done.stdout), done.stderr


@pytest.mark.slow
def test_worker_killed_before_the_run_begins_ends_it(launcher):
    """The master does not wait for a worker that is gone."""
    running = launcher.run(SHORT, "--workers", 2)
    pid = wait_for(lambda: len(found := running.workers()) == 2 and found[0], "the workers")
    running.send(signal.SIGKILL, pid)
    outcome = running.outcome()

    assert outcome.exit_code == 4, outcome.said
    assert outcome.left == []


@pytest.mark.slow
def test_disk_that_is_full_at_the_first_write_is_named(launcher):
    """No file can be longer than 1 KB: no traceback, and exit 2."""
    outcome = launcher.run(SHORT, limits="ulimit -f 1").outcome()

    assert outcome.exit_code == 2, outcome.said
    assert "(file too large)" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.slow
def test_killed_report_is_no_verdict(launcher):
    """Exit 1 with one sentence that says how to make it again; nothing says Pass."""
    running = launcher.locust(SHORT)
    running.send(
        signal.SIGKILL, wait_for(lambda: running.pids("report", str(running.folder)), "it")[0]
    )
    outcome = running.outcome()

    assert outcome.exit_code == 1, outcome.said
    assert "report: killed by signal 9, the record is complete" in outcome.stderr
    assert "Pass" not in outcome.stdout
