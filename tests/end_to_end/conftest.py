"""The acts of a file run side by side, a few at a time, since most of an act is waiting.

An act is a function from a ``Stage`` to an ``Outcome``. A test says ``@after(act)``, or has a
parameter ``act``, and asks for the ``outcome`` fixture; tests after the same act share it.
"""

import sys
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.runs import Stage, act_of

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
def stage(tmp_path_factory):
    """Where acts happen."""
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="session")
def outcomes(stage):
    """Hold how acts end, and the threads that wait for them."""
    pool = ThreadPoolExecutor(AT_A_TIME)
    futures: dict[object, Future[object]] = {}

    def begin(act):
        if act not in futures:
            futures[act] = pool.submit(act, stage)
        return futures[act]

    yield begin
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def outcome(request, outcomes):
    """How the act of this test ended; the other acts of its file begin with it."""
    same_file = (item for item in request.session.items if item.path == request.node.path)
    for act in filter(None, map(act_of, same_file)):
        outcomes(act)
    return outcomes(act_of(request.node)).result()
