import json
import struct
import time

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.appsync_peers import (
    KEY,
    MARKER,
    UNAUTHORIZED,
    error_types,
    header,
    refusal,
    stats,
)
from tests.support.waiting import PATIENCE_S, wait_for

KEEP_ALIVE_S = 0.8
"""Of the emulator named impatient."""


# Connecting


def test_keep_alive_comes_at_its_interval_after_the_ack(connect, impatient_emulator):
    """The first is due one interval after connection_ack, and then one every interval."""
    peer = connect(impatient_emulator)
    started_s = time.monotonic()
    assert "connection_ack" == peer.init()
    for number in (1, 2):
        assert {"type": "ka"} == peer.hear()
        assert number * KEEP_ALIVE_S <= time.monotonic() - started_s


async def test_aiohttp_client_subscribes_and_publishes(shared_emulator):
    """A client of a third kind gets along with the emulator over both transports."""
    address = f"http://127.0.0.1:{shared_emulator.port}/event"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{address}/realtime", protocols=[header(KEY), MARKER]) as connection,
    ):
        assert MARKER == connection.protocol
        subscribe = {"type": "subscribe", "id": "1", "channel": "/default/aiohttp"}
        await connection.send_json({**subscribe, "authorization": KEY})
        assert "subscribe_success" == (await connection.receive_json())["type"]
        body = {"channel": "/default/aiohttp", "events": ["1"]}
        async with session.post(address, json=body, headers={"x-api-key": "da2-test"}) as post:
            assert 200 == post.status
        assert "1" == (await connection.receive_json())["event"]


def test_compression_is_declined(peer):
    """The client offers permessage-deflate and the server does not take it."""
    assert "Sec-WebSocket-Extensions" in peer.socket.request.headers
    assert "Sec-WebSocket-Extensions" not in peer.socket.response.headers


def test_connection_init_may_be_left_out(peer):
    """An authorised client may subscribe straight away."""
    assert {"type": "subscribe_success", "id": "1"} == peer.subscribe("1", "/default/a")


def test_connection_init_is_answered_again(peer):
    """A second connection_init gets a second ack."""
    assert ["connection_ack"] * 2 == [peer.init() for _ in range(2)]


def test_query_string_and_origin_are_ignored(connect, shared_emulator):
    """Amplify puts custom headers into the address; they change nothing."""
    peer = connect(shared_emulator, query="?x-custom=1", origin="https://elsewhere.example")
    assert "connection_ack" == peer.init()


# Subscribing


def test_delivery_carries_the_subscription_and_the_event_unchanged(peer):
    """The event is the very text that was published, in a string."""
    peer.subscribe("sub-1", "default/room")
    text = ' {"b": "\\u00e9é" ,"a":1.0} '
    assert "publish_success" == peer.publish_texts("/default/room", text)["type"]
    assert {"type": "data", "id": "sub-1", "event": text} == peer.hear()


@pytest.mark.parametrize(
    ("channel", "reached"),
    [
        ("/default/rooms/a", True),
        ("/default/rooms/a/b/c", True),
        ("/default/rooms", False),
        ("/default/other", False),
        ("/second/rooms/a", False),
    ],
)
def test_wildcard_matches_any_depth_below_its_prefix(peer, channel, reached):
    """``/default/rooms/*`` sees all below ``/default/rooms`` and nothing else."""
    assert "subscribe_success" == peer.subscribe("w", "/default/rooms/*")["type"]
    peer.publish(channel, 1)
    if reached:
        assert {"type": "data", "id": "w", "event": "1"} == peer.hear()
    peer.hear_nothing_more()


def test_each_matching_subscription_gets_its_own_delivery(peer):
    """Exact, wildcard and a second id on one channel deliver once each."""
    for operation_id, channel in [("1", "default/a"), ("2", "/default/*"), ("3", "/default/a/")]:
        peer.subscribe(operation_id, channel)
    peer.publish("/default/a", 1)
    assert ["1", "2", "3"] == sorted(peer.hear()["id"] for _ in range(3))
    peer.hear_nothing_more()


def test_event_reaches_other_connections_and_the_publisher(connect, shared_emulator):
    """Everyone who subscribed gets the event, its publisher included."""
    peers = [connect(shared_emulator) for _ in range(3)]
    for number, peer in enumerate(peers):
        peer.subscribe(f"s{number}", "/default/all")
    assert "publish_success" == peers[0].publish("/default/all", "hi")["type"]
    for number, peer in enumerate(peers):
        assert {"type": "data", "id": f"s{number}", "event": '"hi"'} == peer.hear()


def test_unsubscribe_ends_only_its_subscription(peer):
    """After the confirmation nothing more comes for that id, and the other goes on."""
    peer.subscribe("1", "/default/u")
    peer.subscribe("2", "/default/u")
    assert {"type": "unsubscribe_success", "id": "1"} == peer.ask(type="unsubscribe", id="1")
    peer.publish("/default/u", 1)
    assert "2" == peer.hear()["id"]
    peer.hear_nothing_more()


def test_id_is_free_again_after_unsubscribe(peer):
    """An id names one subscription at a time, not for ever."""
    peer.subscribe("1", "/default/u")
    peer.ask(type="unsubscribe", id="1")
    assert "subscribe_success" == peer.subscribe("1", "/default/v")["type"]


def test_duplicate_subscription_id_is_refused_and_the_first_kept(peer):
    """The second subscribe fails, whatever its channel."""
    peer.subscribe("1", "/default/first")
    assert ["DuplicatedOperationError"] == error_types(peer.subscribe("1", "/default/second"))
    peer.publish("/default/second", 2)
    peer.publish("/default/first", 1)
    assert "1" == peer.hear()["event"]


def test_unknown_unsubscribe_id_is_refused(peer):
    """The answer quotes the id."""
    assert {
        "type": "unsubscribe_error",
        "id": "9",
        "errors": [{"errorType": "UnknownOperationError", "message": "Unknown operation id 9"}],
    } == peer.ask(type="unsubscribe", id="9")


@pytest.mark.parametrize("authorization", [None, {}, {"x-api-key": "da2-wrong"}, "da2-test"])
def test_each_message_is_authorised_by_itself(peer, authorization):
    """A good connection does not make up for bad credentials in a message."""
    expected = {"type": "subscribe_error", "id": "1", "errors": [UNAUTHORIZED]}
    assert expected == peer.subscribe("1", "/default/a", authorization)
    answer = peer.publish("/default/a", 1, authorization=authorization)
    assert {"type": "publish_error", "id": "p", "errors": [UNAUTHORIZED]} == answer


def test_message_needs_no_host_and_any_spelling_of_the_key(peer):
    """Some clients leave ``host`` out of messages and write names in capitals."""
    answer = peer.subscribe("1", "/default/a", {"X-API-KEY": "da2-other"})
    assert "subscribe_success" == answer["type"]


def test_unknown_namespace_is_unauthorized_without_a_message(peer):
    """Subscribe and publish give the same bare error."""
    bare = [{"errorType": "UnauthorizedException"}]
    assert bare == peer.subscribe("1", "/nowhere/a")["errors"]
    assert bare == peer.subscribe("1", "/Default/a")["errors"]
    assert bare == peer.publish("/nowhere/a", 1)["errors"]


@pytest.mark.parametrize("channel", ["/default/a_b", "/default//a", "/*", "/a/b/c/d/e/f", None])
def test_bad_channel_is_a_bad_request(peer, channel):
    """Both operations refuse a channel outside the grammar."""
    assert ["BadRequestException"] == error_types(peer.subscribe("1", channel))
    assert ["BadRequestException"] == error_types(peer.publish(channel, 1))


# Publishing


def test_five_events_arrive_in_order_as_five_deliveries(peer):
    """A batch is answered event by event and delivered event by event."""
    peer.subscribe("1", "/default/batch")
    answer = peer.publish("/default/batch", *range(5))
    assert [] == answer["failed"]
    assert list(range(5)) == [item["index"] for item in answer["successful"]]
    assert 5 == len({item["identifier"] for item in answer["successful"]})
    assert ["0", "1", "2", "3", "4"] == [peer.hear()["event"] for _ in range(5)]


def test_six_events_none_and_no_list_are_refused(peer):
    """Limits break with InvalidInputError, malformed requests with BadRequestException."""
    answer = peer.publish("/default/a", *range(6))
    expected = [{"errorType": "InvalidInputError", "message": "input exceeded 5 event limit"}]
    assert expected == answer["errors"]
    assert ["InvalidInputError"] == error_types(peer.publish("/default/a"))
    bare = {"type": "publish", "id": "p", "channel": "/default/a", "authorization": KEY}
    assert ["BadRequestException"] == error_types(peer.ask(**bare))
    assert ["BadRequestException"] == error_types(peer.publish_texts("/default/a", {}))
    assert ["BadRequestException"] == error_types(peer.publish_texts("/default/a", "1", "{"))


def test_too_large_event_fails_alone(connect, shared_emulator):
    """The others of the batch are delivered; the answer says which one was not."""
    peer = connect(shared_emulator, max_size=None)
    peer.subscribe("1", "/default/large")
    answer = peer.publish("/default/large", "a", "x" * 245_759, "x" * 245_758)
    assert [0, 2] == [item["index"] for item in answer["successful"]]
    failed = answer["failed"][0]
    assert (1, "EventTooLargeException") == (failed["index"], failed["code"])
    assert "Transformed event is larger than 240KB" == failed["message"]
    assert [3, 245_760] == [len(peer.hear()["event"]) for _ in range(2)]
    peer.hear_nothing_more()


def test_publish_to_a_wildcard_is_a_bad_request(peer):
    """Wildcards are for subscribing."""
    assert ["BadRequestException"] == error_types(peer.publish("/default/*", 1))


# Malformed frames


@pytest.mark.parametrize(
    "message",
    ["", "{", "[]", '"x"', "NaN", pytest.param(b'{"type":"connection_init"}', id="binary")],
)
def test_message_that_is_no_json_object_is_answered_and_the_connection_kept(peer, message):
    """Even JSON is refused in a binary frame; the next message is served."""
    peer.socket.send(message)
    answer = peer.hear()
    assert ("error", ["BadRequestException"]) == refusal(answer)
    assert "connection_ack" == peer.init()


def test_unknown_type_is_unsupported_and_the_connection_kept(peer):
    """The answer carries the client's id."""
    answer = peer.ask(type="start", id="7")
    assert "error" == answer["type"]
    assert "7" == answer["id"]
    assert ["UnsupportedOperation"] == error_types(answer)
    assert "connection_ack" == peer.init()


def test_operation_without_a_valid_id_gets_its_own_error(peer):
    """The answer is of the matching type and has no id."""
    for message_type in ("subscribe", "unsubscribe", "publish"):
        answer = peer.ask(type=message_type, id="not valid")
        assert f"{message_type}_error" == answer["type"]
        assert "id" not in answer
        assert ["BadRequestException"] == error_types(answer)


def test_keep_alive_from_a_client_is_ignored(peer):
    """A client was seen to send ``ka``; nothing is answered."""
    peer.say(type="ka")
    peer.hear_nothing_more()


def test_message_in_fragments_is_put_together(peer):
    """A text message may come in several frames."""
    peer.socket.send(['{"type":"conn', 'ection_init"}'])
    assert "connection_ack" == peer.hear()["type"]


def test_ping_is_answered(peer):
    """The server answers a WebSocket ping with a pong."""
    assert peer.socket.ping().wait(PATIENCE_S)


def test_message_past_all_limits_closes_the_connection(connect, shared_emulator):
    """A frame longer than any publish is refused at its header, with the code for it."""
    peer = connect(shared_emulator)
    masked_text_of_unlikely_length = b"\x81\xff" + struct.pack("!Q", 7_700_000) + bytes(4)
    peer.socket.socket.sendall(masked_text_of_unlikely_length)
    assert 1009 == peer.close_code()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(max_size=80)
    | st.binary(max_size=80)
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["subscribe", "unsubscribe", "publish", "x"])},
        optional={
            key: st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3))
            for key in ("id", "channel", "events", "authorization")
        },
    ).map(json.dumps)
)
def test_no_frame_kills_the_connection(peer, frame):
    """Whatever is sent, the emulator answers with an error and serves on."""
    peer.socket.send(frame)
    assert "error" in peer.hear()["type"]
    assert "connection_ack" == peer.init()


def test_subscriptions_end_with_their_connection(connect, shared_emulator):
    """When a client goes, its subscriptions are forgotten."""
    before = stats(shared_emulator)
    peer = connect(shared_emulator)
    peer.subscribe("1", "/default/gone")
    peer.subscribe("2", "/default/gone")
    during = stats(shared_emulator)
    assert 2 == during["subscriptions"] - before["subscriptions"]
    assert 1 == during["connections"] - before["connections"]
    peer.socket.close()
    wait_for(lambda: stats(shared_emulator)["subscriptions"] == before["subscriptions"])
    wait_for(lambda: stats(shared_emulator)["connections"] == before["connections"])
