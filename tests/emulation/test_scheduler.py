import asyncio
import time
from functools import partial

import pytest
import uvloop

from harness.emulation.scheduler import Intervals, Scheduler
from tests.support.waiting import PATIENCE_S


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_things_are_done_when_due_and_in_order(new_loop):
    """Neither early nor out of order, even within one millisecond and with the earliest last."""

    async def main():
        scheduler, done, finished = Scheduler(), [], asyncio.Event()
        start_s = time.monotonic()
        dues_s = [start_s + 0.05 + place * 0.0001 for place in range(50)]

        def note(place):
            done.append((place, time.monotonic()))

        for place in (*range(49, 9, -1), *range(10)):
            scheduler.at(dues_s[place], partial(note, place))
        scheduler.at(dues_s[-1], finished.set)
        await asyncio.wait_for(finished.wait(), PATIENCE_S)
        assert list(range(50)) == [place for place, _ in done]
        assert all(dues_s[place] <= at_s for place, at_s in done)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


async def test_things_due_at_once_keep_the_order_in_which_they_were_asked_for():
    """A time that has passed means soon, not now: the caller goes on first."""
    scheduler, done = Scheduler(), []
    for place in range(100):
        scheduler.at(0.0, partial(done.append, place))
    assert [] == done
    deadline_s = time.monotonic() + PATIENCE_S
    while len(done) < 100:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0)
    assert list(range(100)) == done


async def test_something_done_may_ask_for_more():
    """What an action asks for is done in its own turn."""
    scheduler, done, finished = Scheduler(), [], asyncio.Event()

    def first():
        done.append("first")
        scheduler.at(0.0, lambda: done.append("asked for by the first"))
        scheduler.at(time.monotonic() + 0.01, finished.set)

    scheduler.at(0.0, first)
    scheduler.at(0.0, lambda: done.append("second"))
    await asyncio.wait_for(finished.wait(), PATIENCE_S)
    assert ["first", "second", "asked for by the first"] == done


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
