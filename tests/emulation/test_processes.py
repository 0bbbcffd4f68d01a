import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.core.child_python import python_command
from harness.core.errors import MachineError
from harness.emulation.processes import EmulatorProcesses, open_listeners
from harness.emulation.supervisor import Signals, supervise
from tests.support.http_requests import get_json
from tests.support.waiting import PATIENCE_S, wait_for

EMULATOR = "harness.systems.appsync_events.emulator.process:AppSyncEventsEmulator"
COMMAND = [*python_command("harness.emulation"), EMULATOR]


def options(**changed):
    """Settings of the module that plays the emulator here."""
    return {"api_keys": ["k"], **changed}


def processes_of(count, port=0, command=COMMAND, **settings):
    """Return an emulator of ``count`` processes that is not yet started."""
    return EmulatorProcesses(
        command=command,
        settings=options(**settings),
        processes=count,
        host="127.0.0.1",
        port=port,
        prepare=lambda _folder: None,
    )


def await_end(pids):
    """Wait until none of the processes runs."""
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids))


@pytest.mark.parametrize("count", [1, 3])
def test_all_processes_share_one_port_and_end_together(count):
    """While entered they serve; afterwards neither process nor file is left."""
    with processes_of(count) as emulator:
        assert count == len(set(emulator.pids))
        assert 0 == get_json(emulator.port, "/_emulator/stats")["connections"]
        assert 0o700 == emulator.folder.stat().st_mode & 0o777
    assert [False] * count == [psutil.pid_exists(pid) for pid in emulator.pids]
    assert not emulator.folder.exists()


def test_settings_do_not_show_in_the_process_list():
    """Keys reach the processes through a pipe, not on their command line."""
    with processes_of(1, api_keys=["da2-hidden"]) as emulator:
        process = psutil.Process(emulator.pids[0])
        seen = " ".join([*process.cmdline(), *process.environ().values()])
    assert EMULATOR in seen
    assert "da2-hidden" not in seen


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shared", [False, True])
def test_port_in_use_is_one_sentence(count, shared):
    """Also a port that its owner would share is not ours to take."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=shared) as owner:
        port = owner.getsockname()[1]
        with pytest.raises(MachineError) as caught:
            open_listeners("127.0.0.1", port, count)
    assert (
        f"127.0.0.1:{port}: address already in use, a free address is required\n"
        "hint: port 0 takes any free one"
    ) == str(caught.value)


def test_port_may_be_taken_again_at_once():
    """An emulator that has just stopped does not block its port for the next."""
    with processes_of(2) as emulator, socket.create_connection(("127.0.0.1", emulator.port)):
        pass
    with processes_of(2, port=emulator.port) as again:
        assert emulator.port == again.port


@pytest.mark.parametrize(("module", "status"), [("keyword", 0), ("this", 0), ("nowhere", 1)])
def test_process_that_does_not_start_is_an_error(module, status, capfd):
    """One that ends, says something else or cannot be run; nothing stays behind."""
    starting = processes_of(2, command=python_command(module))
    with pytest.raises(MachineError) as caught:
        starting.__enter__()
    assert f"failed to start (status {status})" == caught.value.found
    assert [False, False] == [psutil.pid_exists(pid) for pid in starting.pids]
    assert not starting.folder.exists()


def test_wait_ends_at_a_signal():
    """SIGTERM and SIGINT mean stop; the handlers before are put back."""
    before = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):
        with Signals() as signals, processes_of(1) as emulator:
            os.kill(os.getpid(), number)
            supervise([emulator], signals)
    assert before == signal.getsignal(signal.SIGTERM)


def test_death_of_one_process_ends_the_emulator():
    """None is restarted: the others stop and the error says what happened."""
    with Signals() as signals, processes_of(2) as emulator:
        os.kill(emulator.pids[0], signal.SIGKILL)
        with pytest.raises(MachineError) as caught:
            supervise([emulator], signals)
    assert (
        f"emulator process {emulator.pids[0]}: ended by itself (status -9), "
        "all processes of an emulator must keep serving"
    ) == str(caught.value)
    assert [False, False] == [psutil.pid_exists(pid) for pid in emulator.pids]


def test_process_that_does_not_stop_is_killed():
    """A process that hangs is ended by force, soon."""
    with processes_of(1) as emulator:
        os.kill(emulator.pids[0], signal.SIGSTOP)
        before_s = time.monotonic()
    assert time.monotonic() - before_s < PATIENCE_S
    assert not psutil.pid_exists(emulator.pids[0])


def test_processes_die_with_a_parent_that_is_killed():
    """Even SIGKILL for the parent leaves no process and no file behind."""
    script = (
        "import sys, time\n"
        "from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator\n"
        "from harness.systems.appsync_events.options import Options\n"
        "emulator = AppSyncEventsEmulator.start(Options(processes=2)).__enter__()\n"
        "print(emulator.folder, *emulator.pids, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with contextlib.closing(parent.stdout):
        folder, *pids = parent.stdout.readline().split()
        parent.kill()
        parent.wait()
    assert 2 == len(pids)
    await_end([int(pid) for pid in pids])
    assert not Path(folder).exists()
