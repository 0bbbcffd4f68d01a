import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from harness.core.errors import RemoteProtocolError
from harness.net.http_stream import parse_response_head
from harness.net.upgrade import RefusedUpgradeError, Upgrade

SUBPROTOCOLS = ["marker", "header-abc"]


def answered_by_library(upgrade):
    """What the websockets library's server answers to our request."""
    server = ServerProtocol(subprotocols=[Subprotocol("marker")])
    request, key = upgrade.request()
    server.receive_data(request)
    received = server.events_received()[0]
    assert isinstance(received, Request)
    server.send_response(server.accept(received))
    return received, b"".join(server.data_to_send()), key


def check(upgrade, answer, key):
    upgrade.check(parse_response_head(answer), key)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("ws://localhost:18080/event/realtime?a=1", "localhost:18080"),
        ("ws://localhost/event/realtime?a=1", "localhost"),
        ("wss://example.org:443/event/realtime?a=1", "example.org"),
        ("wss://[::1]:444/event/realtime?a=1", "[::1]:444"),
    ],
)
def test_library_accepts_our_request_and_we_its_answer(address, host):
    """An independent implementation reads the request as meant, and its answer passes."""
    upgrade = Upgrade(parse_uri(address), SUBPROTOCOLS)
    received, answer, key = answered_by_library(upgrade)
    check(upgrade, answer, key)
    assert (host, "marker, header-abc", "/event/realtime?a=1") == (
        received.headers["Host"],
        received.headers["Sec-WebSocket-Protocol"],
        received.path,
    )


def test_each_connection_has_a_key_of_its_own():
    """A cached answer to somebody else's request must not pass."""
    upgrade = Upgrade(parse_uri("ws://localhost/"), SUBPROTOCOLS)
    _, answer, _ = answered_by_library(upgrade)
    with pytest.raises(RemoteProtocolError, match="sec-websocket-accept"):
        check(upgrade, answer, upgrade.request()[1])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ((b"Upgrade: websocket", b"Upgrade: h2c"), "upgrade: h2c"),
        ((b"Connection: Upgrade", b"Connection: close"), "connection: close"),
        ((b"Sec-WebSocket-Protocol: marker\r\n", b""), "sec-websocket-protocol: nothing"),
        ((b"marker", b"header-abc"), "sec-websocket-protocol: header-abc"),
        (
            (b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: x\r\n\r\n"),
            "extension that was not requested",
        ),
    ],
)
def test_answer_that_breaks_the_rfc_is_named(change, named):
    """Each header that the RFC requires is checked."""
    upgrade = Upgrade(parse_uri("ws://localhost/"), SUBPROTOCOLS, selectable=["marker"])
    _, answer, key = answered_by_library(upgrade)
    assert change[0] in answer
    with pytest.raises(RemoteProtocolError, match=named):
        check(upgrade, answer.replace(*change), key)


@pytest.mark.parametrize(
    "change",
    [
        (b"Connection: Upgrade", b"Connection: keep-alive,Upgrade"),
        (b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: upgrade"),
        (b"Upgrade: websocket", b"Upgrade:WebSocket"),
    ],
)
def test_answer_that_is_oddly_written_passes(change):
    """Proxies add words to a list, repeat a header, and leave spaces out."""
    upgrade = Upgrade(parse_uri("ws://localhost/"), SUBPROTOCOLS)
    _, answer, key = answered_by_library(upgrade)
    assert change[0] in answer
    check(upgrade, answer.replace(*change), key)


def test_any_subprotocol_that_is_offered_may_be_chosen_and_none_where_none_is():
    """A token may stand before the one that is spoken."""
    upgrade = Upgrade(parse_uri("ws://localhost/"), SUBPROTOCOLS)
    _, answer, key = answered_by_library(upgrade)
    check(upgrade, answer.replace(b"marker", b"header-abc"), key)
    with pytest.raises(RemoteProtocolError, match="sec-websocket-protocol: marker"):
        check(Upgrade(parse_uri("ws://localhost/"), ()), answer, key)


def test_http_status_is_told_apart_from_nonsense():
    """A 403 is a refusal; a banner of another protocol is a broken answer."""
    upgrade = Upgrade(parse_uri("ws://localhost/"), SUBPROTOCOLS)
    with pytest.raises(RefusedUpgradeError, match="403"):
        check(upgrade, b"HTTP/1.1 403 Forbidden\r\n\r\n", b"")
    with pytest.raises(RemoteProtocolError, match="SSH"):
        check(upgrade, b"SSH-2.0-x\r\n\r\n", b"")


@given(st.binary(max_size=200))
def test_hostile_head_raises_only_the_two_errors(head):
    """Whatever a server sends, a join fails in one of the two ways."""
    upgrade = Upgrade(parse_uri("ws://localhost/"), SUBPROTOCOLS)
    with pytest.raises((RefusedUpgradeError, RemoteProtocolError)):
        check(upgrade, head + b"\r\n\r\n", b"key")
