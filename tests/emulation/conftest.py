import asyncio
import contextlib

import pytest
import uvloop

from tests.support.emulator_process import Stand
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def make_stand(tmp_path):
    """Make emulator processes without sockets, which end with the test."""
    with contextlib.ExitStack() as made:
        yield lambda folder=tmp_path, **arguments: made.enter_context(Stand(folder, **arguments))


@pytest.fixture
def run():
    """Run coroutines on one loop of the kind that emulators use, a test and its fixtures alike."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield lambda main: runner.run(asyncio.wait_for(main, PATIENCE_S))


@pytest.fixture
def stand(make_stand, run):
    """One emulator process, made on the loop that the test runs on."""

    async def made():
        return make_stand()

    return run(made())


@pytest.fixture
def transport(stand):
    """The transport of the only subscriber so far."""
    (transport,) = stand.join()
    return transport
