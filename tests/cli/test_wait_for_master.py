import socket
import threading
import time

import pytest
import zmq

from harness.cli import distributed
from harness.cli.distributed import wait_for_master
from harness.core.errors import HarnessError, MachineError
from tests.support.ports import free_port


@pytest.fixture
def closed_port():
    """A port that nobody listens on."""
    return free_port()


def test_master_is_known_by_what_zeromq_says_first():
    """A socket as Locust's master opens it."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as master:
        wait_for_master("127.0.0.1", master.bind_to_random_port("tcp://127.0.0.1"), 20.0, print)


def test_master_that_comes_later_is_waited_for(closed_port):
    """The order in which a fleet is started does not matter."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as master:
        later = threading.Timer(0.3, master.bind, [f"tcp://127.0.0.1:{closed_port}"])
        later.start()
        began_s = time.monotonic()
        wait_for_master("127.0.0.1", closed_port, 20.0, print)
        assert time.monotonic() - began_s >= 0.3
        later.join()


def test_port_that_nobody_listens_on_is_told_as_it_is(closed_port, monkeypatch):
    """While it waits, and at the end; with bad usage as the exit code."""
    monkeypatch.setattr(distributed, "REPORT_EVERY_S", 0.1)
    monkeypatch.setattr(distributed, "ATTEMPT_EVERY_S", 0.05)
    said = []
    with pytest.raises(MachineError) as caught:
        wait_for_master("127.0.0.1", closed_port, 0.5, said.append)
    sentence, _, hint = str(caught.value).partition("\n")
    where = f"127.0.0.1:{closed_port}"
    required = "a master must answer within 0.5 s"
    assert f"master {where}: connection refused, {required}" == sentence
    assert "harness run --master" in hint
    assert f"still waiting for {where}: connection refused" == said[0]
    assert 2 == caught.value.exit_code


def test_name_that_nobody_knows_is_told(monkeypatch):
    """Names may come to be known later, so that it is tried again too."""

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unknown)
    with pytest.raises(MachineError, match="master nowhere:5557: name or service not known, a "):
        wait_for_master("nowhere", 5557, 0.0, print)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH"])
def test_other_program_at_the_port_is_no_master(greeting):
    """Waiting would not help, so it is told at once."""

    def serve(server):
        connection, _ = server.accept()
        with connection:
            connection.sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=[server], daemon=True)
        thread.start()
        with pytest.raises(MachineError, match="another service answers"):
            wait_for_master("127.0.0.1", server.getsockname()[1], 20.0, print)
        thread.join()


def test_worker_that_is_killed_says_so(monkeypatch):
    """Exit code 1, and one sentence."""
    for step in ("wait_for_master", "require_same_secret"):
        monkeypatch.setattr(distributed, step, lambda *_: None)
    monkeypatch.setattr(distributed, "_run_locust", lambda _: -9)
    monkeypatch.setenv("HARNESS_RUN_SECRET", "the-secret-of-a-test")
    with pytest.raises(HarnessError, match=r"^worker: was killed by signal 9, ") as caught:
        distributed.worker("127.0.0.1")
    assert caught.value.exit_code == 1
