"""Channels and namespaces."""

import json

import pytest

from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import BAD_CHANNELS, KEY, body, error_types, post, refusal
from tests.support.appsync_signing import signed, signed_publish, signed_subscribe

CHANNEL_PAGE = "eventapi/channel-namespaces"
CONCEPTS_PAGE = "eventapi/event-api-concepts"
AUVRED = "end-to-end tests of aws-appsync-events by auvred against AWS"


def can(peer, channel):
    """Tell whether a channel may be subscribed to and published to; both must agree."""
    subscribed = peer.subscribe("1", channel)["type"] == "subscribe_success"
    assert subscribed == (peer.publish(channel, 1)["type"] == "publish_success")
    return subscribed


def reached(peer, channel):
    """Publish once to a channel; return the ids of the subscriptions that get it."""
    assert "publish_success" == peer.publish(channel, 1)["type"]
    return [message["id"] for message in peer.heard_before_next_answer()]


@documented("A channel has 1 to 5 segments; the namespace alone is one.", CHANNEL_PAGE)
@pytest.mark.parametrize("channel", ["/default", "/default/a", "/default/a/b/c/d"])
def test_one_to_five_segments(peer, channel):
    """The shortest and the longest."""
    assert can(peer, channel)


@documented("A segment has 1 to 50 letters, digits and inner dashes.", CHANNEL_PAGE)
@pytest.mark.parametrize("segment", ["a", "0", "A-z-9", "x" * 50])
def test_valid_segments(peer, segment):
    """Each kind of character, and the longest."""
    assert can(peer, f"/default/{segment}")


@documented("One leading and one trailing slash are optional and mean nothing.", CHANNEL_PAGE)
@pytest.mark.parametrize("channel", ["default/a", "/default/a", "/default/a/", "default/a/"])
def test_outer_slashes_mean_nothing(peer, channel):
    """All spellings name one channel."""
    peer.subscribe("1", channel)
    assert ["1"] == reached(peer, "/default/a")


@documented("Handlers see the channel in its normal form.", "eventapi/context-reference")
def test_handlers_see_the_normal_form(peer):
    """Path, segments, namespace and operation."""
    peer.subscribe("1", "handled/context/")
    peer.publish("handled/context/", 1)
    info = json.loads(peer.hear()["event"])
    assert {"path": "/handled/context", "segments": ["handled", "context"]} == info["channel"]
    assert ("handled", "PUBLISH") == (info["channelNamespace"]["name"], info["operation"])


@documented("Names are case-sensitive.", CHANNEL_PAGE)
def test_names_are_case_sensitive(peer):
    """Another case is another channel, and in the namespace an unknown one."""
    peer.subscribe("1", "/default/Room")
    assert [] == reached(peer, "/default/room")
    assert "subscribe_error" == peer.subscribe("2", "/Default/room")["type"]


@documented("Channels come into being on use; only the namespace must exist.", CONCEPTS_PAGE)
def test_channels_come_into_being_on_use(peer):
    """A channel nobody has named before."""
    assert can(peer, "/default/never/named/before")


@documented(
    "A wildcard is a whole last segment and matches any depth below its prefix.", CONCEPTS_PAGE
)
@pytest.mark.parametrize(
    ("pattern", "channel", "is_reached"),
    [
        ("/default/*", "/default/greetings", True),
        ("/default/*", "/default/greetings/tutorial/and/more", True),
        ("/default/rooms/*", "/default/rooms/a", True),
        ("/default/rooms/*", "/default/rooms/a/b", True),
        ("/default/rooms/*", "/default/other/a", False),
        ("/default/rooms/*", "/second/rooms/a", False),
    ],
)
def test_wildcard_matches_any_depth(peer, pattern, channel, is_reached):
    """One level below, several, and not beside."""
    assert "subscribe_success" == peer.subscribe("w", pattern)["type"]
    assert (["w"] if is_reached else []) == reached(peer, channel)


@documented(
    "A subscriber gets an event once for each of its subscriptions that match.", CONCEPTS_PAGE
)
def test_each_matching_subscription_gets_the_event(peer):
    """Exact and wildcard on one connection."""
    peer.subscribe("exact", "/default/a")
    peer.subscribe("wild", "/default/*")
    assert ["exact", "wild"] == sorted(reached(peer, "/default/a"))


@documented("A publisher that subscribes gets its own events.", CONCEPTS_PAGE)
def test_publisher_gets_its_own_events(peer):
    """One connection does both."""
    peer.subscribe("1", "/default/own")
    assert ["1"] == reached(peer, "/default/own")


@documented("A namespace may have auth modes of its own for publish and subscribe.", CHANNEL_PAGE)
def test_namespace_overrides_the_auth_modes(peer, emulator):
    """A key may subscribe to it; only a signature may publish."""
    assert "subscribe_success" == peer.subscribe("1", "/read-only/a", KEY)["type"]
    refusal = peer.publish("/read-only/a", 1, authorization=KEY)
    assert ["UnauthorizedException"] == error_types(refusal)
    authorization = signed_publish(emulator, "/read-only/a", "1")
    assert "publish_success" == peer.publish("/read-only/a", 1, authorization=authorization)["type"]


@documented("Connect modes are the API's.", CHANNEL_PAGE)
def test_connect_modes_are_of_the_api(connect, started):
    """A mode that a namespace allows does not let in at connect."""
    options = {
        "namespaces": [{"name": "default", "subscribe_auth_modes": ["iam"]}],
        "iam_users": [{"access_key_id": "AKIDEXAMPLE", "secret_access_key": "SECRET"}],
    }
    emulator = started(**options)
    answer = connect(emulator, signed(emulator, "{}")).ask(type="connection_init")
    assert ["UnauthorizedException"] == error_types(answer)
    authorization = signed_subscribe(emulator, "/default/a")
    answer = connect(emulator).subscribe("1", "/default/a", authorization)
    assert "subscribe_success" == answer["type"]


@observed("Unknown namespace: UnauthorizedException on every transport.", AUVRED)
def test_unknown_namespace_is_unauthorized(peer, emulator):
    """Subscribe, wildcard, publish and HTTP."""
    for answer in (
        peer.subscribe("1", "/nowhere/a"),
        peer.subscribe("1", "/nowhere/*"),
        peer.publish("/nowhere/a", 1),
        post(emulator, body("/nowhere/a", 1)).body,
    ):
        assert [{"errorType": "UnauthorizedException"}] == answer["errors"]


@assumed("`/default/*` does not match `/default` itself.", "a wildcard stands for a segment")
def test_wildcard_does_not_match_its_prefix(peer):
    """Something must stand in its place."""
    peer.subscribe("w", "/default/*")
    assert [] == reached(peer, "/default")


@assumed(
    "A wildcard anywhere else is a BadRequestException.",
    "documented only as the whole last segment after a namespace",
)
@pytest.mark.parametrize("channel", ["/*", "*", "/default/*/x", "/default/a*", "/default/**"])
def test_wildcard_elsewhere_is_refused(peer, channel):
    """Without a namespace, in the middle, as part of a segment, doubled."""
    assert ("subscribe_error", ["BadRequestException"]) == refusal(peer.subscribe("1", channel))


@assumed("Publishing to a wildcard is a BadRequestException.", "documented only for subscribe")
def test_publish_to_a_wildcard_is_refused(peer, emulator):
    """Over both transports."""
    assert ["BadRequestException"] == error_types(peer.publish("/default/*", 1))
    assert (400, ["BadRequestException"]) == refusal(post(emulator, body("/default/*", 1)))


@assumed(
    "Publishing to a wildcard may be allowed, as an option.",
    "one signing sample of the documentation does it",
)
def test_publish_to_a_wildcard_may_be_allowed(connect, started):
    """Then it reaches those who subscribed to that very wildcard."""
    peer = connect(started(undocumented={"publish_to_wildcard": True}))
    peer.subscribe("w", "/default/*")
    assert ["w"] == reached(peer, "/default/*")


@assumed("A channel that breaks the grammar is a BadRequestException.", "the error type is unseen")
@pytest.mark.parametrize("channel", BAD_CHANNELS)
def test_channel_outside_the_grammar_is_refused(peer, emulator, channel):
    """On every transport."""
    assert ["BadRequestException"] == error_types(peer.subscribe("1", channel))
    assert ["BadRequestException"] == error_types(peer.publish(channel, 1))
    assert (400, ["BadRequestException"]) == refusal(post(emulator, body(channel, 1)))
