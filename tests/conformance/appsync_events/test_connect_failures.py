"""Failures during connect."""

import pytest
from websockets.exceptions import InvalidStatus

from tests.conformance.appsync_events.conftest import EXPIRED_KEY
from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import KEY, MARKER, UNAUTHORIZED, error_types, header
from tests.support.appsync_signing import signed

AUVRED = "end-to-end tests of aws-appsync-events by auvred against AWS"
CONNECTION_UNAUTHORIZED = {
    "type": "connection_error",
    "errors": [{**UNAUTHORIZED, "errorCode": 401}],
}


def refused(peer):
    """Return the answer to connection_init, after which the server must close."""
    answer = peer.ask(type="connection_init")
    assert "connection_error" == answer["type"]
    assert 1000 == peer.close_code()
    return answer


@observed("Wrong key: connection_error, UnauthorizedException, code 401.", AUVRED)
@pytest.mark.parametrize("key", ["da2-wrong", "", "da2-tes", "da2-testx"])
def test_wrong_key_is_unauthorized(connect, emulator, key):
    """The whole frame, as it was captured."""
    assert CONNECTION_UNAUTHORIZED == refused(connect(emulator, {**KEY, "x-api-key": key}))


@observed("Missing key or token: the same.", AUVRED)
def test_missing_key_is_unauthorized(connect, emulator):
    """Credentials with nothing but a host."""
    assert CONNECTION_UNAUTHORIZED == refused(connect(emulator, {"host": "localhost"}))


@observed("Wrong token: the same.", AUVRED)
@pytest.mark.parametrize("token", ["denied", "Bearer a.b.c", "e30.e30."])
def test_wrong_token_is_unauthorized(connect, emulator, token):
    """Neither the Lambda authorizer nor any issuer knows it."""
    peer = connect(emulator, {"host": "localhost", "Authorization": token})
    assert CONNECTION_UNAUTHORIZED == refused(peer)


@documented("An expired key is no longer accepted.", "eventapi/configure-event-api-auth")
def test_expired_key_is_unauthorized(connect, emulator):
    """A key whose time is over is as good as a wrong one."""
    assert CONNECTION_UNAUTHORIZED == refused(connect(emulator, {**KEY, "x-api-key": EXPIRED_KEY}))


@observed(
    "Bad signature: connection_error, BadRequestException; the message quotes the canonical "
    "string expected.",
    "amplify-js issue 14001, a captured frame",
)
def test_bad_signature_is_a_bad_request(connect, emulator):
    """The sentence tells a client's author what should have been signed."""
    (error,) = refused(connect(emulator, signed(emulator, "{}", secret="WRONG")))["errors"]
    assert "BadRequestException" == error["errorType"]
    sentence = "The request signature we calculated does not match the signature you provided."
    assert error["message"].startswith(sentence)
    assert "POST\n/event\n" in error["message"].replace("\\n", "\n")


@assumed("No credentials at all: BadRequestException.", "clients take that type as final")
def test_no_credentials_are_a_bad_request(connect, emulator):
    """The marker alone, and no header either."""
    assert ["BadRequestException"] == error_types(refused(connect(emulator, subprotocols=[MARKER])))


@assumed("Credentials that cannot be decoded: BadRequestException.", "clients take it as final")
@pytest.mark.parametrize("value", ["header-!", "header-", "header-AAAA", "header-W10", "header-MQ"])
def test_undecodable_credentials_are_a_bad_request(connect, emulator, value):
    """No base64url, no UTF-8, no JSON object."""
    peer = connect(emulator, subprotocols=[MARKER, value])
    assert ["BadRequestException"] == error_types(refused(peer))


@assumed(
    "Credentials without `host`: BadRequestException.", "it is documented as required at connect"
)
def test_credentials_without_host_are_a_bad_request(connect, emulator):
    """The key would be right."""
    peer = connect(emulator, {"x-api-key": KEY["x-api-key"]})
    assert ["BadRequestException"] == error_types(refused(peer))


@assumed("Marker not offered: HTTP 400.", "the documented protocol cannot be spoken without it")
@pytest.mark.parametrize("offered", [["graphql-ws"], [header(KEY)]])
def test_upgrade_without_the_marker_is_refused(connect, emulator, offered):
    """There is no connection to put a message on."""
    with pytest.raises(InvalidStatus) as caught:
        connect(emulator, subprotocols=offered)
    assert 400 == caught.value.response.status_code


@observed(
    "The upgrade is answered 101 even where the credentials are bad.",
    "every client gets its refusal as a message",
)
def test_upgrade_succeeds_with_bad_credentials(connect, emulator):
    """The marker is selected, then the refusal comes as a message."""
    peer = connect(emulator, {**KEY, "x-api-key": "da2-wrong"})
    assert (101, MARKER) == (peer.socket.response.status_code, peer.socket.subprotocol)


@observed(
    "After connection_error the socket is closed with the normal code 1000.",
    "a comment in the Android client's source",
)
def test_refused_connection_is_closed_normally(connect, emulator):
    """The code says nothing of the failure."""
    peer = connect(emulator, {**KEY, "x-api-key": "da2-wrong"})
    peer.ask(type="connection_init")
    assert 1000 == peer.close_code()


@assumed(
    "Any first message of a refused client gets connection_error, and the socket is closed.",
    "clients without connection_init must learn of it too",
)
def test_any_first_message_of_a_refused_client_gets_the_error(connect, emulator):
    """A subscribe with good credentials does not make up for a bad connect."""
    peer = connect(emulator, {**KEY, "x-api-key": "da2-wrong"})
    assert CONNECTION_UNAUTHORIZED == peer.subscribe("1", "/default/a")
    assert 1000 == peer.close_code()
