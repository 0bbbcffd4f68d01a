import asyncio
import time
from functools import partial

from harness.emulation.bus import Bus
from harness.emulation.worker import WorkerContext
from tests.support.waiting import PATIENCE_S


class Member:
    """One place on the bus, with what it has heard and nobody has taken."""

    def __init__(self, folder, index, processes):
        self.heard = asyncio.Queue()
        self.bus = Bus(WorkerContext(folder, index, processes), self.heard.put_nowait)

    async def take(self, count):
        return [await self.heard.get() for _ in range(count)]


async def test_message_reaches_every_other_process_once_and_in_order(tmp_path):
    """Each hears all the others' messages, none of its own, in the order they were sent."""
    members = [Member(tmp_path, index, 3) for index in range(3)]
    for number in range(100):
        for index, member in enumerate(members):
            member.bus.publish([b"%d" % index, b"%d" % number])
    for index, member in enumerate(members):
        heard = await member.take(200)
        assert member.heard.empty()
        for other in {0, 1, 2} - {index}:
            expected = [[b"%d" % other, b"%d" % number] for number in range(100)]
            assert expected == [parts for parts in heard if parts[0] == b"%d" % other]
    for member in members:
        member.bus.close()


async def test_message_to_a_process_that_is_not_up_yet_waits(tmp_path):
    """Nothing that is published while another process starts is lost."""
    early = Member(tmp_path, 0, 2)
    for number in range(50):
        early.bus.publish([b"%d" % number])
    late = Member(tmp_path, 1, 2)
    assert [[b"%d" % number] for number in range(50)] == await late.take(50)
    early.bus.close()
    late.bus.close()


async def test_single_process_opens_nothing(tmp_path):
    """Alone on the bus, publishing is silent and no file is made."""
    alone = Member(tmp_path, 0, 1)
    alone.bus.publish([b"x"])
    assert [] == list(tmp_path.iterdir())
    alone.bus.close()


async def test_unsent_messages_do_not_hold_up_the_end(tmp_path):
    """Closing drops what a process that never came was to hear."""
    alone = Member(tmp_path, 0, 2)
    alone.bus.publish([b"x" * 1_000_000])
    await asyncio.wait_for(asyncio.to_thread(partial(alone.bus.close)), PATIENCE_S)


async def test_successor_ignores_what_was_meant_for_its_predecessor(tmp_path):
    """Messages sent while a process was away are gone; what comes after its start is heard."""
    sender = Member(tmp_path, 0, 2)
    sender.bus.publish([b"before"])
    heard = asyncio.Queue()
    successor = Bus(WorkerContext(tmp_path, 1, 2, since_ns=time.monotonic_ns()), heard.put_nowait)
    sender.bus.publish([b"after"])
    assert [b"after"] == await heard.get()
    assert heard.empty()
    sender.bus.close()
    successor.close()
