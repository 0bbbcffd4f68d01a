"""How the clients of every kind of system get to it: addresses, proxies, certificates."""

import contextlib
import ssl
import time

import pytest
import trustme

from harness.net.addresses import tls_context
from harness.net.client import Access
from harness.net.http_publishing import HttpPublisher
from harness.net.joining import ProxyError, join_code
from harness.systems.api_gateway_websocket.client import ApiGatewayWebSocketApi
from harness.systems.api_gateway_websocket.options import ClientOptions as SocketOptions
from harness.systems.polling.client.poller import PollingApi
from harness.systems.polling.options import ClientOptions as PollOptions
from harness.systems.server_sent_events.client.api import ServerSentEventsApi
from harness.systems.server_sent_events.options import ClientOptions as StreamOptions
from tests.support.counting_servers import counting, proxying, requiring_certificates, rows
from tests.support.listeners import Listener, refusal_of, wait_for
from tests.support.waiting import PATIENCE_S

ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


def streams(base, **access):
    address = f"http{base}/sub/{{channel}}"
    access["options"] = StreamOptions()
    return ServerSentEventsApi(Access(address, address, "", **access)), ["/room"]


def sockets(base, **access):
    access["options"] = SocketOptions()
    return ApiGatewayWebSocketApi(Access(f"ws{base}/", f"http{base}/", "", **access)), []


def polls(base, **access):
    address = f"http{base}/{{channel}}"
    access["options"] = PollOptions(interval_s=3600.0)
    return PollingApi(Access(address, address, "", **access)), ["/room"]


every_kind = pytest.mark.parametrize("kind", [streams, sockets, polls])


class Clients(contextlib.ExitStack):
    """Users who have joined, for as long as a block lasts."""

    def __init__(self, api, channels):
        super().__init__()
        self._api, self._channels = self.enter_context(contextlib.closing(api)), channels

    def user(self):
        return self._api.client(self._channels, {}, Listener())

    def join(self):
        client = self.user()
        self.callback(client.drop)
        return client.join(time.monotonic() + PATIENCE_S)


def publish(base, **access):
    """Publish once, by HTTP."""
    address = f"http{base}/pub/{{channel}}"
    publisher = HttpPublisher(
        Access(address, address, "", options=PollOptions(), **access), lambda _, event: event
    )
    with contextlib.closing(publisher):
        return publisher.post("p", "/room", [b"1", b"2"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, the file that names it, and that of a client's certificate and key."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    client = authority.issue_cert("client.test")
    client.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    return authority, {
        "ca_file": str(folder / "ca.pem"),
        "client_certificate": str(folder / "client.pem"),
    }


@every_kind
def test_joins_are_shared_out_over_the_addresses_of_a_host(monkeypatch, kind):
    """Nine users on three addresses are three on each."""
    with counting(*ADDRESSES) as servers:
        monkeypatch.setattr("gevent.socket.getaddrinfo", lambda *_, **__: rows(*servers))
        with Clients(*kind("://chat.test")) as clients:
            for _ in range(9):
                clients.join()
            assert [3, 3, 3] == [len(server.requests) for server in servers]


@every_kind
def test_user_joins_and_publishes_through_a_proxy(monkeypatch, certificates, kind):
    """The proxy sees CONNECT alone; what it takes is part of the stage tcp."""
    authority, files = certificates
    trust = tls_context(ca_file=files["ca_file"])
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("chat.test").configure_cert(server_tls)
    with counting("127.0.0.2", tls=server_tls) as (server,), proxying(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with Clients(*kind("s://chat.test", tls=trust)) as clients:
            times = clients.join()
        assert publish("s://chat.test", tls=trust).accepted
    assert [b"CONNECT chat.test:443 HTTP/1.1\r\nHost: chat.test:443\r\n\r\n"] * 2 == proxy.asked
    assert ["tcp", "tls"] == list(times.stages_ns)[:2]
    assert 3 == len(server.requests)


@every_kind
def test_refusal_of_a_proxy_is_a_failed_join(monkeypatch, kind):
    """With the proxy's status, at stage connect."""
    with proxying(refusal=b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with Clients(*kind("s://chat.test")) as clients:
            refusal = refusal_of(clients.user().join, time.monotonic() + PATIENCE_S)
    assert ("connect", "403") == refusal


def test_refusal_of_a_proxy_is_a_failed_publish(monkeypatch):
    """With the same code."""
    with proxying(refusal=b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ProxyError) as caught:
            publish("s://chat.test")
    assert "403" == join_code(caught.value)


@every_kind
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificate_of_the_client_is_presented(certificates, kind, newest):
    """To a server that requires one, for joins and for publishes."""
    authority, files = certificates
    context = tls_context(**files)
    with counting("127.0.0.1", tls=requiring_certificates(authority, newest)) as (server,):
        base = f"s://127.0.0.1:{server.server_address[1]}"
        with Clients(*kind(base, tls=context)) as clients:
            clients.join()
        assert publish(base, tls=context).accepted


@every_kind
@pytest.mark.parametrize(
    ("newest", "code"),
    [
        (ssl.TLSVersion.TLSv1_2, "tls_alert_handshake_failure"),
        (ssl.TLSVersion.TLSv1_3, "tls_alert_certificate_required"),
    ],
)
def test_missing_certificate_is_named_by_the_alert(certificates, kind, newest, code):
    """Under TLS 1.3 it arrives after the handshake, where the answer is awaited."""
    authority, files = certificates
    context = tls_context(ca_file=files["ca_file"])
    with counting("127.0.0.1", tls=requiring_certificates(authority, newest)) as (server,):
        base = f"s://127.0.0.1:{server.server_address[1]}"
        with Clients(*kind(base, tls=context)) as clients:
            refusal = refusal_of(clients.user().join, time.monotonic() + PATIENCE_S)
        with pytest.raises(ssl.SSLError) as caught:
            publish(base, tls=context)
    assert ("tls", code) == refusal
    assert code == join_code(caught.value)


def test_publishes_keep_their_connections():
    """Two events to one address, and two again, are one connection."""
    with counting("127.0.0.2") as (server,):
        address = f"http://127.0.0.2:{server.server_address[1]}/pub/{{channel}}"
        publisher = HttpPublisher(
            Access(address, address, "", options=PollOptions()), lambda _, event: event
        )
        with contextlib.closing(publisher):
            for name in "ab":
                assert publisher.post(name, "/room", [b"1", b"2"]).accepted
    wait_for(lambda: len(server.requests) == 4)
    assert 1 == len(server.peers)


def test_certificates_are_not_checked_where_the_target_says_so(certificates):
    """For publishes as for joins."""
    authority, _ = certificates
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.test").configure_cert(server_tls)
    context = tls_context(verify=False)
    with counting("127.0.0.1", tls=server_tls) as (server,):
        assert publish(f"s://127.0.0.1:{server.server_address[1]}", tls=context).accepted
