"""Acts run ahead of the tests that look at them, a few at a time, since most of an act is waiting.

An act is a function from a ``Stage`` to an ``Outcome``. A test says ``@after(act)``, or has a
parameter ``act``, and asks for the ``outcome`` fixture; tests after the same act share it.
"""

import sys
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.end_to_end.stage import Stage, act_of

AT_A_TIME = 4


def pytest_collection_modifyitems(items):
    """Mark every test of this folder: all start processes."""
    for item in items:
        if "tests/end_to_end/" in item.path.as_posix():
            item.add_marker(pytest.mark.end_to_end)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="finds processes through /proc"))


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    """Where acts happen."""
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="session")
def outcomes(request, stage):
    """Begin the acts that collected tests will look at, in their order."""
    acts = [act for item in request.session.items if (act := act_of(item))]
    pool = ThreadPoolExecutor(AT_A_TIME)
    futures: dict[object, Future[object]] = {}
    for act in dict.fromkeys(acts):
        futures[act] = pool.submit(act, stage)
    yield futures
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def outcome(request, outcomes):
    """How the act of this test ended."""
    return outcomes[act_of(request.node)].result()
