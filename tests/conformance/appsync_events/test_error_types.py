"""Error types."""

import pytest
from websockets.exceptions import InvalidStatus

from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import KEY, UNAUTHORIZED, body, error_types, post, refusal

AUVRED = "end-to-end tests of aws-appsync-events by auvred against AWS"
ANDROID = "it stands in the Android client's error map; no public capture has it"
WRONG = {"host": "localhost", "x-api-key": "da2-wrong"}


@observed("Bad credentials: UnauthorizedException and its sentence, on every transport.", AUVRED)
def test_bad_credentials_are_unauthorized(peer, emulator):
    """Subscribe, publish and HTTP say the same."""
    assert [UNAUTHORIZED] == peer.subscribe("1", "/default/a", WRONG)["errors"]
    assert [UNAUTHORIZED] == peer.publish("/default/a", 1, authorization=WRONG)["errors"]
    answer = post(emulator, body("/default/a", 1), {"x-api-key": "da2-wrong"})
    assert (401, [UNAUTHORIZED]) == (answer.status, answer.body["errors"])


@observed("Unknown namespace: UnauthorizedException without a message.", AUVRED)
def test_unknown_namespace_has_no_message(peer):
    """Subscribe and publish; HTTP has a row of its own."""
    bare = [{"errorType": "UnauthorizedException"}]
    assert bare == peer.subscribe("1", "/nowhere/a")["errors"]
    assert bare == peer.publish("/nowhere/a", 1)["errors"]


@observed("util.unauthorized() in onSubscribe: subscribe_error, Unauthorized.", AUVRED)
def test_unauthorized_by_the_handler_of_a_subscribe(peer):
    """The type is shorter than elsewhere."""
    answer = peer.subscribe("1", "/handled/unauthorized")
    assert ("subscribe_error", ["Unauthorized"]) == refusal(answer)


@observed("util.unauthorized() in onPublish: publish_error, UnauthorizedException.", AUVRED)
def test_unauthorized_by_the_handler_of_a_publish(peer):
    """The same call, another type."""
    answer = peer.publish("/handled/unauthorized", 1)
    assert ("publish_error", ["UnauthorizedException"]) == refusal(answer)


@documented(
    "util.error(message, type) in a handler gives that message and type.",
    "eventapi/channel-namespace-handlers",
)
def test_error_of_a_handler_keeps_message_and_type(peer):
    """In publish_error and in subscribe_error."""
    expected = [{"errorType": "RoomError", "message": "The room is closed."}]
    assert expected == peer.subscribe("1", "/handled/error")["errors"]
    assert expected == peer.publish("/handled/error", 1)["errors"]


@observed("More than five events over HTTP: BadRequestException, capital I.", AUVRED)
def test_six_events_over_http(emulator):
    """The sentence as it was captured."""
    error = {"errorType": "BadRequestException", "message": "Input exceeded 5 event limit"}
    answer = post(emulator, {"channel": "/default/a", "events": ["1"] * 6})
    assert (400, {"errors": [error]}) == (answer.status, answer.body)


@observed("More than five events on a socket: InvalidInputError, small i.", AUVRED)
def test_six_events_on_a_socket(peer):
    """The sentence as it was captured."""
    error = {"errorType": "InvalidInputError", "message": "input exceeded 5 event limit"}
    assert [error] == peer.publish("/default/a", *range(6))["errors"]


@observed(
    "An id already in use: DuplicatedOperationError.",
    "several clients handle it, LocalStack sends it",
)
def test_id_in_use_is_a_duplicate(peer):
    """Whatever the channel."""
    peer.subscribe("1", "/default/first")
    assert ["DuplicatedOperationError"] == error_types(peer.subscribe("1", "/default/second"))


@documented(
    "An unknown id to unsubscribe: UnknownOperationError.", "eventapi/event-api-websocket-protocol"
)
def test_unknown_id_is_an_unknown_operation(peer):
    """Also the second time an id is unsubscribed."""
    peer.subscribe("1", "/default/a")
    peer.ask(type="unsubscribe", id="1")
    assert ["UnknownOperationError"] == error_types(peer.ask(type="unsubscribe", id="1"))


@assumed("Too many subscriptions: MaxSubscriptionsReachedError.", ANDROID)
def test_too_many_subscriptions(connect, started):
    """The one past the limit is refused, and room is made by unsubscribing."""
    peer = connect(started(quotas={"subscriptions_per_connection": 2}))
    types = [peer.subscribe(str(number), "/default/a")["type"] for number in range(2)]
    assert ["subscribe_success"] * 2 == types
    answer = peer.subscribe("2", "/default/a")
    assert ("subscribe_error", ["MaxSubscriptionsReachedError"]) == refusal(answer)
    peer.ask(type="unsubscribe", id="0")
    assert "subscribe_success" == peer.subscribe("2", "/default/a")["type"]


@assumed("Too many publishes on a socket: LimitExceededError.", ANDROID)
def test_too_many_publishes_on_a_socket(connect, started):
    """Some of many publishes in a burst are refused; other sockets are not."""
    emulator = started(quotas={"publishes_per_s_per_connection": 2})
    peer = connect(emulator)
    answers = [peer.publish("/default/a", 1) for _ in range(8)]
    refused = [answer for answer in answers if answer["type"] == "publish_error"]
    assert {"LimitExceededError"} == {name for answer in refused for name in error_types(answer)}
    assert "publish_success" == connect(emulator).publish("/default/a", 1)["type"]


@assumed("Too many events a second over HTTP: 429, LimitExceededError.", ANDROID)
def test_too_many_events_over_http(started):
    """The quota is the API's, so HTTP is throttled as sockets are."""
    emulator = started(quotas={"inbound_events_per_s": 5})
    answers = [post(emulator, body("/default/a", *range(5))) for _ in range(6)]
    refused = [answer for answer in answers if answer.status != 200]
    assert refused
    assert {429} == {answer.status for answer in refused}
    assert [["LimitExceededError"]] * len(refused) == [error_types(one.body) for one in refused]


@assumed("Too many connects: connection_error LimitExceededError, then close 1000.", ANDROID)
def test_too_many_connects(connect, started):
    """The upgrade itself succeeds."""
    emulator = started(quotas={"connects_per_s": 1})
    answers = []
    for _ in range(4):
        peer = connect(emulator)
        answers.append((peer, peer.ask(type="connection_init")))
    refused = [(peer, answer) for peer, answer in answers if answer["type"] != "connection_ack"]
    assert refused
    for peer, answer in refused:
        assert ("connection_error", ["LimitExceededError"]) == refusal(answer)
        assert 1000 == peer.close_code()


@assumed("Too many connects may instead get HTTP 429, as an option.", "gateways answer so")
def test_too_many_connects_at_the_upgrade(connect, started):
    """There is no socket to send a message on."""
    quotas, undocumented = {"connects_per_s": 1}, {"throttle_at_upgrade": True}
    emulator = started(quotas=quotas, undocumented=undocumented)
    refused = []
    for _ in range(4):
        try:
            connect(emulator)
        except InvalidStatus as refusal:
            refused.append(refusal.response.status_code)
    assert {429} == set(refused)


@assumed("Unsupported message type: UnsupportedOperation.", ANDROID)
def test_unsupported_type(peer):
    """A type of another protocol."""
    assert ["UnsupportedOperation"] == error_types(peer.ask(type="start", id="1"))


@observed("Too large an event: EventTooLargeException among the failed.", AUVRED)
@pytest.mark.parametrize("over_http", [True, False])
def test_too_large_event_fails_alone(peer, emulator, over_http):
    """Over both transports the request itself succeeds."""
    events = ["x" * 1_048_576]
    if over_http:
        answer = post(emulator, {"channel": "/default/a", "events": [f'"{events[0]}"']}).body
    else:
        answer = peer.publish("/default/a", *events)
    assert ["EventTooLargeException"] == [item["code"] for item in answer["failed"]]


@assumed(
    "A handler that fails by itself refuses the operation and keeps the socket.",
    "the types of such errors, SubscriptionProcessingError and MessageProcessingError, stand "
    "only in documented samples",
)
def test_failing_handler_refuses_the_operation(peer):
    """The next operation is served."""
    assert "subscribe_error" == peer.subscribe("1", "/handled/throw")["type"]
    assert "publish_error" == peer.publish("/handled/throw", 1)["type"]
    assert "subscribe_success" == peer.subscribe("1", "/default/a", KEY)["type"]
