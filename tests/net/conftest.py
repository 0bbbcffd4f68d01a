"""The kernel's time of arrival, kept on while these tests run."""

import socket
import struct
import time

import pytest

from harness.net.reading import EpollReader
from harness.net.ring_reading import RingReader, ring_works
from harness.net.stream import SO_TIMESTAMPNS
from tests.support.waiting import wait_for


@pytest.fixture(params=[EpollReader, RingReader])
def any_reader(request):
    """A reader of each kind that this kernel allows."""
    if request.param is RingReader and not ring_works():
        pytest.skip("this kernel, or the container, allows no io_uring")
    return request.param()


@pytest.fixture(scope="session", autouse=True)
def kernel_times():
    """Wait for the kernel's times: they begin some time after the first socket asks for them."""
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

        def are_noted():
            peer.sendto(b"x", peer.getsockname())
            time.sleep(0.002)
            read_from_ns = time.time_ns()
            ((_, _, stamp),) = peer.recvmsg(1, 64)[1]
            seconds, nanoseconds = struct.unpack("@ll", stamp)
            return seconds * 1_000_000_000 + nanoseconds < read_from_ns

        wait_for(are_noted, "the kernel's time of arrival")
        yield
