"""What the documentation leaves open."""

import contextlib
import json
import time

import pytest

from tests.conformance.rows import assumed, observed
from tests.support.appsync_peers import (
    KEY,
    UNAUTHORIZED,
    body,
    error_types,
    issue_token,
    post,
    refusal,
)
from tests.support.waiting import PATIENCE_S

KEEP_ALIVE_S = 1.6
BEARABLE = "clients bear it"
NO_MASK = bytes(4)
"""The mask of a client's frame that leaves its bytes as they are."""


@observed(
    "Is `event` a string or an array? A string, also in a batch.",
    "aws-appsync-events by auvred, Swift, Android; the documented sample has an array",
)
def test_event_of_a_batch_is_a_string(peer):
    """No event of five is wrapped."""
    peer.subscribe("1", "/default/strings")
    peer.publish("/default/strings", *range(5))
    assert ["0", "1", "2", "3", "4"] == peer.events_before_next_answer()


@assumed(
    "Do errors carry errorCode? Only connection_error does.",
    "seen there at times, never elsewhere; Amplify looks at either code or type",
)
def test_error_code_is_in_connection_errors_only(connect, emulator, peer):
    """The same wrong key, at each step."""
    wrong = {**KEY, "x-api-key": "da2-wrong"}
    (error,) = connect(emulator, wrong).ask(type="connection_init")["errors"]
    assert 401 == error["errorCode"]
    answers = [
        peer.subscribe("1", "/default/a", wrong),
        peer.publish("/default/a", 1, authorization=wrong),
        post(emulator, body("/default/a", 1), wrong).body,
    ]
    assert all("errorCode" not in answer["errors"][0] for answer in answers)


@assumed(
    "May `message` be missing? For an unknown namespace only.",
    "observed there; Amplify and Android take its absence",
)
def test_message_is_missing_for_an_unknown_namespace_only(peer):
    """All other refusals of one connection have a sentence."""
    others = [
        peer.subscribe("1", "/default/a_b"),
        peer.subscribe("1", "/default/a", {}),
        peer.publish("/default/a"),
        peer.ask(type="unsubscribe", id="1"),
        peer.ask(type="start", id="1"),
    ]
    assert all(answer["errors"][0]["message"] for answer in others)
    assert ["errorType"] == list(peer.subscribe("1", "/nowhere/a")["errors"][0])


@assumed(
    "When does the first ka come? One interval after the ack, or after the upgrade without one.",
    "an earlier one breaks clients that take the first frame as the ack",
)
@pytest.mark.parametrize("has_init", [True, False])
def test_first_keep_alive_comes_one_interval_later(connect, started, has_init):
    """The ack is asked for late, and the interval begins anew."""
    emulator = started(keep_alive_s=KEEP_ALIVE_S)
    began_s = time.monotonic()
    peer = connect(emulator)
    if has_init:
        deadline = began_s + KEEP_ALIVE_S / 4  # Early enough for a busy machine.
        with contextlib.suppress(TimeoutError):
            peer.socket.recv(timeout=deadline - time.monotonic())
        began_s = time.monotonic()
        assert "connection_ack" == peer.init()
    assert {"type": "ka"} == peer.hear()
    assert KEEP_ALIVE_S <= time.monotonic() - began_s


@assumed("A second connection_init? It gets a second ack.", "no client sends one")
def test_second_connection_init_is_acknowledged(peer):
    """Subscriptions made before go on."""
    peer.ask(type="connection_init")
    peer.subscribe("1", "/default/again")
    assert "connection_ack" == peer.init()
    peer.publish("/default/again", 1)
    assert "1" == peer.hear()["event"]


@observed(
    "Messages before the ack? Accepted where the connection is authorised.",
    "Swift, ob-appsync-events-client and the wscat tutorial subscribe without connection_init",
)
def test_messages_before_the_ack_are_accepted(peer):
    """Publish and subscribe first, connection_init later."""
    assert "publish_success" == peer.publish("/default/a", 1)["type"]
    assert "subscribe_success" == peer.subscribe("1", "/default/a")["type"]
    assert "connection_ack" == peer.init()


@assumed("A subscription id in use? The second subscribe fails and the first goes on.", BEARABLE)
def test_first_of_two_equal_ids_is_kept(peer):
    """Events of the first channel come, of the second do not."""
    peer.subscribe("1", "/default/first")
    assert ["DuplicatedOperationError"] == error_types(peer.subscribe("1", "/default/second"))
    peer.publish("/default/second", 2)
    peer.publish("/default/first", 1)
    assert ["1"] == peer.events_before_next_answer()


@assumed(
    "A missing or invalid id? The operation's own error without an id; the socket stays.", BEARABLE
)
@pytest.mark.parametrize("operation", ["subscribe", "unsubscribe", "publish"])
@pytest.mark.parametrize("bad", [{}, {"id": ""}, {"id": 7}, {"id": "a b"}, {"id": "x" * 129}])
def test_bad_id_gets_the_operations_error(peer, operation, bad):
    """BadRequestException each time, and the next message is served."""
    answer = peer.ask(type=operation, channel="/default/a", authorization=KEY, **bad)
    assert (f"{operation}_error", ["BadRequestException"]) == refusal(answer)
    assert "id" not in answer
    assert "connection_ack" == peer.init()


@assumed("An unknown type? error, UnsupportedOperation; the socket stays.", BEARABLE)
@pytest.mark.parametrize("message", [{"type": "start", "id": "1"}, {"type": 7}, {"id": "1"}, {}])
def test_unknown_type_is_an_unsupported_operation(peer, message):
    """Another protocol's type, a number, none."""
    assert ("error", ["UnsupportedOperation"]) == refusal(peer.ask(**message))
    assert "connection_ack" == peer.init()


@assumed("Text that is no JSON object? error, BadRequestException; the socket stays.", BEARABLE)
@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "1", "null", "NaN", "{}{}", "[" * 5000])
def test_text_that_is_no_json_object_is_a_bad_request(peer, text):
    """Empty, cut short, other JSON, no JSON, nested deeply."""
    peer.socket.send(text)
    assert ("error", ["BadRequestException"]) == refusal(peer.hear())
    assert "connection_ack" == peer.init()


@assumed("A binary frame? error, BadRequestException; the socket stays.", BEARABLE)
def test_binary_frame_is_a_bad_request(peer):
    """Even with JSON in it."""
    peer.socket.send(b'{"type":"connection_init"}')
    assert ("error", ["BadRequestException"]) == refusal(peer.hear())
    assert "connection_ack" == peer.init()


@assumed("Text that is no UTF-8? error, BadRequestException; the socket stays.", BEARABLE)
def test_text_that_is_no_utf8_is_a_bad_request(peer):
    """A frame written byte by byte, as no library would."""
    peer.socket.socket.sendall(b"\x81\x82" + NO_MASK + b"\xff\xfe")
    assert ("error", ["BadRequestException"]) == refusal(peer.hear())
    assert "connection_ack" == peer.init()


@assumed("A frame that breaks RFC 6455? The socket is closed with 1002.", "RFC 6455 says so")
@pytest.mark.parametrize(
    "frame",
    [
        b"\x83\x80" + NO_MASK,  # an opcode that is reserved
        b"\xc1\x82" + NO_MASK + b"{}",  # a bit that is reserved
        b"\x80\x80" + NO_MASK,  # the continuation of nothing
        b"\x09\x80" + NO_MASK,  # a ping in fragments
        b"\x89\xfe\x00\x7e" + NO_MASK + bytes(126),  # a ping too long
        b"\x88\x81" + NO_MASK + b"x",  # half a close code
    ],
)
def test_frame_that_breaks_the_rules_closes_the_socket(peer, frame):
    """Nothing is answered but the close."""
    peer.socket.socket.sendall(frame)
    assert 1002 == peer.close_code()


@observed(
    "One channel subscribed to twice with two ids? Both get each event.",
    "Amplify does so by design",
)
def test_two_ids_on_one_channel_both_get_the_event(peer):
    """Once each."""
    for operation_id in ("1", "2"):
        assert "subscribe_success" == peer.subscribe(operation_id, "/default/twice")["type"]
    peer.publish("/default/twice", 1)
    assert ["1", "2"] == sorted(message["id"] for message in peer.heard_before_next_answer())


@assumed(
    "An event that is no JSON, or no string? BadRequestException for the whole publish.",
    "handlers could not be given it",
)
@pytest.mark.parametrize("event", ["{", "", "text", "NaN", {}, 1, None])
def test_event_that_is_no_json_refuses_the_publish(peer, emulator, event):
    """The good event beside it is not delivered either, over both transports."""
    peer.subscribe("1", "/default/strict")
    answer = peer.publish_texts("/default/strict", "1", event)
    assert ("publish_error", ["BadRequestException"]) == refusal(answer)
    answer = post(emulator, {"channel": "/default/strict", "events": ["1", event]})
    assert (400, ["BadRequestException"]) == refusal(answer)
    assert [] == peer.heard_before_next_answer()


@assumed(
    "No events? InvalidInputError on a socket, BadRequestException over HTTP.",
    "documented: 1 to 5; types as for six events",
)
def test_no_events_are_refused(peer, emulator):
    """An empty list."""
    assert ["InvalidInputError"] == error_types(peer.publish("/default/a"))
    answer = post(emulator, {"channel": "/default/a", "events": []})
    assert (400, ["BadRequestException"]) == refusal(answer)


@assumed(
    "Is an event re-serialised? Without a handler its text arrives unchanged.",
    "all clients parse it",
)
def test_event_text_is_passed_through(peer):
    """Spaces, escapes, number forms and order of keys."""
    text = ' {"b": "\\u00e9é\\/" ,"a":1.0, "a":1e2} '
    peer.subscribe("1", "/default/through")
    peer.publish_texts("/default/through", text)
    assert text == peer.hear()["event"]


@assumed(
    "Reply or own delivery first? The reply, and the other way round as an option.",
    "no client depends on it",
)
@pytest.mark.parametrize("reply_first", [True, False])
def test_reply_or_delivery_first(connect, started, reply_first):
    """A publisher that subscribes to its own channel."""
    peer = connect(started(undocumented={"reply_first": reply_first}))
    peer.subscribe("1", "/default/own")
    types = [peer.publish("/default/own", 1)["type"], peer.hear()["type"]]
    assert ["publish_success", "data"] == (types if reply_first else types[::-1])


@assumed(
    "WebSocket pings? A client's are answered, and none is required of it.",
    "libraries answer by themselves",
)
def test_ping_is_answered(peer):
    """The pong comes, and the connection goes on."""
    assert peer.socket.ping().wait(PATIENCE_S)
    assert "connection_ack" == peer.init()


@assumed("permessage-deflate? Declined.", "not known to be negotiated; optional for all clients")
def test_compression_is_declined(peer):
    """The client offers it and the server does not take it."""
    assert "Sec-WebSocket-Extensions" in peer.socket.request.headers
    assert "Sec-WebSocket-Extensions" not in peer.socket.response.headers


@assumed("Origin? Not looked at.", "the service is not known to; its HTTP side answers browsers")
def test_origin_is_ignored(connect, emulator):
    """A page from anywhere may connect."""
    assert "connection_ack" == connect(emulator, origin="https://elsewhere.example").init()


@assumed(
    "Credentials that expire while connected? Each message is checked; the socket stays.",
    "per-message authorisation is documented, its end is not",
)
def test_expiry_is_checked_at_each_message(connect, emulator):
    """The subscription made in time goes on; the next operation is refused."""
    token = {"host": "localhost", "Authorization": issue_token(emulator, "oidc", lifetime_s=2)}
    peer = connect(emulator, token)
    assert "subscribe_success" == peer.subscribe("1", "/default/expiry", token)["type"]
    deadline = time.monotonic() + PATIENCE_S
    while (answer := peer.subscribe("2", "/default/a", token))["type"] == "subscribe_success":
        assert time.monotonic() < deadline
        peer.ask(type="unsubscribe", id="2")
    assert [UNAUTHORIZED] == answer["errors"]
    peer.publish("/default/expiry", 1)
    assert "1" == peer.hear()["event"]


@observed(
    "Code of a close by the server? 1000; 1001 and 1011 as options.",
    "1000 was seen even for failures",
)
@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_server_closes_with_the_code_set(connect, started, code):
    """At the end of a connection's lifetime, here a short one."""
    peer = connect(started(connection_lifetime_s=0.3, undocumented={"close_code": code}))
    assert code == peer.close_code()


@assumed("A close without a close frame? As an option, to test clients.", "networks do so")
def test_server_may_abort(connect, started):
    """Code 1006 stands for a connection that breaks off."""
    peer = connect(started(connection_lifetime_s=0.3, undocumented={"close_code": 1006}))
    assert peer.close_code() is None


@assumed("How long may a connection last? 24 h, here shortened; a new one is accepted.", "a quota")
def test_lifetime_ends_a_connection_but_not_the_service(connect, started):
    """A busy connection ends too, not before its time."""
    emulator = started(connection_lifetime_s=0.5)
    began_s = time.monotonic()
    peer = connect(emulator)
    peer.subscribe("1", "/default/a")
    assert 1000 == peer.close_code()
    assert 0.5 <= time.monotonic() - began_s
    assert "connection_ack" == connect(emulator).init()


@observed(
    "Does `/default/*` see every sub-channel? Yes, at any depth.", "appsync community issue 398"
)
def test_namespace_wildcard_sees_all(peer):
    """Down to the deepest channel there can be."""
    peer.subscribe("w", "/default/*")
    for channel in ("/default/a", "/default/a/b", "/default/a/b/c", "/default/a/b/c/d"):
        peer.publish(channel, channel)
        assert json.dumps(channel) == peer.hear()["event"]
