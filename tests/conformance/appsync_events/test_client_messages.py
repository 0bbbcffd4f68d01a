"""Messages of the client."""

import json

import pytest

from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import KEY, error_types
from tests.support.appsync_signing import signed_subscribe

WEBSOCKET_PAGE = "eventapi/event-api-websocket-protocol"


@documented("connection_init is answered with connection_ack.", WEBSOCKET_PAGE)
def test_connection_init_is_acknowledged(peer):
    """The optional first message."""
    assert "connection_ack" == peer.init()


@documented("subscribe names an id, a channel and credentials.", WEBSOCKET_PAGE)
def test_subscribe_begins_a_subscription(peer):
    """What is published next arrives under that id."""
    peer.subscribe("room", "/default/room1")
    peer.publish("/default/room1", 1)
    assert "room" == peer.hear()["id"]


@documented("unsubscribe names the id of a subscription and ends it.", WEBSOCKET_PAGE)
def test_unsubscribe_ends_only_its_subscription(peer):
    """The other goes on, and the id is free again."""
    peer.subscribe("1", "/default/u")
    peer.subscribe("2", "/default/u")
    peer.ask(type="unsubscribe", id="1")
    peer.publish("/default/u", 1)
    assert ["2"] == [message["id"] for message in peer.heard_before_next_answer()]
    assert "subscribe_success" == peer.subscribe("1", "/default/v")["type"]


@documented("publish carries 1 to 5 events, each a string of JSON.", WEBSOCKET_PAGE)
@pytest.mark.parametrize("count", [1, 5])
def test_publish_takes_one_to_five_events(peer, count):
    """Each is reported and delivered."""
    peer.subscribe("1", "/default/batch")
    answer = peer.publish("/default/batch", *range(count))
    assert list(range(count)) == [item["index"] for item in answer["successful"]]
    assert [str(number) for number in range(count)] == peer.events_before_next_answer()


@documented(
    "Ids have 1 to 128 characters of A-Z a-z 0-9 - _ +; each is good for any operation.",
    WEBSOCKET_PAGE,
)
@pytest.mark.parametrize("operation_id", ["a", "0-_+Z", "x" * 128])
def test_valid_ids_are_taken(peer, operation_id):
    """The shortest, the longest and every kind of character."""
    assert operation_id == peer.subscribe(operation_id, "/default/a")["id"]
    assert "unsubscribe_success" == peer.ask(type="unsubscribe", id=operation_id)["type"]


@documented("Ids are unique within a connection; two connections may use the same.", WEBSOCKET_PAGE)
def test_two_connections_may_use_one_id(connect, emulator):
    """Each gets its own delivery."""
    peers = [connect(emulator) for _ in range(2)]
    for peer in peers:
        assert "subscribe_success" == peer.subscribe("same", "/default/ids")["type"]
    peers[0].publish("/default/ids", 1)
    assert ["same", "same"] == [peer.hear()["id"] for peer in peers]


@documented("A connection may hold several subscriptions.", WEBSOCKET_PAGE)
def test_one_connection_holds_several_subscriptions(peer):
    """Three channels, each with its own id."""
    for name in ("a", "b", "c"):
        peer.subscribe(name, f"/default/several/{name}")
    for name in ("c", "a", "b"):
        peer.publish(f"/default/several/{name}", name)
        assert name == peer.hear()["id"]


@observed(
    "Keys that no rule names are ignored, in messages and in credentials.",
    "Amplify repeats the whole operation under payload and signs before adding x-amz-user-agent",
)
def test_unknown_keys_are_ignored(peer, emulator):
    """A subscribe as Amplify writes it, signed, with its additions."""
    authorization = signed_subscribe(emulator, "default/room1")
    authorization["x-amz-user-agent"] = "aws-amplify/6.22.1 framework/100"
    payload = {"channel": "default/room1", "extensions": {"authorization": authorization}}
    message = {"id": "1", "channel": "default/room1", "authorization": authorization}
    assert "subscribe_success" == peer.ask(**message, payload=payload, type="subscribe")["type"]


@observed("The order of keys is free.", "Amplify puts type last")
def test_order_of_keys_is_free(peer):
    """The type comes at the very end."""
    answer = peer.ask(authorization=KEY, channel="/default/a", id="1", type="subscribe")
    assert {"type": "subscribe_success", "id": "1"} == answer


@observed("A keep-alive from the client is ignored.", "aws-appsync-events-websockets-client-go")
def test_keep_alive_from_a_client_is_ignored(peer):
    """Nothing is answered."""
    peer.say(type="ka")
    assert [] == peer.heard_before_next_answer()


@assumed("A text message may come in several frames.", "RFC 6455 allows it to any peer")
def test_message_in_fragments_is_put_together(peer):
    """One JSON object in two frames."""
    peer.socket.send(['{"type":"conn', 'ection_init"}'])
    assert "connection_ack" == peer.hear()["type"]


@assumed(
    "A message longer than any publish closes the socket with 1009.", "RFC 6455 names that code"
)
def test_message_past_all_limits_closes_the_connection(peer):
    """It is refused at its header, before it is read."""
    peer.socket.socket.sendall(b"\x81\xff" + (100_000_000).to_bytes(8, "big") + bytes(4))
    assert 1009 == peer.close_code()


@assumed("An event with escaped text is delivered with its text unchanged.", "all clients parse it")
def test_escapes_in_events_survive(peer):
    """What a client of any language writes arrives as the same value."""
    peer.subscribe("1", "/default/escapes")
    value = {"text": 'é "<x>&\\/ \u2028 😀', "number": 1.5}
    peer.publish("/default/escapes", value)
    assert value == json.loads(peer.hear()["event"])


@documented("Channel and credentials are required to subscribe.", WEBSOCKET_PAGE)
def test_subscribe_without_channel_or_credentials_is_refused(peer):
    """Each has its own error."""
    answer = peer.ask(type="subscribe", id="1", authorization=KEY)
    assert ["BadRequestException"] == error_types(answer)
    answer = peer.ask(type="subscribe", id="1", channel="/default/a")
    assert ["UnauthorizedException"] == error_types(answer)
