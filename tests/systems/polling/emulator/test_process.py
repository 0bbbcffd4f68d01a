"""The polling emulator against clients of the standard library and of aiohttp."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl

import aiohttp
import pytest

from harness.systems.polling.emulator.process import PollingEmulator
from harness.systems.polling.options import Options
from tests.support.waiting import PATIENCE_S, wait_for

start = PollingEmulator.start

HOST = "127.0.0.1"
ROOM = "/poll/default/room-0"
PUBLISH = "/pub/default/room-0"


class Peer:
    """One connection of the standard library's client."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.connection = http.client.HTTPConnection(HOST, emulator.port, timeout=PATIENCE_S)

    def ask(self, method, path, body=None, **headers):
        """Return status, headers and JSON of an answer; None where it has no body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, named)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, answer.headers, json.loads(text) if text else None

    def begin(self):
        """Return the cursor that a first poll is told."""
        status, _, page = self.ask("GET", ROOM)
        assert (200, []) == (status, page["messages"])
        return page["next"]

    def publish(self, *numbers):
        """Publish messages that hold these numbers."""
        for number in numbers:
            assert 201 == self.ask("POST", PUBLISH, json.dumps({"n": number}))[0]

    def numbers(self, cursor):
        """Return the numbers in the messages after a cursor, and the next cursor."""
        _, _, page = self.ask("GET", f"{ROOM}?after={cursor}")
        return [message["n"] for message in page["messages"]], page["next"]

    def stats(self):
        """Return the emulator's counts."""
        return self.ask("GET", "/_emulator/stats")[2]


@pytest.fixture(scope="module")
def shared_emulator():
    """The emulator of all tests that need no options of their own: a start takes time."""
    with start(Options()) as emulator:
        yield emulator


@pytest.fixture
def playing(shared_emulator):
    """Play emulators with faults and options; return one connection to each."""
    with contextlib.ExitStack() as opened:

        def make(faults=(), **options):
            own = start(Options(**options)) if options else contextlib.nullcontext(shared_emulator)
            peer = Peer(opened.enter_context(own))
            opened.callback(peer.connection.close)
            peer.ask("POST", "/_emulator/reset")
            assert 200 == peer.ask("POST", "/_emulator/faults", json.dumps(faults))[0]
            if faults:  # The next request is the first of a connection that they may hit.
                peer.connection.close()
            return peer

        yield make


@pytest.fixture
def peer(playing):
    """One connection to the shared emulator, which counts from zero and plays no faults."""
    return playing()


def test_cursor_brings_each_message_once(peer):
    """Those from before the first poll are left alone."""
    peer.publish(1)
    cursor = peer.begin()
    peer.publish(2, 3)
    numbers, cursor = peer.numbers(cursor)
    assert [2, 3] == numbers
    assert ([], cursor) == peer.numbers(cursor)
    stats = peer.stats()
    assert 3 == stats["events"]["published"] == stats["publishes"]["accepted"]
    assert (2, 2) == (stats["deliveries"]["owed"], stats["deliveries"]["sent"])
    assert {"polls": 3} == stats["billed"]


def test_etag_is_answered_with_304_until_something_is_new(peer):
    """Without a body; and the message brings another ETag."""
    cursor = peer.begin()
    path = f"{ROOM}?after={cursor}"
    _, headers, _ = peer.ask("GET", path)
    status, again, page = peer.ask("GET", path, if_none_match=headers["etag"])
    assert (304, None, headers["etag"]) == (status, page, again["etag"])
    peer.publish(1)
    status, news, _ = peer.ask("GET", path, if_none_match=headers["etag"])
    assert 200 == status
    assert news["etag"] != headers["etag"]
    assert 1 == peer.stats()["polls"]["not_modified"]


def test_every_process_has_what_any_other_was_sent(playing):
    """A cursor from one is good in all, and each message is found once in each."""
    peer = playing(processes=2)
    others = [Peer(peer.emulator) for _ in range(12)]
    cursors = [other.begin() for other in others]
    for number, other in enumerate(others):
        other.publish(number)
    everything = list(range(len(others)))
    wait_for(lambda: all(len(o.numbers(cursors[0])[0]) == len(others) for o in others))
    last = cursors[0]
    for other in others:
        numbers, last = other.numbers(cursors[0])
        assert everything == sorted(numbers)
        assert [] == other.numbers(last)[0]
        other.connection.close()
    assert [0, 1] == peer.stats()["processes"]["answered"]


def test_one_poll_brings_what_is_new_in_several_channels(peer):
    """By name or by wildcard, each once, and by one cursor; nothing of a third is in it."""
    names = {"a,b": "/poll/default/a,default/b", "*": "/poll/default/*,default/a"}
    places = {name: peer.ask("GET", path)[2]["next"] for name, path in names.items()}
    for number, room in enumerate("abca"):
        assert 201 == peer.ask("POST", f"/pub/default/{room}", json.dumps(number))[0]
    before = peer.stats()["deliveries"]["owed"]
    for name, expected in {"a,b": [0, 1, 3], "*": [0, 1, 2, 3]}.items():
        path = f"{names[name]}?after={places[name]}"
        _, headers, page = peer.ask("GET", path)
        assert expected == page["messages"]
        path = f"{names[name]}?after={page['next']}"
        assert 304 == peer.ask("GET", path, if_none_match=headers["etag"])[0]
        # What is new elsewhere is no news here.
        assert 201 == peer.ask("POST", "/pub/other/a", json.dumps(9))[0]
        assert 304 == peer.ask("GET", path, if_none_match=headers["etag"])[0]
    assert 7 == peer.stats()["deliveries"]["owed"] - before


def test_cursor_for_several_channels_is_good_in_every_process(playing):
    """Each message is found once in each, whichever process took it, and in whichever room."""
    peer = playing(processes=2)
    others = [Peer(peer.emulator) for _ in range(12)]
    path = "/poll/default/room-0,default/room-1"
    start = others[0].ask("GET", path)[2]["next"]
    for number, other in enumerate(others):
        assert 201 == other.ask("POST", f"/pub/default/room-{number % 3}", json.dumps(number))[0]
    expected = [number for number in range(12) if number % 3 < 2]

    def found(other):
        return sorted(other.ask("GET", f"{path}?after={start}")[2]["messages"])

    wait_for(lambda: all(found(other) == expected for other in others))
    last = others[0].ask("GET", f"{path}?after={start}")[2]["next"]
    for other in others:
        assert [] == other.ask("GET", f"{path}?after={last}")[2]["messages"]
        other.connection.close()


def test_publish_to_a_wildcard_is_refused_and_counted(peer):
    """It stands for channels that nobody named."""
    status, _, said = peer.ask("POST", "/pub/default/*", "1")
    assert (400, "A wildcard is for polls only.") == (status, said["message"])
    assert 1 == peer.stats()["publishes"]["refused"]["bad_request"]


def test_channel_that_is_full_forgets_and_counts_it(playing):
    """Five came where three are kept: two are lost to whoever had not asked in time."""
    peer = playing(kept_messages=3)
    cursor = peer.begin()
    peer.publish(1, 2, 3, 4, 5)
    assert [3, 4, 5] == peer.numbers(cursor)[0]
    deliveries = peer.stats()["deliveries"]
    assert (5, 3, 2) == (deliveries["owed"], deliveries["sent"], deliveries["dropped"]["expired"])


def test_answer_holds_no_more_than_it_may(playing):
    """The rest comes with the next poll."""
    peer = playing(answer_messages=2)
    cursor = peer.begin()
    peer.publish(1, 2, 3)
    numbers, cursor = peer.numbers(cursor)
    assert ([1, 2], [3]) == (numbers, peer.numbers(cursor)[0])


def test_interval_is_named_where_there_is_one(playing, peer):
    """In milliseconds, as live chats name it; else not at all."""
    assert 2500 == playing(poll_after_s=2.5).ask("GET", ROOM)[2]["poll_after_ms"]
    assert "poll_after_ms" not in peer.ask("GET", ROOM)[2]


def test_quota_is_answered_with_429_and_retry_after(playing):
    """Those above it in one second are counted apart."""
    peer = playing(requests_per_s=5, retry_after_s=7)
    answers = [peer.ask("GET", ROOM) for _ in range(30)]
    refused = [headers for status, headers, _ in answers if status == 429]
    assert {"7"} == {headers["retry-after"] for headers in refused}
    polls = peer.stats()["polls"]
    assert (len(refused), 30 - len(refused)) == (polls["throttled"]["quota"], polls["answered"])
    assert 5 <= polls["answered"] < 30


@pytest.mark.parametrize(
    ("fault", "expected", "counted"),
    [
        ({"kind": "drop", "count": 1}, [2, 3], "dropped"),
        ({"kind": "duplicate", "count": 1}, [1, 1, 2, 3], "duplicated"),
        ({"kind": "reorder", "count": 1, "depth": 1}, [2, 1, 3], "reordered"),
        ({"kind": "delay", "delay_ms": 50.0}, [1, 2, 3], "delayed"),
    ],
)
def test_fault_of_deliveries_hits_messages_and_is_counted(playing, fault, expected, counted):
    """Each on the messages of one answer; what is owed is what was sent or dropped."""
    peer = playing(faults=[fault])
    cursor = peer.begin()
    peer.publish(1, 2, 3)
    assert expected == peer.numbers(cursor)[0]
    stats, log = peer.stats(), peer.ask("GET", "/_emulator/log")[2]
    deliveries = stats["deliveries"]
    hit = deliveries[counted]
    assert (3 if counted == "delayed" else 1) == (
        hit.get("fault") if isinstance(hit, dict) else hit
    )
    assert 3 == deliveries["owed"] == deliveries["sent"] + sum(deliveries["dropped"].values())
    assert ([] if counted == "delayed" else [counted]) == [entry["what"] for entry in log]


def test_malformed_answer_leaves_the_messages_for_the_next_poll(playing):
    """It is counted as what it is and not as a delivery."""
    peer = playing(faults=[{"kind": "malformed", "count": 1}])
    cursor = peer.begin()
    peer.publish(1)
    with pytest.raises(json.JSONDecodeError):
        peer.numbers(cursor)
    assert [1] == peer.numbers(cursor)[0]
    deliveries = peer.stats()["deliveries"]
    assert (1, 1, 1) == (deliveries["malformed"], deliveries["owed"], deliveries["sent"])


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "refuse_connects", "status": 503}, 503),
        ({"kind": "throttle_connects"}, 429),
        ({"kind": "expire_credentials"}, 401),
    ],
)
def test_fault_of_connections_is_told_by_its_status(playing, fault, status):
    """The first request of a connection hears of it, and the counts are still answered."""
    peer = playing(faults=[fault])
    assert status == peer.ask("GET", ROOM)[0]
    peer.connection.close()
    assert 200 == peer.ask("GET", "/_emulator/stats")[0]


def test_faults_may_be_told_later_and_counts_begun_anew(peer):
    """As with every emulator, below the same paths."""
    peer.publish(1)
    faults = json.dumps([{"kind": "throttle_publishes"}])
    assert 200 == peer.ask("POST", "/_emulator/faults", faults)[0]
    assert 429 == peer.ask("POST", PUBLISH, "{}")[0]
    assert 1 == peer.stats()["publishes"]["throttled"]["fault"]
    assert 200 == peer.ask("POST", "/_emulator/reset")[0]
    assert 0 == peer.stats()["events"]["published"]
    assert 400 == peer.ask("POST", "/_emulator/faults", "[1]")[0]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/elsewhere", None, 404),
        ("DELETE", ROOM, None, 404),
        ("POST", PUBLISH, "no JSON", 400),
        ("GET", f"{ROOM}?after=yesterday", None, 400),
    ],
)
def test_request_that_makes_no_sense_is_refused(peer, method, path, body, status):
    """And the connection goes on."""
    assert status == peer.ask(method, path, body)[0]
    assert peer.begin()


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET /poll/a HTTP/9\r\n\r\n", b"\x00" * 500]
)
def test_bytes_that_are_no_request_end_only_their_connection(peer, sent):
    """The emulator serves all others on."""
    with socket.create_connection((HOST, peer.emulator.port), timeout=PATIENCE_S) as connection:
        connection.sendall(sent)
        assert b"400" in connection.recv(4096)
        assert b"" == connection.recv(4096)
    assert peer.begin()


def test_request_that_comes_in_pieces_is_put_together(peer):
    """One byte at a time; and two in one piece are two."""
    request = f"GET {ROOM} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    with socket.create_connection((HOST, peer.emulator.port), timeout=PATIENCE_S) as connection:
        for byte in request:
            connection.sendall(bytes([byte]))
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(request + request)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 2:
            received += connection.recv(4096)


def test_aiohttp_polls_and_publishes_over_tls_on_the_same_connections(tmp_path):
    """A client that pools its connections mixes both on one."""

    async def talk(port, trust):
        base = f"https://localhost:{port}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            async with session.get(base + ROOM) as first:
                cursor = (await first.json())["next"]
            for number in range(5):
                async with session.post(base + PUBLISH, json={"n": number}) as done:
                    assert 201 == done.status
            async with session.get(base + ROOM, params={"after": cursor}) as news:
                return [message["n"] for message in (await news.json())["messages"]]

    with start(Options(tls=True)) as emulator:
        trust = ssl.create_default_context(cafile=emulator.folder / "ca.pem")
        assert [0, 1, 2, 3, 4] == asyncio.run(talk(emulator.port, trust))
