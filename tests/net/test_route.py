import contextlib
import socket
import ssl
import time
from collections import Counter

import pytest
import trustme

from harness.net.client import Access, JoinError, JoinTimes
from harness.net.route import Route
from tests.support.counting_servers import counting, proxying, requiring_certificates, rows
from tests.support.listeners import wait_for
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S

NOT_LISTENING = (socket.AF_INET, socket.SOCK_STREAM, 6, "")


@pytest.fixture
def resolves(monkeypatch):
    """Let names resolve to given rows."""

    def known(found):
        monkeypatch.setattr("gevent.socket.getaddrinfo", lambda *_, **__: found)

    return known


def deadline():
    return time.monotonic() + PATIENCE_S


def route_to(url, **access):
    return Route(Access(url, url, "", **access), url)


def opened(route, count=1):
    """Open connections and close them; return the stages of the last."""
    times = JoinTimes(0)
    for _ in range(count):
        route.open(times, deadline()).close()
    return times.stages_ns


def refused(route):
    """Return stage, code and text with which a connection fails."""
    with pytest.raises(JoinError) as caught:
        route.open(JoinTimes(0), deadline())
    return caught.value.stage, caught.value.code, caught.value.message


def test_connections_are_shared_out_over_ipv4_and_ipv6(resolves):
    """Each of four addresses gets a quarter."""
    with counting("127.0.0.2", "127.0.0.3", "127.0.0.4", "::1") as servers:
        resolves(rows(*servers))
        opened(route_to("ws://chat.test/"), 12)
        wait_for(lambda: sum(len(server.peers) for server in servers) == 12)
        assert [3, 3, 3, 3] == [len(server.peers) for server in servers]


@pytest.mark.parametrize("listening", ["127.0.0.1", "::1"])
def test_name_of_which_one_address_refuses_is_reached_at_the_other(resolves, listening):
    """As localhost, where a server listens on one family only; each connection counts once."""
    port = free_port()
    absent = (*NOT_LISTENING, ("127.0.0.9", port))
    with counting(listening) as (server,):
        resolves([absent, *rows(server)])
        opened(route_to("ws://localhost/"), 4)
        wait_for(lambda: len(server.peers) == 4)


def test_two_addresses_that_refuse_fail_the_connection(resolves):
    """The next address is tried once, not all of them."""
    resolves([(*NOT_LISTENING, (f"127.0.0.{last}", free_port())) for last in (2, 3, 4)])
    expected = ("connect", "ECONNREFUSED", "connection refused")
    assert expected == refused(route_to("ws://chat.test/"))


def test_source_addresses_are_for_destinations_of_their_own_family(resolves):
    """And loopback addresses for loopback only: others cannot be reached from them."""
    sources = ("127.0.1.1", "127.0.1.2", "::1", "192.0.2.1")
    with counting("127.0.0.2", "::1") as (four, six):
        resolves(rows(four, six))
        opened(route_to("ws://chat.test/", source_addresses=sources), 8)
        wait_for(lambda: len(four.peers) + len(six.peers) == 8)
        assert {"127.0.1.1": 2, "127.0.1.2": 2} == Counter(four.peers)
        assert {"::1": 4} == Counter(six.peers)


@pytest.mark.parametrize(
    ("scheme", "variable"),
    [("ws", "HTTP_PROXY"), ("http", "http_proxy"), ("wss", "HTTPS_PROXY"), ("https", "all_proxy")],
)
def test_proxy_of_the_environment_is_asked_to_connect(monkeypatch, scheme, variable):
    """It resolves the name itself; what it takes is part of the stage tcp."""
    authority = trustme.CA()
    server_tls, client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("chat.test").configure_cert(server_tls)
    authority.configure_trust(client_tls)
    encrypted = scheme.endswith("s") and scheme != "ws"
    with counting("127.0.0.2", tls=server_tls if encrypted else None) as (server,):
        with proxying(server) as proxy:
            monkeypatch.setenv(variable, f"http://user:p%40ss@127.0.0.1:{proxy.port}")
            stages = opened(route_to(f"{scheme}://chat.test:8443/", tls=client_tls), 2)
        asked = (
            b"CONNECT chat.test:8443 HTTP/1.1\r\nHost: chat.test:8443\r\n"
            b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n"
        )
        assert [asked, asked] == proxy.asked
    assert ["tcp", "tls"][: 1 + encrypted] == list(stages)


@pytest.mark.parametrize("url", ["ws://127.0.0.2:{}/", "ws://[::1]:{}/", "ws://localhost:{}/"])
def test_this_machine_is_never_reached_through_a_proxy(monkeypatch, url):
    """Nor is an emulator at another address."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with counting("::1" if "[" in url else "127.0.0.2" if "2" in url else "127.0.0.1") as (server,):
        opened(route_to(url.format(server.server_address[1])))


def test_emulated_target_is_never_reached_through_a_proxy(monkeypatch, resolves):
    """Its address may be one that other machines reach."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with counting("127.0.0.2") as (server,):
        resolves(rows(server))
        opened(route_to("ws://emulator.test/", through_proxy=False))


def test_refusal_of_a_proxy_fails_the_connection_with_its_status(monkeypatch):
    """Its words are bounded, and no secret is in them."""
    words = b"password secret-word is wrong \x1b[31m" + b"x" * 5000
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 9\r\n\r\n" + words
    with proxying(refusal=answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret-word@127.0.0.1:{proxy.port}")
        stage, code, text = refused(route_to("wss://chat.test/"))
    assert ("connect", "407") == (stage, code)
    assert text.startswith(f"refused by the proxy 127.0.0.1:{proxy.port}: password ***")
    assert "secret-word" not in text
    assert "\x1b" not in text
    assert len(text) <= 300


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"nonsense\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "oversize"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "protocol_error"),
        (b"", "ConnectionResetError"),
    ],
)
def test_proxy_that_answers_something_else_fails_the_connection(monkeypatch, answer, code):
    """What it sends is read in pieces, up to a limit."""
    with proxying(refusal=answer or b" ") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        stage, found, text = refused(route_to("wss://chat.test/"))
    assert ("connect", code) == (stage, found)
    assert f"proxy 127.0.0.1:{proxy.port}" in text


def test_proxy_that_is_not_there_is_named(monkeypatch):
    """Else the user looks for the fault at the target."""
    port = free_port()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    expected = ("connect", "ECONNREFUSED", f"connection refused by the proxy 127.0.0.1:{port}")
    assert expected == refused(route_to("wss://chat.test/"))


def test_handshake_that_fails_closes_its_socket():
    """A worker that joins in vain must not run out of files."""
    authority = trustme.CA()
    with counting("127.0.0.1", tls=requiring_certificates(authority)) as (server,):
        route = route_to(f"wss://127.0.0.1:{server.server_address[1]}/")
        with contextlib.closing(socket.socket()) as probe:
            before = probe.fileno()
        assert ("tls", "tls_error") == refused(route)[:2]
        with contextlib.closing(socket.socket()) as probe:
            assert probe.fileno() <= before
