"""The commands of a file run side by side, a few at a time, since most of a command is waiting.

A command is a function from a ``Launcher`` to an ``Outcome``. A test says ``@after(command)``, or
``@after_each(commands)``, and asks for the ``outcome`` fixture; tests after the same one share it.
"""

import sys
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.runs import Launcher, command_of

AT_A_TIME = 4


def pytest_collection_modifyitems(items):
    """Mark every test of this folder: all start processes, and few are in the fast suite."""
    for item in items:
        if "tests/end_to_end/" in item.path.as_posix():
            item.add_marker(pytest.mark.end_to_end)
            if not item.get_closest_marker("smoke"):
                item.add_marker(pytest.mark.slow)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="finds processes through /proc"))


@pytest.fixture(scope="session")
def launcher(tmp_path_factory):
    """Starts commands."""
    return Launcher(tmp_path_factory.mktemp("launcher"))


@pytest.fixture(scope="session")
def outcomes(launcher):
    """Hold how commands end, and the threads that wait for them."""
    pool = ThreadPoolExecutor(AT_A_TIME)
    futures: dict[object, Future[object]] = {}

    def begin(command):
        if command not in futures:
            futures[command] = pool.submit(command, launcher)
        return futures[command]

    yield begin
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def outcome(request, outcomes):
    """How the command of this test ended; the other commands of its file begin with it."""
    same_file = (item for item in request.session.items if item.path == request.node.path)
    for command in filter(None, map(command_of, same_file)):
        outcomes(command)
    return outcomes(command_of(request.node)).result()
