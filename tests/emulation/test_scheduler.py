import asyncio
import time
from functools import partial

import pytest
import uvloop

from harness.emulation.scheduler import Scheduler
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
