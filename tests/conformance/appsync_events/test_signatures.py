"""SigV4 signatures, made by botocore."""

import hashlib
import json
from datetime import timedelta

import botocore.auth
import pytest

from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import MARKER, UNAUTHORIZED, error_types, post, refusal
from tests.support.appsync_signing import (
    REALTIME_HEADERS,
    compact,
    signed,
    signed_publish,
    signed_subscribe,
)

WEBSOCKET_PAGE = "eventapi/event-api-websocket-protocol"
RESERIALISED = "appsync community issue 400: the service does not hash the text that was sent"
SHA256 = hashlib.sha256(b'{"channel":"/default/a"}').hexdigest()
TEXT = '{"b":"<x>&é/"}'


def is_subscribed(peer, channel, authorization):
    return "subscribe_success" == peer.subscribe("1", channel, authorization)["type"]


@documented("Connecting signs POST /event with the body {}.", WEBSOCKET_PAGE)
def test_connect_signs_an_empty_object(connect, emulator):
    """The signature of another body does not let in."""
    assert "connection_ack" == connect(emulator, signed(emulator, "{}")).init()
    answer = connect(emulator, signed(emulator, "")).ask(type="connection_init")
    assert ["BadRequestException"] == error_types(answer)


@documented("The path signed is /event, never /event/realtime.", WEBSOCKET_PAGE)
def test_path_is_that_of_the_http_endpoint(connect, emulator):
    """The very path of the socket is wrong."""
    authorization = signed(emulator, "{}", path="/event/realtime")
    answer = connect(emulator, authorization).ask(type="connection_init")
    assert ["BadRequestException"] == error_types(answer)


@documented("Subscribing signs the channel exactly as the message has it.", WEBSOCKET_PAGE)
def test_subscribe_signs_the_channel_as_written(peer, emulator):
    """Another spelling of the same channel has another signature."""
    assert is_subscribed(peer, "default/a", signed_subscribe(emulator, "default/a"))
    answer = peer.subscribe("2", "/default/a", signed_subscribe(emulator, "default/a"))
    assert ("subscribe_error", ["BadRequestException"]) == refusal(answer)


@documented("Publishing on a socket signs channel and events.", WEBSOCKET_PAGE)
def test_publish_signs_channel_and_events(peer, emulator):
    """The signature of other events does not do."""
    texts = ("/default/a", TEXT, "1")
    good = signed_publish(emulator, *texts)
    assert "publish_success" == peer.publish_texts(*texts, authorization=good)["type"]
    other = signed_publish(emulator, "/default/a", TEXT, "2")
    answer = peer.publish_texts(*texts, authorization=other)
    assert ("publish_error", ["BadRequestException"]) == refusal(answer)


@documented("Publishing over HTTP signs the body as it is sent.", "eventapi/publish-http")
def test_http_publish_signs_the_body(emulator):
    """Also one with spaces and escapes; a changed body is refused."""
    text = json.dumps({"channel": "/default/a", "events": [TEXT]}, indent=1)
    headers = signed(emulator, text, headers={"content-type": "application/json"})
    assert 200 == post(emulator, text.encode(), headers).status
    assert (400, ["BadRequestException"]) == refusal(post(emulator, text.encode() + b" ", headers))


@documented("A session token is signed and checked.", WEBSOCKET_PAGE)
def test_session_token_is_checked(peer, emulator):
    """Right it lets in; wrong or missing it does not."""
    how = {"access_key": "ASIDEXAMPLE"}
    right = signed_subscribe(emulator, "/default/a", token="TOK", **how)
    assert is_subscribed(peer, "/default/a", right)
    for token in ("OTHER", None):
        wrong = signed_subscribe(emulator, "/default/a", token=token, **how)
        assert "subscribe_error" == peer.subscribe("2", "/default/a", wrong)["type"]


@documented("Region and service are part of what is signed.", WEBSOCKET_PAGE)
@pytest.mark.parametrize("how", [{"region": "eu-west-1"}, {"service": "execute-api"}])
def test_region_and_service_are_checked(peer, emulator, how):
    """Credentials of another region or service do not do."""
    assert not is_subscribed(peer, "/default/a", signed_subscribe(emulator, "/default/a", **how))


@assumed("A date more than five minutes off is refused.", "as all of AWS does with signatures")
def test_date_must_be_near(peer, emulator, monkeypatch):
    """Four minutes are near, six are not, before and after."""
    now = botocore.auth.get_current_datetime()
    for minutes, is_near in ((-6, False), (-4, True), (4, True), (6, False)):
        then = now + timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda then=then: then)
        authorization = signed_subscribe(emulator, "/default/a")
        assert is_near == is_subscribed(peer, "/default/a", authorization)
        peer.ask(type="unsubscribe", id="1")


@assumed("An unknown access key is UnauthorizedException.", "it is a missing credential")
def test_unknown_access_key_is_unauthorized(peer, emulator):
    """As a wrong API key is."""
    authorization = signed_subscribe(emulator, "/default/a", access_key="AKIDNOBODY")
    assert [UNAUTHORIZED] == peer.subscribe("1", "/default/a", authorization)["errors"]


@observed(
    "A text with escapes for <, >, & and / has the signature of the text without.", RESERIALISED
)
@pytest.mark.parametrize(
    "escape", [("<", "\\u003c"), ("&", "\\u0026"), ("/", "\\/"), ("é", "\\u00e9")]
)
def test_escapes_of_the_frame_do_not_count(peer, emulator, escape):
    """Go and Swift write such frames; what counts is the text they stand for."""
    message = {
        "type": "publish",
        "id": "p",
        "channel": "/default/a",
        "events": [TEXT],
        "authorization": signed_publish(emulator, "/default/a", TEXT),
    }
    frame = compact(message)
    events = compact([TEXT])
    assert events in frame
    peer.socket.send(frame.replace(events, events.replace(*escape)))
    assert "publish_success" == peer.hear()["type"]


@observed("A client that signs escaped text is refused.", RESERIALISED)
def test_signature_of_escaped_text_is_refused(peer, emulator):
    """As the service refuses Go's json.Marshal."""
    body = compact({"channel": "/default/a", "events": [TEXT]}).replace("<", "\\u003c")
    answer = peer.publish_texts("/default/a", TEXT, authorization=signed(emulator, body))
    assert ("publish_error", ["BadRequestException"]) == refusal(answer)


@observed(
    "Headers beyond the documented ones may be signed.",
    "Android signs x-amz-content-sha256, Swift another accept, Amplify x-amz-user-agent",
)
@pytest.mark.parametrize(
    "headers",
    [
        {**REALTIME_HEADERS, "x-amz-content-sha256": SHA256},
        {**REALTIME_HEADERS, "accept": "application/json"},
        {**REALTIME_HEADERS, "content-length": "2"},
        {"content-type": "application/json", "x-amz-user-agent": "aws-amplify/6  x"},
        {},
    ],
)
def test_other_signed_headers_are_taken(peer, emulator, headers):
    """The list in the signature says which count, values are squeezed."""
    authorization = signed_subscribe(emulator, "/default/a", headers=headers)
    assert is_subscribed(peer, "/default/a", authorization)


@observed(
    "Names added after signing change nothing.", "Amplify adds x-amz-user-agent to messages so"
)
def test_unsigned_names_are_ignored(peer, emulator):
    """They are not in the list of what was signed."""
    authorization = signed_subscribe(emulator, "/default/a") | {"x-amz-user-agent": "amplify"}
    assert is_subscribed(peer, "/default/a", authorization)


@observed(
    "The host may be signed with or without its port.",
    "Amplify signs it with, ob-appsync-events-request without",
)
def test_host_is_signed_with_or_without_port(emulator):
    """Over HTTP the Host header has it either way."""
    text = compact({"channel": "/default/a", "events": ["1"]})
    for host in ("localhost", f"localhost:{emulator.port}"):
        headers = signed(emulator, text, host=host) | {"host": f"localhost:{emulator.port}"}
        assert 200 == post(emulator, text.encode(), headers).status


@observed(
    "Signed headers may stand in the upgrade request itself.",
    "Swift and Android sign POST /event and copy the headers",
)
def test_signature_in_upgrade_headers(connect, emulator):
    """With the host of the HTTP endpoint signed, a wrong secret is told too."""
    for secret, answer in (("SECRET", "connection_ack"), ("WRONG", "connection_error")):
        headers = signed(emulator, "{}", secret=secret)
        del headers["host"]
        assert answer == connect(emulator, subprotocols=[MARKER], headers=headers).init()
