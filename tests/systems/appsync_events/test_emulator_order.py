"""Messages that wait for a handler, and what they keep waiting."""

import time

import pytest

from harness.systems.appsync_events.emulator import start
from harness.systems.appsync_events.options import Options

WAIT_S = 0.4
HANDLERS = f"""
import asyncio

async def on_publish(event):
    await asyncio.sleep({WAIT_S})
    return {{"events": event["events"]}}

async def on_subscribe(event):
    await asyncio.sleep({WAIT_S})
"""
KEY = {"host": "localhost", "x-api-key": "da2-test"}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    """An emulator with a namespace whose handlers take their time."""
    file = tmp_path_factory.mktemp("handlers") / "slow.py"
    file.write_text(HANDLERS, encoding="utf-8")
    slow = {
        "name": "slow",
        "on_publish": f"{file}:on_publish",
        "on_subscribe": f"{file}:on_subscribe",
    }
    with start(Options(api_keys=("da2-test",), namespaces=("default", slow))) as emulator:
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


def test_handler_delays_nobody_else(connect, emulator):
    """While one connection waits for its handler, another is served."""
    waiting, other = connect(emulator), connect(emulator)
    began_s = time.monotonic()
    waiting.say(type="subscribe", id="s", channel="/slow/a", authorization=KEY)
    assert "subscribe_success" == other.subscribe("s", "/default/a")["type"]
    assert time.monotonic() - began_s < WAIT_S
    assert "subscribe_success" == waiting.hear()["type"]
    assert time.monotonic() - began_s >= WAIT_S


def test_client_that_goes_while_its_handler_works_leaves_nothing(connect, emulator, stats):
    """Its subscription is ended once it is made."""
    peer = connect(emulator)
    peer.say(type="subscribe", id="s", channel="/slow/gone", authorization=KEY)
    peer.socket.close()
    deadline_s = time.monotonic() + 10
    while stats(emulator)["subscribes"]["accepted"] == 0 or stats(emulator)["connections"]:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert 0 == stats(emulator)["subscriptions"]
