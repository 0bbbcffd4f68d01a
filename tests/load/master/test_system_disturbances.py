"""Disturbances that cannot be played, and a greenlet of the master that dies."""

import contextlib
import socket
import threading

import gevent
import pytest

from harness.load.internal_errors import on_death
from harness.load.master.emulator_process import EmulatorControls
from harness.load.worker_protocol import Endpoints


@contextlib.contextmanager
def answering(answer):
    """Answer one request with these bytes; provide the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with listener.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/event"
        server.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
)
def test_answer_that_is_none_is_a_failure_of_the_control(answer):
    """Whatever comes back, callers handle one kind of error."""
    with answering(answer) as http:
        controls = EmulatorControls(Endpoints(http, http, None))
        with pytest.raises(OSError, match=r"."):
            controls.set_faults([])


def test_greenlet_that_dies_says_so():
    """With what was raised; one that is killed has ended as it should."""
    ended: list[str] = []

    def fail():
        raise ZeroDivisionError("planted")

    for body in (fail, lambda: gevent.sleep(60)):
        greenlet = gevent.spawn(body)
        on_death(greenlet, ended.append)
        gevent.sleep(0)
        greenlet.kill()
    gevent.sleep(0)
    assert ended == ["ZeroDivisionError: planted"]
