import json
import socket

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.appsync_peers import KEY, MARKER, UNAUTHORIZED, error_types, header
from tests.support.waiting import PATIENCE_S

HEADER = header(KEY)


@pytest.mark.parametrize("subprotocols", [[MARKER, HEADER], [HEADER, MARKER]])
def test_marker_is_selected_in_either_order(connect, shared_emulator, subprotocols):
    """The server echoes the marker and never the credentials."""
    peer = connect(shared_emulator, subprotocols=subprotocols)
    assert MARKER == peer.socket.subprotocol
    assert {"type": "connection_ack", "connectionTimeoutMs": 300000} == peer.ask(
        type="connection_init"
    )


def test_subprotocols_may_stand_on_two_header_lines(shared_emulator):
    """Also then the marker is selected, and an empty host does not matter."""
    with socket.create_connection(("127.0.0.1", shared_emulator.port), timeout=PATIENCE_S) as bare:
        bare.sendall(
            b"GET /event/realtime HTTP/1.1\r\nHost: \r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: " + HEADER.encode() + b"\r\n"
            b"Sec-WebSocket-Protocol: " + MARKER.encode() + b"\r\n\r\n"
            # The first message may come in the same packet as the request; its mask is zero.
            b"\x81\x9a" + bytes(4) + b'{"type":"connection_init"}'
        )
        heard = b""
        while b"connection_ack" not in heard:
            heard += bare.recv(4096)
    head = heard.partition(b"\r\n\r\n")[0]
    assert heard.startswith(b"HTTP/1.1 101 ")
    assert 1 == head.count(MARKER.encode())
    assert b"header-" not in head


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key"])
def test_credentials_may_come_as_http_headers(connect, shared_emulator, name):
    """The form of the Swift and Android clients lets in as well, in any spelling of the name."""
    peer = connect(shared_emulator, subprotocols=[MARKER], headers={name: "da2-test"})
    assert "connection_ack" == peer.init()


def test_upgrade_without_the_marker_is_a_bad_request(connect, shared_emulator):
    """A client that does not offer the subprotocol gets HTTP 400."""
    with pytest.raises(InvalidStatus) as caught:
        connect(shared_emulator, subprotocols=["graphql-ws"])
    assert 400 == caught.value.response.status_code
    assert ["BadRequestException"] == error_types(json.loads(caught.value.response.body))


@pytest.mark.parametrize(
    "authorization",
    [
        {"host": "localhost", "x-api-key": "da2-wrong"},
        {"host": "localhost", "x-api-key": ""},
        {"host": "localhost", "x-api-key": "dä2"},
        {"host": "localhost"},
        {"host": "localhost", "Authorization": "token"},
    ],
)
@pytest.mark.parametrize(
    "first",
    [{"type": "connection_init"}, {"type": "subscribe", "id": "1", "channel": "/default/a"}],
)
def test_wrong_or_missing_key_is_told_in_answer_to_the_first_message(
    connect, shared_emulator, authorization, first
):
    """The upgrade succeeds; the error follows, then a normal close."""
    peer = connect(shared_emulator, authorization)
    expected = {"type": "connection_error", "errors": [{**UNAUTHORIZED, "errorCode": 401}]}
    assert expected == peer.ask(**first)
    assert 1000 == peer.close_code()


def test_wrong_key_in_an_http_header_is_unauthorized(connect, shared_emulator):
    """Both forms of credentials are checked alike."""
    peer = connect(shared_emulator, subprotocols=[MARKER], headers={"x-api-key": "da2-wrong"})
    assert ["UnauthorizedException"] == error_types(peer.ask(type="connection_init"))


@pytest.mark.parametrize(
    "subprotocols",
    [
        [MARKER],
        [MARKER, "header-x"],
        [MARKER, "header-e30"],
        [MARKER, "header-eyJ4LWFwaS1rZXkiOiJkYTItdGVzdCJ9"],
    ],
)
def test_credentials_missing_undecodable_or_without_host_are_a_bad_request(
    connect, shared_emulator, subprotocols
):
    """Credentials that cannot be read are told apart from wrong ones."""
    peer = connect(shared_emulator, subprotocols=subprotocols)
    assert ["BadRequestException"] == error_types(peer.ask(type="connection_init"))
    assert 1000 == peer.close_code()


def test_silent_unauthorised_connection_is_closed_when_keep_alive_is_due(
    connect, impatient_emulator
):
    """Who is not let in and says nothing does not stay for ever."""
    peer = connect(impatient_emulator, {"host": "localhost", "x-api-key": "da2-wrong"})
    assert "connection_error" == peer.hear()["type"]
    assert 1000 == peer.close_code()
