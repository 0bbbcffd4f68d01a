"""What a process of the load needs of its host and of Locust: signals, limits, memory, its end."""

import ctypes
import logging
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent import getcurrent
from locust import runners
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import WorkerRunner

from harness.core.child_python import python_command
from harness.core.errors import HarnessError, MachineError
from harness.core.exit_codes import ExitCode
from harness.load.internal_errors import BUG_HINT, log_error, sentence_of
from harness.load.preflight import print_message, report_failure

INTERRUPT_GRACE_S = 30.0
"""After Ctrl-C a worker waits this long for its master to end the run."""

LARGE_BLOCK_BYTES = 128 * 1024
"""glibc's own threshold at the start of a process."""

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_PR_SET_PDEATHSIG = 1  # prctl(2): the signal this process gets when its parent dies


def on_interrupt(handler: Callable[[], None]) -> None:
    """Handle Ctrl-C in a greenlet of its own; an ignored SIGINT, as under nohup, stays ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        gevent.signal_handler(signal.SIGINT, handler)


def ignore_interrupt_follow_parent(runner: WorkerRunner, options: Any) -> None:
    """Leave Ctrl-C to the master, which ends the run in order; end when the master is gone.

    A terminal sends SIGINT to every process of the group at once. Locust's workers would drop
    their users immediately, before their records were sent.
    """

    def interrupted() -> None:
        gevent.spawn_later(INTERRUPT_GRACE_S, runner.quit)

    on_interrupt(interrupted)
    if options.processes and sys.platform == "linux":
        # Not SIGTERM: its handler sends the records, and no master is left to receive them.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def report_lost_master(environment: Environment) -> None:
    """Report when a worker ends because its master is gone; Locust exits with 0 then."""
    runner: Any = environment.runner
    heard_s, limit_s = runner.last_heartbeat_timestamp, runners.MASTER_HEARTBEAT_TIMEOUT
    if heard_s is not None and heard_s < time.time() - limit_s:
        found = f"sent no heartbeat for {limit_s} s"
        hint = "it was killed, or the network is down; what it has recorded is in its folder"
        print_message(
            f"error: {MachineError('master', found, 'a worker ends with its master', hint)}"
        )
        environment.process_exit_code = int(ExitCode.RUN_INVALID)


def make_report(folder: Path) -> tuple[int, str]:
    """Make the report of a run; return the exit status and what was printed.

    In a process of its own, since pandas must never load in this one.
    """
    command = [*python_command("harness"), "report", str(folder)]
    # A terminal sends Ctrl-C to the report's process too; it is blocked there and handled here.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        report = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with report:
        try:
            printed, _ = report.communicate()
        except KeyboardInterrupt:
            report.kill()
            raise
    return report.returncode, printed


def killed_report(signum: int, folder: Path) -> MachineError:
    """Return the error of a report that was killed while it was made."""
    hint = f"make it again: harness report {folder}"
    return MachineError("report", f"killed by signal {signum}", "the record is complete", hint)


def report_bug(error: Exception) -> int:
    """Log an exception that ends this process, report it as one sentence; return the exit code."""
    log_error(error)
    failure = HarnessError("run", sentence_of(error), "it must come to its end", BUG_HINT)
    report_failure(failure)
    return int(failure.exit_code)


def raise_open_files_limit() -> None:
    """Raise the limit of open files to the hard limit; a shell's default is often 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def return_freed_memory() -> None:
    """Make glibc return each large block to the system as soon as it is freed.

    By default glibc raises the size of such a block to the largest one it has seen freed. The
    histograms of each second then lie among small objects that stay, and the process grows by
    100 MiB an hour and more, although its objects do not. Source: mallopt(3).
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


class StopReason:
    """The message of a ``StopTest`` that a user class raised; Locust only logs it."""

    def __init__(self) -> None:
        self.message: str | None = None
        logging.getLogger(runners.__name__).addFilter(self._filter)

    def __str__(self) -> str:
        return self.message or "it called runner.quit()"

    def _filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, StopTest):
            self.message = " ".join(str(record.msg).split()) or "StopTest"
        return True


def is_called_by_user(runner: runners.Runner) -> bool:
    """Return whether the current greenlet is one of the runner's users."""
    return getcurrent() in runner.user_greenlets
