"""Messages that wait for a handler, and what they keep waiting."""

import pytest

from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import KEY, stats
from tests.support.waiting import wait_for

HANDLERS = """
import asyncio
from pathlib import Path

BUSY = Path(__file__).with_name("busy")

async def work():
    await asyncio.sleep(0.05)
    while BUSY.exists():
        await asyncio.sleep(0.01)

async def on_publish(event):
    await work()
    return {"events": event["events"]}

async def on_subscribe(event):
    await work()
"""


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """Return the file that keeps the handlers beside it at work as long as it exists."""
    return tmp_path_factory.mktemp("handlers") / "busy"


@pytest.fixture(scope="module")
def emulator(busy):
    """An emulator with a namespace whose handlers take their time."""
    file = busy.with_name("slow.py")
    file.write_text(HANDLERS, encoding="utf-8")
    slow = {"name": "slow"} | {name: f"{file}:{name}" for name in ("on_publish", "on_subscribe")}
    options = Options(api_keys=("da2-test",), namespaces=("default", slow))
    with AppSyncEventsEmulator.start(options) as emulator:
        yield emulator


def test_message_waits_for_those_before_it_on_its_connection(connect, emulator):
    """Answers come in the order of the questions, also where one waits for a handler."""
    peer = connect(emulator)
    ask = {"channel": "/slow/a", "authorization": KEY}
    peer.say(type="subscribe", id="s", **ask)
    peer.say(type="publish", id="p", events=["1"], **ask)
    peer.say(type="unsubscribe", id="s")
    assert ["subscribe_success", "publish_success", "data", "unsubscribe_success"] == [
        peer.hear()["type"] for _ in range(4)
    ]


def test_handler_delays_nobody_else(connect, emulator, busy):
    """While one connection waits for its handler, another is served."""
    waiting, other = connect(emulator), connect(emulator)
    busy.touch()
    waiting.say(type="subscribe", id="s", channel="/slow/a", authorization=KEY)
    assert "subscribe_success" == other.subscribe("s", "/default/a")["type"]
    busy.unlink()
    assert "subscribe_success" == waiting.hear()["type"]


def test_client_that_goes_while_its_handler_works_leaves_nothing(connect, emulator):
    """Its subscription is ended once it is made."""
    peer = connect(emulator)
    peer.say(type="subscribe", id="s", channel="/slow/gone", authorization=KEY)
    peer.socket.close()
    wait_for(
        lambda: stats(emulator)["subscribes"]["accepted"] and not stats(emulator)["connections"]
    )
    assert 0 == stats(emulator)["subscriptions"]
