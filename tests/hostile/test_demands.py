"""Services that insist on something in each request, and services that set cookies.

Each counts the requests that have what it wants, and refuses the others.
"""

import contextlib
import re
import time
from base64 import b64encode

import pytest

from harness.net.client import Access, JoinError
from harness.systems.api_gateway_websocket.client import ApiGatewayWebSocketApi
from harness.systems.api_gateway_websocket.options import ClientOptions as SocketOptions
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.client.api import AppSyncEventsApi
from harness.systems.polling.client.poller import PollingApi
from harness.systems.polling.options import ClientOptions as PollOptions
from harness.systems.server_sent_events.client.api import ServerSentEventsApi
from harness.systems.server_sent_events.options import ClientOptions as StreamOptions
from tests.hostile.conftest import HOST, STREAM_HEAD, HostileServer, accepted
from tests.hostile.test_polls import page
from tests.support.listeners import Listener, wait_for
from tests.support.servers import answering_posts
from tests.support.waiting import PATIENCE_S

REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
SECRETS = {"DEMANDED": "demanded-s3cret", "PASSWORD": "p@ss"}
BASIC = b"Basic " + b64encode(b"user:p@ss")
DEMANDS = {
    "a user agent": (rb"\r\nUser-Agent: fanout-harness/\d\S*\r\n", None),
    "a user agent of its own": (
        rb"\r\nuser-agent: browser/1\r\n",
        {"headers": {"user-agent": "browser/1"}},
    ),
    "an origin": (
        rb"\r\nOrigin: https://chat\.example\r\n",
        {"headers": {"Origin": "https://chat.example"}},
    ),
    "a secret header": (
        rb"\r\nX-Key: demanded-s3cret\r\n",
        {"headers_env": {"X-Key": "DEMANDED"}},
    ),
    "a cookie": (
        rb"\r\nCookie: a=1; session=demanded-s3cret\r\n",
        {"cookies": {"a": "1"}, "cookies_env": {"session": "DEMANDED"}},
    ),
    "a query parameter": (
        rb"[?&]tok=demanded-s3cret&room=%26 HTTP",
        {"query": {"tok": "", "room": "&"}, "query_env": {"tok": "DEMANDED"}},
    ),
    "user and password": (
        rb"\r\nAuthorization: " + BASIC + rb"\r\n",
        {"user_info": "user:p%40ss@"},
    ),
}
SUBPROTOCOL = (
    rb"\r\nSec-WebSocket-Protocol: chat\.v1, token\.demanded-s3cret\r\n",
    {"subprotocols": ("chat.v1", "token.${DEMANDED}")},
)


def stream_api(port, user_info="", **options):
    """Return a service of server-sent events."""
    address = f"http://{user_info}{HOST}:{port}/{{channel}}"
    return ServerSentEventsApi(Access(address, address, "", options=StreamOptions(**options)))


def poll_api(port, user_info="", **options):
    """Return a polled service."""
    address = f"http://{user_info}{HOST}:{port}/{{channel}}"
    asked = PollOptions(**{"interval_s": 3600.0, **options})
    return PollingApi(Access(address, address, "", options=asked))


def socket_api(port, user_info="", **options):
    """Return a WebSocket API that confirms a join by its upgrade."""
    asked = SocketOptions(join_action="", route_responses=False, **options)
    address = f"ws://{user_info}{HOST}:{port}/"
    return ApiGatewayWebSocketApi(Access(address, "http://unused", "", options=asked))


SYSTEMS = {
    "stream": (stream_api, lambda _head: STREAM_HEAD),
    "poll": (poll_api, lambda _head: page(b'{"messages":[],"next":"1"}')),
    "socket": (socket_api, accepted),
}
CASES = [
    pytest.param(system, *demand, id=f"{system}: {name}")
    for system in SYSTEMS
    for name, demand in DEMANDS.items()
] + [pytest.param("socket", *SUBPROTOCOL, id="socket: a subprotocol")]


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    """Put the secrets of this module into the environment."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, f"{value}\n")


@pytest.fixture
def join(server):
    """Return a function that joins with a user of a service, and drops its connection."""
    with contextlib.ExitStack() as opened:

        def joined(api, listener=None):
            opened.callback(api.close)
            client = api.client(["/default/a"], {}, listener or Listener())
            opened.callback(client.drop)
            client.join(time.monotonic() + PATIENCE_S)
            return client

        opened.callback(server.joined.set)
        server.joined.set()
        yield joined


def choosing(answer):
    """Return an answer to an upgrade that chooses the first subprotocol offered."""

    def chosen(head):
        offered = re.search(rb"\r\nSec-WebSocket-Protocol: ([^,\r]+)", head)
        line = b"\r\nSec-WebSocket-Protocol: " + offered[1] + b"\r\n\r\n" if offered else b""
        return answer(head)[: -len(b"\r\n\r\n")] + (line or b"\r\n\r\n")

    return chosen


@pytest.mark.parametrize(("system", "demanded", "options"), CASES)
def test_user_with_what_a_service_demands_joins_and_one_without_is_refused(
    server, join, system, demanded, options
):
    """The service counts both."""
    api_of, answer = SYSTEMS[system]
    answer = choosing(answer) if options and "subprotocols" in options else answer
    server.answer = lambda head: answer(head) if re.search(demanded, head) else REFUSED
    join(api_of(server.port, **(options or {})))
    if options is not None:
        with pytest.raises(JoinError, match="403"):
            join(api_of(server.port))
    found = [bool(re.search(demanded, head)) for head in server.requests]
    assert ([True] if options is None else [True, False]) == found


@pytest.mark.parametrize("api_of", [stream_api, poll_api])
def test_publish_carries_what_the_target_says(api_of):
    """As the stream or the poll beside it; the user info is that of its own address."""
    heads = []

    def answer(request, _body):
        heads.append((request.path, dict(request.headers.items())))
        return 200, b""

    with answering_posts(answer) as port:
        api = api_of(
            port,
            "user:p%40ss@",
            headers={"Origin": "https://chat.example", "user-agent": "browser/1"},
            cookies={"a": "1"},
            query_env={"tok": "DEMANDED"},
        )
        with contextlib.closing(api):
            assert api.publish_over_http("p", "/default/a", [b'"x"', b'"y"']).accepted
    expected = {
        "Origin": "https://chat.example",
        "user-agent": "browser/1",
        "Cookie": "a=1",
        "Authorization": BASIC.decode(),
        "Content-Type": "application/json",
    }
    assert 2 == len(heads)
    for path, headers in heads:
        assert "/default/a?tok=demanded-s3cret" == path
        assert expected == {name: headers.get(name) for name in expected}
        assert "User-Agent" not in headers


def appsync_api(port, **options):
    """Return an Event API, which nobody answers for."""
    access = Access(
        f"ws://{HOST}:{port}/event/realtime",
        f"http://{HOST}:{port}/event",
        "the-key",
        options=SocketOptions(**options) if options else None,
    )
    return AppSyncEventsApi(access)


def test_event_api_gets_what_the_target_says_beside_its_own():
    """The marker stays the one subprotocol that it may choose, and the key its own header."""
    heads = []

    def answer(request, _body):
        heads.append((request.path, dict(request.headers.items())))
        return 200, b'{"failed":[],"successful":[]}'

    options = {
        "headers": {"Origin": "https://chat.example"},
        "cookies": {"a": "1"},
        "query": {"b": "2"},
        "subprotocols": ("token.${DEMANDED}",),
    }
    with answering_posts(answer) as port, contextlib.closing(appsync_api(port, **options)) as api:
        request, _ = api.upgrade_of(0).request(api.endpoint.cookies.line(None))
        assert api.publish_over_http("p", "/default/a", [b'"x"']).accepted
    lines = request.decode().split("\r\n")
    assert "GET /event/realtime?b=2 HTTP/1.1" == lines[0]
    assert {"Origin: https://chat.example", "Cookie: a=1"} < set(lines)
    (offered,) = [line for line in lines if line.startswith("Sec-WebSocket-Protocol")]
    assert re.fullmatch(rf".*: {wire.SUBPROTOCOL}, header-[\w-]+, token\.demanded-s3cret", offered)
    ((path, headers),) = heads
    assert "/event?b=2" == path
    assert ("the-key", "a=1", "https://chat.example") == (
        headers["x-api-key"],
        headers["Cookie"],
        headers["Origin"],
    )


def test_event_api_without_a_table_gets_a_user_agent():
    """In the upgrade and in a publish."""
    agents = []

    def answer(request, _body):
        agents.append(request.headers["user-agent"])
        return 200, b'{"failed":[],"successful":[]}'

    with answering_posts(answer) as port, contextlib.closing(appsync_api(port)) as api:
        request, _ = api.upgrade_of(0).request()
        assert api.publish_over_http("p", "/default/a", [b'"x"']).accepted
    agents += re.findall(r"\r\nUser-Agent: (\S+)\r\n", request.decode())
    assert ["fanout-harness"] * 2 == [agent.partition("/")[0] for agent in agents]


def with_cookie(answer, cookie):
    """Return an answer that sets a cookie."""
    first, _, rest = answer.partition(b"\r\n")
    return first + b"\r\nSet-Cookie: " + cookie + b"\r\n" + rest


@pytest.mark.parametrize("system", SYSTEMS)
def test_cookie_that_a_service_sets_comes_back_with_the_users_next_connection(server, join, system):
    """Its first has none, and neither has that of another user."""
    api_of, answer = SYSTEMS[system]
    server.answer = lambda head: with_cookie(answer(head), b"sid=%d; Path=/" % len(server.requests))
    api, user = api_of(server.port), Listener()
    join(api, user).drop()
    join(api, user).drop()
    join(api, Listener())
    sent = [re.findall(rb"\r\nCookie: (.*)\r\n", head) for head in server.requests]
    assert [[], [b"sid=1"], []] == sent


def test_poll_brings_back_the_cookie_of_the_answer_before(server, join):
    """A balancer that is sticky sets another one with each answer."""
    server.answer = lambda _head: with_cookie(
        page(b'{"messages":[],"next":"1"}'), b"sid=%d; Path=/default" % len(server.requests)
    )
    join(poll_api(server.port, interval_s=0.05))
    wait_for(lambda: len(server.requests) >= 3)
    sent = [re.findall(rb"\r\nCookie: (.*)\r\n", head) for head in server.requests[:3]]
    assert [[], [b"sid=1"], [b"sid=2"]] == sent


def test_upgrade_that_is_refused_for_lack_of_a_cookie_is_tried_again_with_it(server, join):
    """The refusal sets it."""
    refusal = with_cookie(REFUSED, b"gate=open")
    server.answer = lambda head: accepted(head) if b"Cookie: gate=open\r\n" in head else refusal
    api, user = socket_api(server.port), Listener()
    with pytest.raises(JoinError, match="403"):
        join(api, user)
    join(api, user)
    assert 2 == len(server.requests)


def test_stream_that_sets_a_cookie_and_redirects_is_followed_with_it(server, join):
    """Without it the service would redirect without an end."""
    to_itself = b"HTTP/1.1 302 Found\r\nLocation: ?again\r\nContent-Length: 0\r\n\r\n"
    redirect = with_cookie(to_itself, b"sid=7; Path=/default; HttpOnly")
    server.answer = lambda head: STREAM_HEAD if b"\r\nCookie: sid=7\r\n" in head else redirect
    api, user = stream_api(server.port), Listener()
    join(api, user).drop()
    join(api, user)
    paths = [head.split()[1] for head in server.requests]
    assert [b"/default/a", b"/default/a?again", b"/default/a"] == paths
    assert 2 == user.confirmations


def test_poll_that_sets_a_cookie_and_redirects_is_followed_with_it(server, join):
    """As a stream is; the next connection of the user has the cookie at once."""
    to_itself = b"HTTP/1.1 307 Again\r\nLocation: ?again\r\nContent-Length: 0\r\n\r\n"
    redirect, answer = with_cookie(to_itself, b"sid=7; Path=/"), SYSTEMS["poll"][1]
    server.answer = lambda head: answer(head) if b"\r\nCookie: sid=7\r\n" in head else redirect
    api, user = poll_api(server.port), Listener()
    join(api, user).drop()
    join(api, user)
    paths = [head.split()[1] for head in server.requests]
    assert [b"/default/a", b"/default/a?again", b"/default/a"] == paths


def test_host_that_a_poll_is_redirected_to_sets_its_own_cookies(server, join):
    """The target's own host does not get them."""
    port = server.port
    location = b"http://localhost:%d/there" % port
    redirect = b"HTTP/1.1 307 There\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    found = with_cookie(SYSTEMS["poll"][1](b""), b"theirs=1; Path=/")
    server.answer = lambda head: found if head.startswith(b"GET /there ") else redirect
    api, user = poll_api(port), Listener()
    join(api, user).drop()
    join(api, user)
    sent = [re.findall(rb"\r\nCookie: (.*)\r\n", head) for head in server.requests]
    assert [[], [], [], [b"theirs=1"]] == sent


def test_another_host_gets_nothing_that_the_target_lets_clients_send(server, join):
    """But a user agent, and what asks for a stream."""
    with contextlib.closing(HostileServer()) as other:
        other.joined.set()
        server.answer = (
            b"HTTP/1.1 307 Elsewhere\r\nContent-Length: 0\r\n"
            b"Location: http://%b:%d/there\r\n\r\n" % (HOST.encode(), other.port)
        )
        join(
            stream_api(
                server.port,
                "user:p%40ss@",
                headers_env={"X-Key": "DEMANDED"},
                cookies_env={"session": "DEMANDED"},
                query_env={"tok": "DEMANDED"},
            )
        )
        ((ours,), (theirs,)) = server.requests, other.requests
    assert 3 == ours.count(b"demanded-s3cret")
    assert 0 == theirs.count(b"demanded-s3cret") == theirs.count(b"Authorization")
    assert 1 == theirs.count(b"\r\nUser-Agent: fanout-harness/")


@pytest.mark.parametrize("api_of", [stream_api, poll_api])
def test_publish_of_a_user_carries_the_cookie_that_its_connection_was_given(server, join, api_of):
    """A session that begins with the stream; one that no user makes alone has the target's."""
    _, answer = SYSTEMS["stream" if api_of is stream_api else "poll"]
    posted = []

    def take(head):
        if head.startswith(b"GET"):
            return with_cookie(answer(head), b"sid=7; Path=/")
        posted.append(re.findall(rb"\r\nCookie: (.*)\r\n", head))
        return page(b"{}")

    server.answer = take
    api, user = api_of(server.port, cookies={"a": "1"}), Listener()
    client = join(api, user)
    client.publish("p", "/default/a", [b'"x"'])
    wait_for(lambda: user.answers)
    assert api.publish_over_http("q", "/default/a", [b'"x"']).accepted
    assert [[b"a=1; sid=7"], [b"a=1"]] == posted
