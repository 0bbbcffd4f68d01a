"""Connecting: addresses, upgrade and credentials."""

import socket

import pytest

from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import KEY, MARKER, body, header, post
from tests.support.waiting import PATIENCE_S

WEBSOCKET_PAGE = "eventapi/event-api-websocket-protocol"


@documented(
    "HTTP publish and WebSocket share one host under a custom domain.",
    "eventapi/event-api-custom-domains",
)
def test_both_transports_share_one_port(peer, emulator):
    """An event posted to /event arrives on a socket of /event/realtime, same port."""
    peer.subscribe("1", "/default/one-port")
    assert 200 == post(emulator, body("/default/one-port", 1)).status
    assert "1" == peer.hear()["event"]


@observed(
    "The marker and the credentials may be offered in either order; only the marker is echoed.",
    "Amplify sends the marker first, appsync-event-client-go the credentials",
)
@pytest.mark.parametrize("marker_first", [True, False])
def test_order_of_subprotocols_does_not_matter(connect, emulator, marker_first):
    """The selected subprotocol is the marker, and the client is in."""
    offered = [MARKER, header(KEY)]
    peer = connect(emulator, subprotocols=offered if marker_first else offered[::-1])
    assert MARKER == peer.socket.subprotocol
    assert "connection_ack" == peer.init()


@documented("Credentials are base64url of JSON, without padding.", WEBSOCKET_PAGE)
def test_credentials_as_another_client_encodes_them_are_read(connect, started):
    """A value captured from appsync-event-client-go lets its client in."""
    captured = (
        "header-eyJob3N0IjoibG9jYWxob3N0OjE4MDgwIiwieC1hcGkta2V5IjoiZGEyLXRlc3QifQ"  # its own key
    )
    assert "connection_ack" == connect(started(), subprotocols=[captured, MARKER]).init()


@observed(
    "Credentials may be plain HTTP headers of the upgrade, with the marker alone offered.",
    "aws-appsync-events-swift and the Android client, integration tests against AWS",
)
def test_credentials_in_upgrade_headers_are_read(connect, emulator):
    """The second form of the official mobile clients."""
    headers = {"x-api-key": KEY["x-api-key"], "x-amz-user-agent": "swift"}
    assert "connection_ack" == connect(emulator, subprotocols=[MARKER], headers=headers).init()


@observed(
    "Names in credentials are read in any case.",
    "clients write Authorization and authorization, X-Amz-Security-Token and x-amz-security-token",
)
def test_names_of_credentials_are_read_in_any_case(connect, emulator):
    """``HOST`` and ``X-API-KEY`` do as well."""
    peer = connect(emulator, {"HOST": "localhost", "X-API-KEY": KEY["x-api-key"]})
    assert "connection_ack" == peer.init()


@observed(
    "`host` in credentials may carry a port, and messages may leave it out.",
    "Amplify sends it with the port, appsync-event-client-go leaves it out of messages",
)
def test_host_may_have_a_port_and_be_left_out_of_messages(connect, emulator):
    """Connect with a port, subscribe without a host."""
    peer = connect(emulator, {**KEY, "host": f"localhost:{emulator.port}"})
    answer = peer.subscribe("1", "/default/a", {"x-api-key": KEY["x-api-key"]})
    assert "subscribe_success" == answer["type"]


@observed(
    "Query strings of the address are ignored.",
    "Amplify adds the caller's own connection headers as query parameters",
)
def test_query_string_is_ignored(connect, emulator):
    """A parameter changes nothing."""
    assert "connection_ack" == connect(emulator, query="?x-custom=1&header=e30%3D").init()


@assumed(
    "Any Host header is served, and an empty one.",
    "appsync-event-client-go sends an empty one; the name decides nothing on one machine",
)
@pytest.mark.parametrize("host", ["", "example.org", "abc.appsync-api.us-east-1.amazonaws.com"])
def test_any_host_is_served(emulator, host):
    """A request written byte by byte gets its 101 whatever its Host is."""
    lines = [
        "GET /event/realtime HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Protocol: {MARKER}, {header(KEY)}",
    ]
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=PATIENCE_S) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = connection.recv(4096)
    assert b"101" == answer.split(b" ")[1]
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer


@documented("connection_init is optional.", WEBSOCKET_PAGE)
def test_connection_init_may_be_left_out(peer):
    """A client may subscribe straight after the upgrade."""
    assert {"type": "subscribe_success", "id": "1"} == peer.subscribe("1", "/default/a")


@observed(
    "The frame after connection_init is its answer, even where keep-alives are frequent.",
    "aws-appsync-events by auvred and appsync-event-client-go take any other frame as fatal",
)
def test_answer_to_connection_init_comes_first(connect, started):
    """With a keep-alive every few milliseconds, the ack is still the first frame."""
    assert "connection_ack" == connect(started(keep_alive_s=0.2)).init()


@observed(
    "connection_init may carry a payload, which is ignored.",
    "aws-appsync-events-websockets-client-go sends one",
)
def test_payload_of_connection_init_is_ignored(peer):
    """Its credentials, if any, count for nothing."""
    assert "connection_ack" == peer.ask(type="connection_init", payload={"data": {}})["type"]


@documented(
    "Each message is authorised by itself, and may use another mode than the connection.",
    WEBSOCKET_PAGE,
)
def test_each_message_is_authorised_by_itself(peer):
    """A good connection does not make up for bad credentials; another good key does."""
    wrong = {"x-api-key": "da2-wrong"}
    assert "subscribe_error" == peer.subscribe("1", "/default/a", wrong)["type"]
    assert "publish_error" == peer.publish("/default/a", 1, authorization={})["type"]
    other = {"x-api-key": "da2-other"}
    assert "subscribe_success" == peer.subscribe("1", "/default/a", other)["type"]


@documented("unsubscribe needs no credentials.", WEBSOCKET_PAGE)
def test_unsubscribe_needs_no_credentials(peer):
    """The id alone is enough."""
    peer.subscribe("1", "/default/a")
    assert "unsubscribe_success" == peer.ask(type="unsubscribe", id="1")["type"]
