import asyncio

import pytest
from harness.emulation.intervals import Intervals

from tests.support.waiting import PATIENCE_S

INTERVAL_S = 0.4


class Connection:
    """Notes when it was called."""

    def __init__(self):
        self.calls_s = asyncio.Queue()

    def act(self):
        self.calls_s.put_nowait(asyncio.get_running_loop().time())


def run(test):
    """Run ``test(intervals)`` beside the sweep."""

    async def main():
        intervals = Intervals(INTERVAL_S, Connection.act)
        sweeping = asyncio.create_task(intervals.run())
        await asyncio.wait_for(test(intervals), PATIENCE_S)
        sweeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sweeping

    asyncio.run(main())


def test_connection_is_called_once_an_interval():
    """The first call comes after one whole interval, the next no sooner after the first."""

    async def test(intervals):
        connection, started_s = Connection(), asyncio.get_running_loop().time()
        intervals.restart(connection)
        first_s, second_s = [await connection.calls_s.get() for _ in range(2)]
        assert INTERVAL_S <= first_s - started_s
        assert INTERVAL_S <= second_s - first_s

    run(test)


def test_restart_puts_off_only_its_own_connection():
    """A connection begun anew is called after those that were not."""

    async def test(intervals):
        first, second = Connection(), Connection()
        intervals.restart(first)
        intervals.restart(second)
        await asyncio.sleep(INTERVAL_S / 2)
        intervals.restart(first)
        assert await second.calls_s.get() < await first.calls_s.get()

    run(test)


def test_stopped_connection_is_not_called():
    """A connection that has gone is forgotten, even twice."""

    async def test(intervals):
        gone, kept = Connection(), Connection()
        intervals.restart(gone)
        intervals.restart(kept)
        intervals.stop(gone)
        intervals.stop(gone)
        await kept.calls_s.get()
        assert gone.calls_s.empty()

    run(test)
