"""Processes without the run's secret: a run over several machines ignores and counts them."""

import contextlib
import socket
import subprocess
import sys

import pytest

from tests.support.distributed_runs import RunGroup, master_command, worker_command
from tests.support.ports import free_port
from tests.support.waiting import wait_for

STRANGER = """
import sys, time, zmq
from locust.rpc.protocol import Message
from harness.load.run_secret import encrypt
port, secret = sys.argv[1:]
socket = zmq.Context().socket(zmq.DEALER)
if secret:
    encrypt(socket, secret)
socket.connect(f"tcp://127.0.0.1:{port}")
while True:
    for kind in ("client_ready", "harness_done", "harness_second", "quit"):
        socket.send(Message(kind, {"worker": 0}, "stranger").serialize())
    socket.send(bytes([0xC1, 0xC1]))
    time.sleep(0.05)
"""


def stranger(port, secret):
    """Start a process that sends forged and broken messages to a master."""
    return subprocess.Popen([sys.executable, "-c", STRANGER, str(port), secret])


def connection(port):
    """Return a connection to the master; None while there is none."""
    with contextlib.suppress(OSError):
        return socket.create_connection(("127.0.0.1", port))
    return None


@pytest.mark.slow
def test_strangers_change_nothing_and_are_counted(launcher):
    """The run passes; the record has a warning."""
    port = free_port()
    with RunGroup(launcher) as group:
        group.begin(master_command({}, port))
        strangers = [stranger(port, secret) for secret in ("", "another-secret-here")]
        try:
            with wait_for(lambda: connection(port), "the master") as rubbish:
                rubbish.sendall(b"\xc1\xc1")
            for _ in range(2):
                group.begin(worker_command(port))
            master, *workers = group.outcomes()
        finally:
            for each in strangers:
                each.kill()
                each.wait()

    assert [0, 0, 0] == [each.exit_code for each in (master, *workers)], master.said
    warnings = {one["code"] for one in master.summary["warnings"]}
    assert "strangers_ignored" in warnings
    assert "channel_open" not in warnings
    assert master.summary["deliveries"]["lost"] == 0


@pytest.mark.slow
def test_worker_with_another_secret_says_so_and_ends(launcher):
    """Exit 2, and the sentence says what both need."""
    port = free_port()
    with RunGroup(launcher) as group:
        group.begin(master_command({}, port))
        running = group.begin(worker_command(port), HARNESS_RUN_SECRET="another-secret-here")
        worker = running.outcome()

    assert worker.exit_code == 2
    assert "has another secret, or none" in worker.errors[0]
