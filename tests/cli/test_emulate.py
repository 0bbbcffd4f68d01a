import contextlib
import json
import os
import selectors
import signal
import socket
import ssl
import subprocess
from urllib.parse import urlsplit

import psutil
import pytest

from harness.cli.emulate import emulate as command
from harness.core.errors import MachineError
from tests.support.http_requests import publish_status as publish
from tests.support.installing import CHAT
from tests.support.waiting import PATIENCE_S

TARGET = """
name = "emulated"
system = "appsync-events"
emulated = true
[emulator]
api_keys = ["da2-first", "da2-second"]
"""
ELSEWHERE = """
name = "elsewhere"
system = "appsync-events"
emulated = false
[auth]
api_key_env = "SOME_KEY"
[endpoints]
http = "https://example.org/event"
realtime = "wss://example.org/event/realtime"
"""


@pytest.fixture
def target(write):
    """A target file."""
    return write("target.toml", TARGET)


class Running:
    """A ``harness emulate`` that is under way."""

    def __init__(self, process):
        self.process = process

    def line(self):
        """Return the first line of its stdout, or fail if none comes."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE_S)
        return self.process.stdout.readline()

    def end(self):
        """Return exit status, what was left on stdout, and stderr."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stdout, stderr


@pytest.fixture
def emulate(start_emulate, target):
    """Start the command."""

    def start(*arguments, file=target):
        return Running(start_emulate(file, *arguments, stdin=subprocess.PIPE))

    return start


def assert_nothing_left(pids):
    assert [False] * len(pids) == [psutil.pid_exists(pid) for pid in pids]


def test_json_is_one_line_that_says_how_to_connect(emulate):
    """The line comes when connections are accepted and holds all that a client needs."""
    running = emulate("--json", "--exit-with-parent")
    line = json.loads(running.line())
    assert {"http", "realtime", "ca_file", "pids", "api_key"} == line.keys()
    port = urlsplit(line["http"]).port
    assert f"http://127.0.0.1:{port}/event" == line["http"]
    assert f"ws://127.0.0.1:{port}/event/realtime" == line["realtime"]
    assert (None, "da2-first", 1) == (line["ca_file"], line["api_key"], len(line["pids"]))
    assert 200 == publish(line["http"], line["api_key"])
    assert 200 == publish(line["http"], "da2-second")
    running.process.stdin.close()
    running.process.stdin = None
    status, stdout, stderr = running.end()
    assert (0, "", "") == (status, stdout, stderr)
    assert_nothing_left(line["pids"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_it_cleanly_while_clients_are_connected(emulate, number):
    """Exit 0, without a traceback and without a process left."""
    running = emulate("--json", "--set", "target.emulator.processes=2")
    line = json.loads(running.line())
    assert 2 == len(line["pids"])
    place = ("127.0.0.1", urlsplit(line["http"]).port)
    with contextlib.ExitStack() as clients:
        for _ in range(10):
            client = clients.enter_context(socket.create_connection(place, timeout=PATIENCE_S))
            client.sendall(
                b"GET /event/realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nx-api-key: da2-first\r\n"
                b"Sec-WebSocket-Protocol: aws-appsync-event-ws\r\n\r\n"
            )
            assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        os.kill(running.process.pid, number)
        status, stdout, stderr = running.end()
        assert b"\x88\x02\x03\xe8" == client.recv(4096)
    assert (0, "", "") == (status, stdout, stderr)
    assert_nothing_left(line["pids"])


def test_end_of_stdin_alone_does_not_stop_it(emulate):
    """Without --exit-with-parent it may run in the background with no stdin."""
    running = emulate("--json")
    running.process.stdin.close()
    running.process.stdin = None
    line = json.loads(running.line())
    assert 200 == publish(line["http"], line["api_key"])
    os.kill(running.process.pid, signal.SIGTERM)
    assert 0 == running.end()[0]


def test_tls_comes_with_an_authority_to_trust(emulate):
    """Addresses are https and wss, and the named file is all a client needs to trust them."""
    running = emulate("--json", "--exit-with-parent", "--set", "target.emulator.tls=true")
    line = json.loads(running.line())
    assert line["http"].startswith("https://127.0.0.1:")
    assert line["realtime"].startswith("wss://127.0.0.1:")
    context = ssl.create_default_context(cafile=line["ca_file"])
    assert 200 == publish(line["http"], line["api_key"], context=context)


def test_page_for_people_shows_addresses_key_and_an_example(emulate):
    """Without --json the same facts are printed to be read."""
    running = emulate("--exit-with-parent")
    page = [running.line(), *(running.process.stdout.readline() for _ in range(4))]
    assert "emulated serves in 1 process; Ctrl-C stops it.\n" == page[0]
    address = page[1].split()[1]
    assert 200 == publish(address, page[3].split()[2])
    assert page[4].startswith("  try it     curl ")
    assert page[4].endswith(f"{address}\n")


def test_port_in_use_is_one_sentence_and_exit_2(emulate):
    """The address is named, and what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        status, stdout, stderr = emulate("--set", f"target.emulator.port={port}").end()
    expected = (
        f"error: 127.0.0.1:{port}: address already in use, a free address is required\n"
        "hint: port 0 takes any free one\n"
    )
    assert (2, "", expected) == (status, stdout, stderr)


def test_target_that_is_not_emulated_is_refused(emulate, write):
    """A system that runs elsewhere cannot be played by its file."""
    file = write("elsewhere.toml", ELSEWHERE)
    status, stdout, stderr = emulate(file=file).end()
    expected = (
        f"error: {file}: emulated must be true, got false\n"
        "hint: the file describes a remote system\n"
    )
    assert (2, "", expected) == (status, stdout, stderr)


def test_every_wrong_override_is_reported_at_once(emulate):
    """A key of no target and a bad value are two errors, exit 2."""
    arguments = ("--set", "publishing.rate_per_s=2", "--set", "target.emulator.processes=0")
    status, stdout, stderr = emulate(*arguments).end()
    assert (2, "", 2) == (status, stdout, stderr.count("error: "))
    assert "--set must start with target., got publishing.rate_per_s=2" in stderr
    assert "target.emulator.processes must be >= 1, got 0" in stderr
    assert "Traceback" not in stderr


def test_death_of_a_process_is_one_sentence_and_nothing_is_left(emulate):
    """The emulator does not limp on with the rest of its processes."""
    running = emulate("--json", "--set", "target.emulator.processes=2")
    line = json.loads(running.line())
    os.kill(line["pids"][1], signal.SIGKILL)
    status, _, stderr = running.end()
    expected = (
        f"error: emulator process {line['pids'][1]}: ended by itself (status -9), "
        "all processes of an emulator must keep serving\n"
    )
    assert (2, expected) == (status, stderr)
    assert_nothing_left(line["pids"])


def test_emulator_that_is_no_class_of_its_kind_is_refused(install_system, write):
    """A package names a module without ``start``: one sentence says what is required."""
    install_system("chat", CHAT.replace("client=", "emulator='{module}', client="))
    file = write("chat.toml", 'name = "chat"\nsystem = "chat"\nemulated = true\n')
    with pytest.raises(MachineError) as caught:
        command([file])
    assert "its emulator chat_of_chat_system has no start, a class that extends" in str(
        caught.value
    )
