"""The emulator as the ``websockets`` and aiohttp clients see it."""

import json
import selectors
import urllib.request

import pytest
import websockets.exceptions
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from harness.systems.api_gateway_websocket.emulator.process import ApiGatewayEmulator
from harness.systems.api_gateway_websocket.emulator.sessions import FrameLimit
from harness.systems.api_gateway_websocket.options import Options, Quotas, Route, Undocumented
from tests.support.http_requests import stats
from tests.support.waiting import PATIENCE_S, wait_for
from tests.systems.api_gateway_websocket.conftest import ROOM

start = ApiGatewayEmulator.start


def test_message_reaches_everybody_in_its_channel_and_nobody_else(shared_emulator, connect):
    """The sender is answered with its id once all were posted to; it gets the message too."""
    sender, listener, stranger = (connect(shared_emulator) for _ in range(3))
    sender.join()
    listener.join()
    stranger.join("/default/room-1")
    sender.say(action="sendmessage", channel=ROOM, id="7", data={"text": "hello"})
    assert {"text": "hello"} == listener.hear()
    answer = {"action": "sendmessage", "id": "7", "channel": ROOM, "reached": 2}
    assert [{"text": "hello"}, answer] == [sender.hear(), sender.hear()]
    assert "Forbidden" == stranger.ask(action="?")["message"]


def test_connection_in_several_channels_gets_each_message_once(shared_emulator, connect):
    """By name, by wildcard or by both: one row a connection is posted to."""
    sender, several, below, both = (connect(shared_emulator) for _ in range(4))
    for peer, channels in (
        (several, ["/rooms/a", "/rooms/b"]),
        (below, ["/rooms/*"]),
        (both, ["/rooms/a", "/rooms/*"]),
    ):
        for channel in channels:
            peer.join(channel)
    reached = {"/rooms/a": 3, "/rooms/b": 3, "/rooms/c/d": 2}
    for channel, expected in reached.items():
        answer = sender.ask(action="sendmessage", channel=channel, data={"to": channel})
        assert expected == answer["reached"]
    for peer, heard in ((several, ["/rooms/a", "/rooms/b"]), (below, reached), (both, reached)):
        assert [{"to": channel} for channel in heard] == [peer.hear() for _ in heard]


def test_message_to_a_wildcard_is_an_error_of_the_backend(shared_emulator, connect):
    """It stands for channels that nobody named."""
    answer = connect(shared_emulator).ask(action="sendmessage", channel="/default/*", data=1)
    assert "Internal server error" == answer["message"]


def test_frame_that_no_route_takes_is_answered_with_an_error_frame(shared_emulator, connect):
    """Its words, the connection's id and the request's: what the service sends by itself."""
    peer = connect(shared_emulator)
    peer.socket.send("no JSON at all")
    answer = peer.hear()
    assert {"message", "connectionId", "requestId"} == answer.keys()
    assert "Forbidden" == answer["message"]
    assert answer["connectionId"].endswith("=")


@pytest.mark.parametrize("size", [32 * 1024 + 1, 128 * 1024])
def test_frame_above_32_kb_closes_the_connection(shared_emulator, connect, size):
    """With code 1009, as documented."""
    peer = connect(shared_emulator)
    peer.socket.send("x" * size)
    assert 1009 == peer.close_code()


def test_two_processes_are_one_api(connect):
    """Whoever sends reaches everybody, whichever process holds them, and the counts are summed."""
    with start(Options(processes=2)) as emulator:
        peers = [connect(emulator).join() for _ in range(12)]
        peers[0].say(action="sendmessage", channel=ROOM, data={"n": 1})
        for peer in peers[1:]:
            assert {"n": 1} == peer.hear()
        wait_for(lambda: 12 == stats(emulator)["deliveries"]["sent"])
        deliveries = stats(emulator)["deliveries"]
        assert (12, 0) == (deliveries["owed"], deliveries["pending"])


def refusal(connect, emulator, **arguments):
    """Return the status with which an upgrade is refused, and what is said."""
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(emulator, **arguments)
    response = refused.value.response
    return response.status_code, json.loads(response.body)["message"]


def test_authorizer_lets_in_who_has_the_key(connect):
    """In the header or in the query; 401 without a key and 403 with another."""
    with start(Options(api_key="secret")) as emulator:
        assert connect(emulator, additional_headers={"Authorization": "secret"}).id
        assert connect(emulator, query="?authorization=secret").id
        assert (401, "Unauthorized") == refusal(connect, emulator)
        assert (403, "Forbidden") == refusal(connect, emulator, query="?authorization=other")


def test_connects_above_the_quota_are_answered_429(connect):
    """During the upgrade, before there is a connection."""
    with start(Options(quotas=Quotas(connects_per_s=0.01))) as emulator:
        connect(emulator)
        assert (429, "Too Many Requests") == refusal(connect, emulator)
        counts = stats(emulator)["connects"]
        assert (1, 1) == (counts["accepted"], counts["throttled"]["quota"])


@pytest.mark.parametrize(
    ("quotas", "cause"), [({"idle_s": 0.4}, "idle"), ({"lifetime_s": 0.4}, "lifetime")]
)
def test_connection_ends_of_silence_and_of_age(connect, quotas, cause):
    """With code 1001; quotas that are 0 or off end none."""
    with start(Options(quotas=Quotas(**quotas))) as emulator:
        assert 1001 == connect(emulator).close_code()
        assert 1 == stats(emulator)["disconnects"][cause]


def test_row_that_a_lost_disconnect_leaves_is_deleted_by_the_first_410(connect):
    """It is owed nothing: nobody is there. The next broadcast does not know it any more."""
    with start(Options(undocumented=Undocumented(lost_disconnects=1.0))) as emulator:
        gone, stays = connect(emulator).join(), connect(emulator).join()
        gone.socket.close()
        wait_for(lambda: 1 == stats(emulator)["disconnects"]["unnoticed"])
        reached = []
        for _ in range(2):
            stays.say(action="sendmessage", channel=ROOM, data="text")
            assert "text" == stays.socket.recv(timeout=PATIENCE_S)
            reached.append(stays.hear()["reached"])
        counts = stats(emulator)
        assert ([1, 1], 1) == (reached, counts["posts"]["gone"])
        deliveries = counts["deliveries"]
        assert 2 == deliveries["owed"]
        assert 2 == deliveries["sent"]
        assert 0 == deliveries["dropped"]["closed"]


def test_killed_process_costs_its_connections_and_nobody_else(connect):
    """Their rows go with the first 410; who stayed, and who comes back, hears the next message."""
    with start(Options(processes=2)) as emulator, selectors.PollSelector() as selector:
        peers = [connect(emulator).join() for _ in range(12)]
        emulator.watch(selector)
        emulator.execute({"kill": 1, "back_after_s": 0.0})
        selector.select(10)[0][0].data()
        emulator.revive(selector)
        wait_for(lambda: [0, 1] == stats(emulator)["processes"]["answered"])
        stayed = [peer for peer in peers if is_open(peer)]
        assert 0 < len(stayed) < len(peers)
        back = [connect(emulator).join() for _ in range(len(peers) - len(stayed))]
        reached = []
        for text in ("first", "second"):
            stayed[0].say(action="sendmessage", channel=ROOM, data=text)
            assert [text] * 12 == [
                peer.socket.recv(timeout=PATIENCE_S) for peer in (*stayed, *back)
            ]
            reached.append(stayed[0].hear()["reached"])
        assert [12, 12] == reached
        counts = stats(emulator)
        assert len(back) == counts["posts"]["gone"]
        assert (24, 24) == (counts["deliveries"]["owed"], counts["deliveries"]["sent"])


def is_open(peer):
    """Tell whether the service still answers on a connection."""
    try:
        return "Forbidden" == peer.ask(action="?")["message"]
    except websockets.exceptions.ConnectionClosedError:
        return False


def test_broadcast_while_a_process_is_away_reaches_all_others(connect):
    """Calls to the connections that went with it are answered 410, and their owed ones counted."""
    with start(Options(processes=2)) as emulator, selectors.PollSelector() as selector:
        peers = [connect(emulator).join() for _ in range(12)]
        emulator.watch(selector)
        emulator.execute({"kill": 0, "back_after_s": 3600.0})
        selector.select(10)[0][0].data()
        stayed = [peer for peer in peers if is_open(peer)]
        stayed[0].say(action="sendmessage", channel=ROOM, data="text")
        assert {"text"} == {peer.socket.recv(timeout=PATIENCE_S) for peer in stayed}
        assert len(stayed) == stayed[0].hear()["reached"]
        deliveries = stats(emulator)["deliveries"]
        gone = len(peers) - len(stayed)
        assert 12 == deliveries["owed"]
        assert len(stayed) == deliveries["sent"]
        assert gone == deliveries["dropped"]["closed"]
        assert 0 == deliveries["pending"]


def test_routes_do_what_they_are_told_to(connect):
    """Echo, fail, leave and the route for all others; one without a response stays silent."""
    routes = (
        Route(key="join", does="join"),
        Route(key="leave", does="leave"),
        Route(key="sendmessage", does="broadcast", response=False),
        Route(key="boom", does="fail"),
        Route(key="$default", does="echo"),
    )
    with start(Options(routes=routes)) as emulator:
        peer, other = connect(emulator).join(), connect(emulator).join()
        assert {"action": "what", "x": 1} == peer.ask(action="what", x=1)
        assert "Internal server error" == peer.ask(action="boom")["message"]
        assert "Internal server error" == peer.ask(action="join")["message"]
        assert "leave" == other.ask(action="leave", channel=ROOM)["action"]
        peer.say(action="sendmessage", channel=ROOM, data=1)
        assert [1, {"action": "end"}] == [peer.hear(), peer.ask(action="end")]
        assert {"action": "end"} == other.ask(action="end")


def test_faults_told_at_run_time_are_counted(connect):
    """Two deliveries are dropped, and the count says so."""
    with start(Options()) as emulator:
        peer = connect(emulator).join()
        address = f"http://127.0.0.1:{emulator.port}/_emulator/faults"
        urllib.request.urlopen(address, json.dumps([{"kind": "drop", "count": 2}]).encode()).close()
        for number in range(4):
            peer.say(action="sendmessage", channel=ROOM, id=str(number), data=number)
        assert 2 == sum(isinstance(message, int) for message in [peer.hear() for _ in range(6)])
        deliveries = stats(emulator)["deliveries"]
        counts = (deliveries["owed"], deliveries["sent"], deliveries["dropped"]["fault"])
        assert (4, 2, 2) == counts


def test_bill_counts_messages_both_ways_and_connection_time(connect):
    """A join, a publish and its two deliveries, and two connects."""
    with start(Options()) as emulator:
        peer = connect(emulator).join()
        connect(emulator)
        peer.say(action="sendmessage", channel=ROOM, data="x" * 32_700)
        peer.socket.recv(timeout=PATIENCE_S)
        peer.hear()
        billed = stats(emulator)["billed"]
        assert (2, 2, 1) == (billed["connects"], billed["inbound"], billed["outbound"])
        assert billed["connection_minutes"] > 0


@given(
    st.lists(st.tuples(st.integers(0, 70_000), st.booleans()), min_size=1, max_size=4),
    st.lists(st.integers(1, 50_000), min_size=1, max_size=20),
)
def test_frame_is_too_long_however_its_bytes_are_cut(frames, cuts):
    """Against frames of the ``websockets`` library: those before the first long one pass."""
    passed, told = [], []

    class Reader:
        def feed_data(self, data):
            passed.append(data)
            return False, b""

        def feed_eof(self):
            """Never called here."""

    limit = FrameLimit(Reader(), 32_768, lambda: told.append(True))
    data = b"".join(
        Frame(Opcode.BINARY, bytes(size)).serialize(mask=masked) for size, masked in frames
    )
    start_at = 0
    for cut in [*cuts, len(data)]:
        limit.feed_data(data[start_at : start_at + cut])
        start_at += cut
    assert [True] * any(size > 32_768 for size, _ in frames) == told
    if not told:
        assert data == b"".join(passed)
