import asyncio
import contextlib
import http.client
import json
import logging
import socket
import ssl
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from harness.emulation.control import log_bugs
from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator, internal_failure
from harness.systems.appsync_events.emulator.sessions import Session
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import (
    KEY,
    MARKER,
    UNAUTHORIZED,
    body,
    error_types,
    header,
    post,
    request,
    stats,
)
from tests.support.waiting import PATIENCE_S, wait_for

# HTTP publish


def test_http_publish_is_answered_event_by_event_and_delivered(peer, shared_emulator):
    """Five events over HTTP reach a WebSocket subscriber in order."""
    peer.subscribe("1", "/default/http")
    status, answer, _ = post(shared_emulator, body("default/http", *range(5)))
    assert (200, []) == (status, answer["failed"])
    assert [0, 1, 2, 3, 4] == [item["index"] for item in answer["successful"]]
    assert ["0", "1", "2", "3", "4"] == [peer.hear()["event"] for _ in range(5)]


def test_unknown_headers_and_keys_of_real_clients_are_ignored(shared_emulator):
    """A client was seen to send ``content-encoding: amz-1.0`` and an ``id`` in the body."""
    headers = {"content-encoding": "amz-1.0", "content-type": "application/json; charset=UTF-8"}
    quirky = {**body("/default/a", 1), "id": "x"}
    assert 200 == post(shared_emulator, quirky, {"x-api-key": "da2-test", **headers}).status


def test_one_connection_serves_many_publishes(shared_emulator):
    """HTTP connections are kept open between publishes."""
    connection = http.client.HTTPConnection("127.0.0.1", shared_emulator.port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            text = json.dumps(body("/default/a", 1))
            connection.request("POST", "/event", text, {"X-API-KEY": "da2-test"})
            assert 1 == len(json.loads(connection.getresponse().read())["successful"])
        assert kept is connection.sock


@pytest.mark.parametrize("key", [None, "", "da2-wrong", "da2-tes", "da2-testx", "d\xe4"])
def test_http_publish_with_wrong_or_missing_key_is_unauthorized(shared_emulator, key):
    """Status 401 with the service's sentence."""
    headers = {} if key is None else {"x-api-key": key}
    answer = post(shared_emulator, body("/default/a", 1), headers)
    assert (401, {"errors": [UNAUTHORIZED]}) == answer[:2]


def test_http_publish_to_an_unknown_namespace_is_unauthorized_without_a_message(shared_emulator):
    """The bare error type and status 401."""
    expected = {"errors": [{"errorType": "UnauthorizedException"}]}
    assert (401, expected) == post(shared_emulator, body("/nowhere/a", 1))[:2]


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"{",
        b"\xff",
        [],
        {"events": ["1"]},
        {"channel": "/default/a"},
        {"channel": "/default/a_b", "events": ["1"]},
        {"channel": "/default/*", "events": ["1"]},
        {"channel": "/default/a", "events": []},
        {"channel": "/default/a", "events": ["{"]},
        {"channel": "/default/a", "events": [{}]},
    ],
)
def test_malformed_http_publish_is_a_bad_request(shared_emulator, malformed):
    """Status 400 with a ``BadRequestException``."""
    status, answer, _ = post(shared_emulator, malformed)
    assert (400, ["BadRequestException"]) == (status, error_types(answer))


def test_http_publish_of_six_events_is_a_bad_request(shared_emulator):
    """Over HTTP the sentence starts with a capital and the type differs from WebSocket's."""
    error = {"errorType": "BadRequestException", "message": "Input exceeded 5 event limit"}
    assert (400, {"errors": [error]}) == post(shared_emulator, body("/default/a", *range(6)))[:2]


def test_too_large_event_does_not_fail_an_http_publish(shared_emulator):
    """Status 200, and the event stands among the failed."""
    status, answer, _ = post(shared_emulator, body("/default/a", "x" * 1_048_576, 1))
    assert (200, [1]) == (status, [item["index"] for item in answer["successful"]])
    assert ["EventTooLargeException"] == [item["code"] for item in answer["failed"]]


@pytest.mark.parametrize("size_bytes", [1_300_000, 7_700_000])
def test_too_large_http_publish_is_refused_whole(shared_emulator, size_bytes):
    """Status 413, whether it is the events or the body that is past the limit."""
    status, answer, _ = post(shared_emulator, body("/default/a", "x" * size_bytes))
    assert (413, ["BadRequestException"]) == (status, error_types(answer))


# Other routes


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/event/", 404),
        ("POST", "/graphql", 404),
        ("GET", "/event", 405),
        ("PUT", "/event", 405),
        ("POST", "/event/realtime", 405),
        ("GET", "/event/realtime", 400),
    ],
)
def test_other_paths_and_methods_are_refused_in_json(shared_emulator, method, path, status):
    """Whatever the service does not offer has an error body too."""
    found_status, answer, _ = request(shared_emulator, method, path)
    assert (status, 1) == (found_status, len(answer["errors"]))


def test_browser_may_publish_from_anywhere(shared_emulator):
    """A preflight is granted, and answers may be read by any origin."""
    status, _, headers = request(shared_emulator, "OPTIONS", "/event")
    assert (204, "*") == (status, headers["access-control-allow-origin"])
    assert "POST" in headers["access-control-allow-methods"]
    assert "*" == request(shared_emulator, "POST", "/event")[2]["access-control-allow-origin"]


def test_counts_tell_what_was_published_and_delivered(connect, options):
    """Events count once, deliveries once a subscription."""
    with AppSyncEventsEmulator.start(Options(**options)) as emulator:
        peers = [connect(emulator) for _ in range(2)]
        for peer in peers:
            peer.subscribe("1", "/default/a")
            peer.subscribe("2", "/default/*")
        post(emulator, body("/default/a", 1, 2))
        assert 4 == len([peers[1].hear() for _ in range(4)])
        counted = stats(emulator)
    assert (2, 4) == (counted["connections"], counted["subscriptions"])
    assert (2, 1) == (counted["events"]["published"], counted["publishes"]["accepted"])
    assert (8, 8) == (counted["deliveries"]["owed"], counted["deliveries"]["sent"])
    assert (2, 4) == (counted["connects"]["accepted"], counted["subscribes"]["accepted"])
    # Two connects, four subscribes, two events in and eight out.
    assert 16 == counted["billed"]["operations"]


def test_try_it_command_is_what_a_shell_needs():
    """The command holds address, key and, with TLS, the authority; its body is a publish."""
    command = AppSyncEventsEmulator.try_it("https://h/event", "da2-x", Path("/ca.pem"))
    expected = (
        "curl --cacert /ca.pem -H 'x-api-key: da2-x' "
        """-d '{"channel":"/default/room-0","events":["{\\"hello\\":1}"]}' https://h/event"""
    )
    assert expected == command
    assert ['{"hello":1}'] == json.loads(command.split("'")[3])["events"]


# Several processes, TLS, logs


def test_event_published_in_one_process_reaches_the_others_once(connect, options):
    """Twenty connections on two processes: everyone gets every event exactly once."""
    with AppSyncEventsEmulator.start(Options(**options, processes=2)) as emulator:
        peers = [connect(emulator) for _ in range(20)]
        shares = [
            sum(c.status == "ESTABLISHED" for c in psutil.Process(pid).net_connections("tcp"))
            for pid in emulator.pids
        ]
        assert (2, 20) == (len(shares), sum(shares))
        assert all(shares)
        for peer in peers:
            peer.subscribe("1", "/default/a")
        for number, peer in enumerate(peers):
            # The publisher's own delivery comes last here, so each is waited for by everyone.
            assert "publish_success" == peer.publish("/default/a", number)["type"]
            assert [str(number)] * 20 == [other.hear()["event"] for other in peers]
        for peer in peers:
            peer.hear_nothing_more()
        counted = stats(emulator)
        assert (20, 400) == (counted["events"]["published"], counted["deliveries"]["sent"])


@pytest.fixture(scope="module")
def secure_emulator(options):
    """An emulator that speaks TLS."""
    with AppSyncEventsEmulator.start(Options(**options, tls=True)) as emulator:
        yield emulator


def test_websocket_and_http_share_one_tls_port(connect, secure_emulator):
    """A client that trusts the emulator's authority gets in; host name and key are checked."""
    peer = connect(secure_emulator)
    peer.subscribe("1", "/default/a")
    assert 200 == post(secure_emulator, body("/default/a", 1)).status
    assert {"type": "data", "id": "1", "event": "1"} == peer.hear()


def test_client_that_does_not_trust_the_authority_stays_out(secure_emulator, capfd):
    """The certificate is signed by nobody a client knows; the emulator takes it in silence."""
    with pytest.raises(ssl.SSLCertVerificationError):
        request(secure_emulator, "GET", "/", context=ssl.create_default_context())
    assert 404 == request(secure_emulator, "GET", "/").status
    assert ("", "") == capfd.readouterr()


def test_large_fan_out_over_tls_arrives_whole(connect, secure_emulator):
    """Frames longer than a TLS record reach every subscriber."""
    peers = [connect(secure_emulator) for _ in range(5)]
    for peer in peers:
        peer.subscribe("1", "/default/tls")
    event = "x" * 100_000
    peers[0].publish("/default/tls", event)
    assert [json.dumps(event)] * 5 == [peer.hear()["event"] for peer in peers]


def test_bug_of_the_emulator_is_logged_and_answered(caplog):
    """What no handler expects gives status 500 and a traceback, without the request."""

    async def fail(_request):
        raise ZeroDivisionError

    answer = log_bugs(internal_failure)

    async def respond():
        return await answer(make_mocked_request("GET", "/"), fail)

    assert 500 == asyncio.run(respond()).status
    assert ["a bug of the emulator"] == [record.message for record in caplog.records]


def test_nothing_is_logged_however_bad_the_request(connect, options, capfd):
    """Malformed HTTP, bad credentials and broken frames leave no line, so no secret either."""
    with AppSyncEventsEmulator.start(Options(**options)) as emulator:
        for garbage in (
            b"GET / HTTP/1.1\r\nx-api-key: da2-test\x00\r\n\r\n",
            b"POST /event HTTP/1.1\r\nHost: x\r\nx-api-key da2-test\r\n\r\n",
            (
                b"GET /event/realtime HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Protocol: aws-appsync-event-ws, header-da2-test\r\n\r\n"
            ),
            b"\x16\x03\x01 da2-test\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", emulator.port), timeout=PATIENCE_S) as bare:
                bare.sendall(garbage)
                assert bare.recv(4096).startswith(b"HTTP/1.")
        peer = connect(emulator, {"host": "da2-test", "x-api-key": "da2-wrong"})
        assert "connection_error" == peer.init()
        connect(emulator).socket.socket.sendall(b"\xff\xff\xff\xff")
        wait_for(lambda: not stats(emulator)["connections"])
    assert ("", "") == capfd.readouterr()


def test_bug_on_an_open_connection_closes_it_and_writes_no_http(tmp_path, monkeypatch, caplog):
    """The client is told 1011 in a frame; the bug is in the log."""

    async def fail(_session):
        raise RuntimeError("planted")

    async def ends():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            emulator = AppSyncEventsEmulator(Options(), WorkerContext(tmp_path))
            runner = emulator.runner()
            await runner.setup()
            await web.SockSite(runner, listener).start()
            offered = [Subprotocol(MARKER), Subprotocol(header(KEY))]
            address = f"ws://127.0.0.1:{listener.getsockname()[1]}/event/realtime"
            try:
                async with connect(address, subprotocols=offered, proxy=None) as client:
                    with pytest.raises(ConnectionClosedError) as closed:
                        await asyncio.wait_for(client.recv(), PATIENCE_S)
                    return closed.value.rcvd.code
            finally:
                await runner.cleanup()
                emulator.close()

    monkeypatch.setattr(Session, "run", fail)
    with caplog.at_level(logging.ERROR):
        assert 1011 == asyncio.run(ends())
    assert "planted" in caplog.text
