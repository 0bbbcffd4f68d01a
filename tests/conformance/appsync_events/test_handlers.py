"""Handlers, as clients see them."""

import json

from tests.conformance.rows import documented

HANDLER_PAGE = "eventapi/channel-namespace-handlers"
DIRECT_PAGE = "eventapi/direct-lambda-integrations"


def delivered(peer):
    return [json.loads(message["event"]) for message in peer.heard_before_next_answer()]


@documented("An event that the handler answers with an error is in `failed`.", HANDLER_PAGE)
def test_event_with_an_error_is_listed_as_failed(peer):
    """The others of the batch are broadcast."""
    peer.subscribe("1", "/handled/room")
    answer = peer.publish("/handled/room", "good", "bad", {"a": 1})
    assert [0, 2] == [item["index"] for item in answer["successful"]]
    (failed,) = answer["failed"]
    assert (1, "not this one") == (failed["index"], failed["message"])
    assert ["good", {"a": 1}] == delivered(peer)


@documented("An event that the handler leaves out is not broadcast.", HANDLER_PAGE)
def test_event_left_out_is_not_broadcast(peer):
    """Its neighbours are."""
    peer.subscribe("1", "/handled/room")
    assert "publish_success" == peer.publish("/handled/room", 1, "filtered", 2)["type"]
    assert [1, 2] == delivered(peer)


@documented("A handler without complaint lets every subscribe through.", HANDLER_PAGE)
def test_subscribe_passes_its_handler(peer):
    """A wildcard too."""
    assert "subscribe_success" == peer.subscribe("1", "/handled/*")["type"]


@documented("Direct Lambda: what the function returns is broadcast.", DIRECT_PAGE)
def test_function_replaces_the_payload(peer):
    """In order, each event as the function made it."""
    peer.subscribe("1", "/direct/room")
    answer = peer.publish("/direct/room", 1, {"a": "é"})
    assert (2, []) == (len(answer["successful"]), answer["failed"])
    assert [{"seen": 1}, {"seen": {"a": "é"}}] == delivered(peer)
