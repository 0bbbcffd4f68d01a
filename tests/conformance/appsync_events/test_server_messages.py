"""Messages of the service."""

import json
import uuid

from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import KEY

WEBSOCKET_PAGE = "eventapi/event-api-websocket-protocol"
STRING_EVENT = "aws-appsync-events by auvred, Swift and Android decode nothing else"


@documented("connection_ack carries connectionTimeoutMs, a positive number.", WEBSOCKET_PAGE)
def test_ack_tells_the_timeout(peer):
    """Five minutes, unless set."""
    expected = {"type": "connection_ack", "connectionTimeoutMs": 300_000}
    assert expected == peer.ask(type="connection_init")


@documented("ka is a bare keep-alive.", WEBSOCKET_PAGE)
def test_keep_alive_is_bare(connect, started):
    """It comes unasked, also before any other message."""
    assert {"type": "ka"} == connect(started(keep_alive_s=0.2)).hear()


@documented("subscribe_success repeats the id.", WEBSOCKET_PAGE)
def test_subscribe_success_repeats_the_id(peer):
    """Nothing else is in it."""
    assert {"type": "subscribe_success", "id": "sub-1"} == peer.subscribe("sub-1", "/default/a")


@documented("subscribe_error repeats the id and lists errors.", WEBSOCKET_PAGE)
def test_subscribe_error_repeats_the_id(peer):
    """One error, with type and message."""
    answer = peer.subscribe("sub-1", "/default/a_b")
    assert ("subscribe_error", "sub-1") == (answer["type"], answer["id"])
    assert [{"errorType", "message"}] == [set(error) for error in answer["errors"]]


@documented("data carries the subscription's id and the event, and no more.", WEBSOCKET_PAGE)
def test_data_carries_id_and_event(peer):
    """No channel, no event id, no time."""
    peer.subscribe("sub-1", "/default/data")
    peer.publish("/default/data", {"a": 1})
    assert {"type": "data", "id": "sub-1", "event": '{"a": 1}'} == peer.hear()


@observed("`event` is a string of JSON, not the array of the documented sample.", STRING_EVENT)
def test_event_is_a_string(peer):
    """Whatever JSON was published: an object, a text, a number, null."""
    peer.subscribe("1", "/default/kinds")
    values = [{"a": [1]}, "text", 1.5, None, []]
    peer.publish("/default/kinds", *values)
    events = peer.events_before_next_answer()
    assert [str] * 5 == [type(event) for event in events]
    assert values == [json.loads(event) for event in events]


@observed("Several published events arrive as several data messages.", STRING_EVENT)
def test_each_event_has_its_own_message(peer):
    """Three events, three frames."""
    peer.subscribe("1", "/default/three")
    peer.publish("/default/three", 1, 2, 3)
    assert 3 == len(peer.heard_before_next_answer())


@assumed(
    "Deliveries that the outbound quota drops are dropped in silence, without broadcast_error.",
    "broadcast_error is documented, but no client has been seen to receive one",
)
def test_dropped_deliveries_are_silent(connect, started):
    """The publisher gets its successes, the subscriber only some of the events."""
    emulator = started(
        quotas={"outbound_messages_per_s": 1}, undocumented={"outbound_overflow": "drop"}
    )
    subscriber, publisher = connect(emulator), connect(emulator)
    subscriber.subscribe("1", "/default/dropped")
    answers = [publisher.publish("/default/dropped", *range(5)) for _ in range(4)]
    assert ["publish_success"] * 4 == [answer["type"] for answer in answers]
    types = [message["type"] for message in subscriber.heard_before_next_answer()]
    assert {"data"} == set(types)
    assert len(types) < 20


@documented("unsubscribe_success repeats the id.", WEBSOCKET_PAGE)
def test_unsubscribe_success_repeats_the_id(peer):
    """Nothing else is in it."""
    peer.subscribe("sub-1", "/default/a")
    expected = {"type": "unsubscribe_success", "id": "sub-1"}
    assert expected == peer.ask(type="unsubscribe", id="sub-1")


@documented("unsubscribe_error quotes the id that is unknown.", WEBSOCKET_PAGE)
def test_unsubscribe_error_quotes_the_id(peer):
    """The documented sample, word for word."""
    assert {
        "type": "unsubscribe_error",
        "id": "9",
        "errors": [{"errorType": "UnknownOperationError", "message": "Unknown operation id 9"}],
    } == peer.ask(type="unsubscribe", id="9")


@documented("publish_success lists each event with a UUID and its index.", WEBSOCKET_PAGE)
def test_publish_success_lists_each_event(peer):
    """The id is the publish's, the identifiers are all different."""
    answer = peer.publish("/default/a", 1, 2)
    assert ("publish_success", "p") == (answer["type"], answer["id"])
    assert [0, 1] == [item["index"] for item in answer["successful"]]
    assert 2 == len({uuid.UUID(item["identifier"]) for item in answer["successful"]})


@observed("publish_success has both arrays even where one is empty.", "Android requires both")
def test_publish_success_has_both_arrays(peer):
    """All went well, and ``failed`` is there."""
    assert [] == peer.publish("/default/a", 1)["failed"]


@observed(
    "An oversize event is listed in `failed` with code EventTooLargeException.",
    "end-to-end tests of aws-appsync-events by auvred against AWS",
)
def test_oversize_event_is_listed_as_failed(peer):
    """The other event of the batch goes through."""
    peer.subscribe("1", "/default/large")
    answer = peer.publish("/default/large", "x" * 300_000, "small")
    (failed,) = answer["failed"]
    uuid.UUID(failed.pop("identifier"))
    message = "Transformed event is larger than 240KB"
    assert {"index": 0, "code": "EventTooLargeException", "message": message} == failed
    assert [1] == [item["index"] for item in answer["successful"]]
    assert ['"small"'] == peer.events_before_next_answer()


@documented("publish_error repeats the id.", WEBSOCKET_PAGE)
def test_publish_error_repeats_the_id(peer):
    """The id is the publish's."""
    answer = peer.publish("/default/a_b", 1)
    assert ("publish_error", "p") == (answer["type"], answer["id"])


@observed("publish_error lists exactly one error.", "tokio-appsync-events expects exactly one")
def test_publish_error_lists_one_error(peer):
    """Also where channel, events and credentials are all wrong."""
    answer = peer.ask(type="publish", id="p", channel="/a_b", events=[{}], authorization={})
    assert 1 == len(answer["errors"])


@documented(
    "error answers a message that is not understood, with its id if it has one.", WEBSOCKET_PAGE
)
def test_error_answers_what_is_not_understood(peer):
    """A type of another protocol."""
    answer = peer.ask(type="start", id="7")
    assert ("error", "7", 1) == (answer["type"], answer["id"], len(answer["errors"]))


@documented("connection_error answers a refused connection.", WEBSOCKET_PAGE)
def test_connection_error_has_no_id(connect, emulator):
    """It lists errors as the others do."""
    answer = connect(emulator, {**KEY, "x-api-key": "da2-wrong"}).ask(type="connection_init")
    assert {"type", "errors"} == set(answer)
    assert "connection_error" == answer["type"]
