import itertools
import json
import queue
import signal
import threading

import psutil
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.support.http_requests import publish_status as publish
from tests.support.waiting import PATIENCE_S, wait_for

TARGET = """
name = "{name}"
system = "appsync-events"
emulated = true
[emulator]
api_keys = ["{key}"]
namespaces = {namespaces}
"""


class Running:
    """A ``harness emulate`` of some files, with its output line by line."""

    def __init__(self, process):
        self.process = process
        self.stdout, self.stderr = (
            self._lines_of(pipe) for pipe in (process.stdout, process.stderr)
        )

    def _lines_of(self, pipe):
        """Return a queue of the lines that come; None is the end."""
        lines = queue.Queue()

        def read():
            for line in pipe:
                lines.put(line.rstrip("\n"))
            lines.put(None)

        threading.Thread(target=read).start()
        return lines

    def served(self):
        return json.loads(self.stdout.get(timeout=PATIENCE_S))

    def reload(self, lines):
        """Send SIGHUP; return what is said about it, so many lines."""
        self.process.send_signal(signal.SIGHUP)
        return [self.stderr.get(timeout=PATIENCE_S) for _ in range(lines)]

    def last_words(self):
        """Wait for its end with exit code 2; return what it said."""
        assert 2 == self.process.wait(PATIENCE_S)
        return "\n".join(iter(lambda: self.stderr.get(timeout=PATIENCE_S), None))


@pytest.fixture
def emulate(start_emulate):
    """Start the command."""
    return lambda *arguments: Running(start_emulate(*arguments, "--json"))


@pytest.fixture(name="write")
def _write(write):
    """Write a target file; return it."""

    def write_target(name="first", key="da2-old", namespaces='["default"]', more=""):
        text = TARGET.format(name=name, key=key, namespaces=namespaces)
        return write(f"{name}.toml", text + more)

    return write_target


def test_files_are_apis_of_their_own(emulate, write):
    """Each has its port, its keys and a line of its own; they stop together."""
    running = emulate(write("first", "da2-one"), write("second", "da2-two"))
    first, second = running.served(), running.served()
    assert ("da2-one", "da2-two") == (first["api_key"], second["api_key"])
    assert (200, 401) == (publish(first["http"], "da2-one"), publish(first["http"], "da2-two"))
    assert (200, 401) == (publish(second["http"], "da2-two"), publish(second["http"], "da2-one"))
    running.process.send_signal(signal.SIGTERM)
    assert 0 == running.process.wait(PATIENCE_S)
    assert [False, False] == [psutil.pid_exists(pid) for pid in first["pids"] + second["pids"]]


def test_problems_of_all_files_are_told_at_once(emulate, write):
    """Two wrong files are two errors, and nothing is started."""
    told = emulate(write("first", more="prot = 1\n"), write("second", namespaces="[]")).last_words()
    assert "first.toml: emulator.prot is not a key of [emulator]" in told
    assert "second.toml: emulator.namespaces must not be empty" in told


def test_reload_changes_keys_and_namespaces_and_keeps_connections(emulate, write):
    """After SIGHUP the new keys and namespaces hold in every process, for open connections too."""
    running = emulate(write(), "--set", "target.emulator.processes=2")
    api = running.served()
    headers = {"x-api-key": "da2-old"}
    marker = [Subprotocol("aws-appsync-event-ws")]
    ids = itertools.count()
    with connect(
        api["realtime"], subprotocols=marker, additional_headers=headers, proxy=None
    ) as socket:

        def subscribe(key, channel):
            message = {"type": "subscribe", "id": str(next(ids)), "channel": channel}
            socket.send(json.dumps({**message, "authorization": {"x-api-key": key}}))
            return json.loads(socket.recv(timeout=PATIENCE_S))["type"]

        assert "subscribe_success" == subscribe("da2-old", "/default/a")
        assert "subscribe_error" == subscribe("da2-old", "/news/a")
        write(key="da2-new", namespaces='["default", "news"]')
        assert ["reloaded"] == running.reload(1)
        wait_for(
            lambda: [200] * 8 == [publish(api["http"], "da2-new", "/news/a") for _ in range(8)]
        )
        wait_for(lambda: [401] * 8 == [publish(api["http"], "da2-old") for _ in range(8)])
        assert "subscribe_success" == subscribe("da2-new", "/news/a")
        assert "subscribe_error" == subscribe("da2-old", "/default/b")


def test_file_that_does_not_validate_leaves_the_old_settings(emulate, write):
    """What is wrong is told on stderr, and what held before still holds."""
    running = emulate(write())
    api = running.served()
    file = write(key="da2-new", more="prot = 1\n")
    assert [
        f"error: {file}: emulator.prot is not a key of [emulator], got 1",
        "hint: did you mean port?",
        f"{file}: not reloaded, the previous settings stay in effect",
    ] == running.reload(3)
    assert (200, 401) == (publish(api["http"], "da2-old"), publish(api["http"], "da2-new"))
    write(key="da2-new")
    assert ["reloaded"] == running.reload(1)
    wait_for(lambda: 200 == publish(api["http"], "da2-new"))


def test_handler_that_does_not_load_leaves_the_old_settings(emulate, write, tmp_path):
    """The process that cannot load it says so; the old keys still hold."""
    running = emulate(write())
    api = running.served()
    (tmp_path / "empty.py").touch()
    write(key="da2-new", namespaces="[{name = 'default', on_publish = 'empty.py:f'}]")
    told = running.reload(3)
    assert told[0].startswith("error: ")
    assert "must name a function that" in told[0]
    assert "not reloaded, the previous settings stay in effect" == told[2]
    assert (200, 401) == (publish(api["http"], "da2-old"), publish(api["http"], "da2-new"))


def test_key_that_needs_a_new_start_is_named(emulate, write):
    """What a running emulator cannot change is told, and the rest is taken."""
    running = emulate(write())
    api = running.served()
    file = write(key="da2-new", more="connection_timeout_ms = 1000\n")
    assert [
        f"{file}: emulator.connection_timeout_ms takes effect at the next start",
        "reloaded",
    ] == running.reload(2)
    wait_for(lambda: 200 == publish(api["http"], "da2-new"))


def test_handler_that_does_not_load_at_the_start_is_one_sentence(emulate, write, tmp_path):
    """The user reads what is wrong and where, without a traceback; exit 2."""
    (tmp_path / "empty.py").touch()
    told = emulate(write(namespaces="[{name = 'default', on_publish = 'empty.py:f'}]")).last_words()
    assert "first.toml: [emulator]: namespaces[0].on_publish must name a function that" in told
    assert "Traceback" not in told
