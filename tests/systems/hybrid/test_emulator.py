"""The hybrid emulator with the ``websockets`` library for chatters and aiohttp for viewers."""

import base64
import contextlib
import http.client
import json
import time

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from harness.systems.hybrid.emulator import HybridEmulator
from harness.systems.hybrid.options import Options
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"
KEY = {"host": HOST, "x-api-key": "da2-emulator-local"}
ROOM = "/poll/default/room-0"


@pytest.fixture(scope="module")
def emulator():
    """Two processes, so that sockets and polls meet in different ones."""
    with HybridEmulator.start(Options(processes=2)) as started:
        yield started


def ask(emulator, method, path, body=None):
    """Ask on a connection of its own, which the kernel gives to either process."""
    connection = http.client.HTTPConnection(HOST, emulator.port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None


@contextlib.contextmanager
def socket_of(emulator):
    """A chatter who is subscribed; yields its socket."""
    credentials = base64.urlsafe_b64encode(json.dumps(KEY).encode()).decode().rstrip("=")
    marks = [Subprotocol("aws-appsync-event-ws"), Subprotocol(f"header-{credentials}")]
    address = f"ws://{HOST}:{emulator.port}/event/realtime"
    with connect(address, subprotocols=marks, proxy=None) as chatter:
        say(chatter, type="subscribe", id="s", channel="/default/room-0", authorization=KEY)
        yield chatter


def say(chatter, **message):
    """Send a message and return the next that comes."""
    chatter.send(json.dumps(message))
    return json.loads(chatter.recv(timeout=PATIENCE_S))


def polled(emulator, cursor, count):
    """Return what polls bring after a cursor, once there is as much of it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        _, page = ask(emulator, "GET", f"{ROOM}?after={cursor}")
        if len(page["messages"]) >= count:
            return page["messages"]
        assert time.monotonic() < deadline, page
        time.sleep(0.01)


def test_what_a_chatter_publishes_reaches_sockets_and_polls(emulator):
    """Over WebSocket and over HTTP, whichever process a poll gets to."""
    cursor = ask(emulator, "GET", ROOM)[1]["next"]
    with socket_of(emulator) as chatter:
        event = json.dumps({"n": 1})
        channel = "/default/room-0"
        say(chatter, type="publish", id="p", channel=channel, events=[event], authorization=KEY)
        assert "data" == json.loads(chatter.recv(timeout=PATIENCE_S))["type"]
        body = json.dumps({"channel": channel, "events": [json.dumps({"n": 2})]})
        connection = http.client.HTTPConnection(HOST, emulator.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("POST", "/event", body, {"x-api-key": KEY["x-api-key"]})
            assert 200 == connection.getresponse().status
        assert "data" == json.loads(chatter.recv(timeout=PATIENCE_S))["type"]
    for _ in range(8):
        assert [1, 2] == sorted(message["n"] for message in polled(emulator, cursor, 2))


def test_poll_of_several_channels_brings_what_chatters_published_in_them(emulator):
    """By name or by wildcard: the store is that of polling."""
    by_name, by_wildcard = "/poll/default/x,default/y", "/poll/default/*"
    cursors = {path: ask(emulator, "GET", path)[1]["next"] for path in (by_name, by_wildcard)}
    with socket_of(emulator) as chatter:
        for number, room in enumerate("xzy"):
            told = {"channel": f"/default/{room}", "events": [str(number)]}
            say(chatter, type="publish", id=room, authorization=KEY, **told)
    for path, expected in {by_name: [0, 2], by_wildcard: [0, 1, 2]}.items():
        deadline = time.monotonic() + PATIENCE_S
        found = []
        while found != expected:
            assert time.monotonic() < deadline, found
            page = ask(emulator, "GET", f"{path}?after={cursors[path]}")[1]
            # A cursor taken where earlier objects had not come yet brings them too.
            found = sorted(one for one in page["messages"] if isinstance(one, int))


def test_counts_are_those_of_both_halves(emulator):
    """Sockets at the top, as on AppSync Events alone; polls in a table of theirs."""
    assert 200 == ask(emulator, "POST", "/_emulator/reset")[0]
    cursor = ask(emulator, "GET", ROOM)[1]["next"]
    with socket_of(emulator) as chatter:
        channel = "/default/room-0"
        say(chatter, type="publish", id="p", channel=channel, events=["1"], authorization=KEY)
        chatter.recv(timeout=PATIENCE_S)
    assert [1] == polled(emulator, cursor, 1)
    _, stats = ask(emulator, "GET", "/_emulator/stats")
    assert (1, 1) == (stats["deliveries"]["sent"], stats["polling"]["deliveries"]["sent"])
    assert (1, 1) == (stats["events"]["published"], stats["polling"]["events"]["published"])
    polls = stats["polling"]["polls"]
    assert stats["billed"]["polls"] == polls["answered"] + polls["not_modified"] >= 2
    assert 1 == stats["billed"]["connects"]


def test_faults_are_played_on_both_halves(emulator):
    """One telling, and each half counts what it hit of its own."""
    faults = json.dumps([{"kind": "drop"}])
    assert 200 == ask(emulator, "POST", "/_emulator/reset")[0]
    assert 200 == ask(emulator, "POST", "/_emulator/faults", faults)[0]
    cursor = ask(emulator, "GET", ROOM)[1]["next"]
    with socket_of(emulator) as chatter:
        channel = "/default/room-0"
        say(chatter, type="publish", id="p", channel=channel, events=["1"], authorization=KEY)
        deadline = time.monotonic() + PATIENCE_S
        dropped = 0
        while not dropped:
            assert time.monotonic() < deadline
            assert [] == ask(emulator, "GET", f"{ROOM}?after={cursor}")[1]["messages"]
            _, stats = ask(emulator, "GET", "/_emulator/stats")
            dropped = stats["polling"]["deliveries"]["dropped"]["fault"]
    assert 1 == stats["deliveries"]["dropped"]["fault"]
    assert {"dropped"} == {entry["what"] for entry in ask(emulator, "GET", "/_emulator/log")[1]}
    assert 200 == ask(emulator, "POST", "/_emulator/faults", "[]")[0]
