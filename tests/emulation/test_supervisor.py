import os
import pty
import signal
import subprocess
import sys

import pytest

from harness.emulation.supervisor import Signals, supervise
from tests.support.waiting import PATIENCE_S

TAKE_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
"""
PROGRAM = """
import signal
signal.signal(signal.SIGHUP, signal.{hangup})
from harness.emulation.supervisor import Signals, supervise
with Signals() as signals:
    print("ready", flush=True)
    supervise([], signals, reload=lambda: print("reload", flush=True))
print("stopped", flush=True)
"""
HANGS_UP, NOHUP = PROGRAM.format(hangup="SIG_DFL"), PROGRAM.format(hangup="SIG_IGN")
"""Said in both, as the tests themselves may run under nohup."""


class Attendant:
    """A process that attends, in a session of its own with a terminal of its own."""

    def __init__(self, program):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL + program, str(slave)],
            pass_fds=[slave],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        os.close(slave)
        assert "ready" == self.line()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")


@pytest.fixture
def attendant():
    """Start one; it is ended after the test."""
    started = []

    def start(program):
        started.append(Attendant(program))
        return started[-1]

    yield start
    for attendant in started:
        with attendant.process as process:
            process.kill()


def test_hangup_signal_means_reload_and_a_lost_terminal_means_stop(attendant):
    """SIGHUP from a user is told apart from the one that a closed terminal sends."""
    process = attendant(HANGS_UP)
    process.process.send_signal(signal.SIGHUP)
    assert "reload" == process.line()
    os.close(process.master)
    assert "stopped" == process.line()
    assert 0 == process.process.wait(PATIENCE_S)


def test_lost_terminal_does_not_stop_what_was_started_to_survive_it(attendant):
    """Where SIGHUP was ignored at the start, as nohup has it, the emulator stays."""
    process = attendant(NOHUP)
    os.close(process.master)
    assert "reload" == process.line()
    process.process.send_signal(signal.SIGTERM)
    assert "stopped" == process.line()


def test_signal_that_comes_before_anybody_attends_is_not_lost():
    """A stop in the middle of the start is obeyed; the handlers before are put back."""
    before = signal.getsignal(signal.SIGINT)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        supervise([], signals)
    assert before == signal.getsignal(signal.SIGINT)
