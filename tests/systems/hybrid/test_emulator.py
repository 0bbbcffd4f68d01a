"""The hybrid emulator with the ``websockets`` library for chatters and aiohttp for viewers."""

import contextlib
import json

import pytest

from harness.systems.hybrid.emulator import HybridEmulator
from harness.systems.hybrid.options import Options
from tests.support.appsync_peers import body, open_peer, post, request
from tests.support.waiting import wait_for

KEY = {"host": "localhost", "x-api-key": "da2-emulator-local"}
CHANNEL = "/default/room-0"
ROOM = f"/poll{CHANNEL}"


@pytest.fixture(scope="module")
def emulator():
    """Two processes, so that sockets and polls meet in different ones."""
    with HybridEmulator.start(Options(processes=2)) as started:
        yield started


@pytest.fixture
def connect(emulator):
    """Connect chatters who are subscribed; they go with the test."""
    with contextlib.ExitStack() as opened:

        def chatter():
            peer = open_peer(opened, emulator, KEY)
            assert "subscribe_success" == peer.subscribe("s", CHANNEL, KEY)["type"]
            return peer

        yield chatter


def get(emulator, path):
    """Ask on a connection of its own, which the kernel gives to either process."""
    return request(emulator, "GET", path).body


def control(emulator, name, text=None):
    assert 200 == request(emulator, "POST", f"/_emulator/{name}", text).status


def polled(emulator, cursor, count):
    """Return what polls bring after a cursor, once there is as much of it."""

    def messages():
        found = get(emulator, f"{ROOM}?after={cursor}")["messages"]
        return found if len(found) >= count else None

    return wait_for(messages)


def test_what_a_chatter_publishes_reaches_sockets_and_polls(emulator, connect):
    """Over WebSocket and over HTTP, whichever process a poll gets to."""
    cursor, chatter = get(emulator, ROOM)["next"], connect()
    chatter.publish(CHANNEL, {"n": 1}, authorization=KEY)
    assert "data" == chatter.hear()["type"]
    assert 200 == post(emulator, body(CHANNEL, {"n": 2}), {"x-api-key": KEY["x-api-key"]}).status
    assert "data" == chatter.hear()["type"]
    for _ in range(8):
        assert [1, 2] == sorted(message["n"] for message in polled(emulator, cursor, 2))


def test_poll_of_several_channels_brings_what_chatters_published_in_them(emulator, connect):
    """By name or by wildcard: the store is that of polling."""
    wanted = {"/poll/default/x,default/y": [0, 2], "/poll/default/*": [0, 1, 2]}
    cursors, chatter = {path: get(emulator, path)["next"] for path in wanted}, connect()
    for number, room in enumerate("xzy"):
        chatter.publish(f"/default/{room}", number, authorization=KEY)

    def found(path):
        messages = get(emulator, f"{path}?after={cursors[path]}")["messages"]
        # A cursor taken where earlier objects had not come yet brings them too.
        return sorted(one for one in messages if isinstance(one, int))

    wait_for(lambda: wanted == {path: found(path) for path in wanted})


def test_counts_are_those_of_both_halves(emulator, connect):
    """Sockets at the top, as on AppSync Events alone; polls in a table of theirs."""
    control(emulator, "reset")
    cursor, chatter = get(emulator, ROOM)["next"], connect()
    chatter.publish(CHANNEL, 1, authorization=KEY)
    assert "data" == chatter.hear()["type"]
    assert [1] == polled(emulator, cursor, 1)
    stats = get(emulator, "/_emulator/stats")
    assert (1, 1) == (stats["deliveries"]["sent"], stats["polling"]["deliveries"]["sent"])
    assert (1, 1) == (stats["events"]["published"], stats["polling"]["events"]["published"])
    polls = stats["polling"]["polls"]
    assert stats["billed"]["polls"] == polls["answered"] + polls["not_modified"] >= 2
    assert 1 == stats["billed"]["connects"]


def test_faults_are_played_on_both_halves(emulator, connect):
    """One telling, and each half counts what it hit of its own."""
    control(emulator, "reset")
    control(emulator, "faults", json.dumps([{"kind": "drop"}]))
    cursor, chatter = get(emulator, ROOM)["next"], connect()
    chatter.publish(CHANNEL, 1, authorization=KEY)

    def both_dropped():
        assert [] == get(emulator, f"{ROOM}?after={cursor}")["messages"]
        stats = get(emulator, "/_emulator/stats")
        return stats["polling"]["deliveries"]["dropped"]["fault"] and stats

    assert 1 == wait_for(both_dropped)["deliveries"]["dropped"]["fault"]
    assert {"dropped"} == {entry["what"] for entry in get(emulator, "/_emulator/log")}
    control(emulator, "faults", "[]")
