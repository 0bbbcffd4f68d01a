"""Answers to publishes over HTTP, as they are met; the server's own count says what it took."""

import contextlib
import errno
import time
from email.utils import formatdate
from typing import Any

import pytest

from harness.net.client import Access, JoinError
from harness.net.http_publishing import Poster
from harness.systems.appsync_events.client.api import AppSyncEventsApi
from harness.systems.polling.client.poller import PollingApi
from harness.systems.polling.options import ClientOptions as PollOptions
from harness.systems.server_sent_events.client.api import ServerSentEventsApi
from harness.systems.server_sent_events.options import ClientOptions as StreamOptions
from tests.hostile.conftest import HOST
from tests.support.listeners import wait_for
from tests.support.servers import answering_posts

ROOM = "/default/a"
KEY = "a key of ours"
EVENTS = [b'"%d"' % place for place in range(5)]
MAKERS: dict[str, Any] = {
    "server-sent-events": (ServerSentEventsApi, StreamOptions),
    "polling": (PollingApi, PollOptions),
}


class Service:
    """Takes each POST whose answer, of the test's making, has a good status and no error.

    Attributes:
        asked: Path, headers and body of each request.
    """

    def __init__(self):
        self.asked = []
        self.answer = lambda path, body: (200, {}, b"")

    @property
    def bodies(self):
        """What was published, in order."""
        return [body for _, _, body in self.asked]


def serving(service):
    """Serve on a free port; yields the port."""

    def answer(request, body):
        service.asked.append((request.path, request.headers, body))
        status, headers, text = service.answer(request.path, body)
        return status, text, headers

    return answering_posts(answer, "HTTP/1.1")


@pytest.fixture
def service():
    """A service on a port of its own."""
    made = Service()
    with serving(made) as port:
        made.address = f"http://{HOST}:{port}/say/{{channel}}"
        yield made


@pytest.fixture(params=MAKERS)
def publish(request, service):
    """Return a function that publishes events over HTTP, as one publish."""
    return publishing(service.address, request.param)


def publishing(address, system="server-sent-events", **options):
    """Return a function that publishes events over HTTP, as one publish."""
    api_class, options_class = MAKERS[system]

    def publish(*events, **more):
        chosen = options_class(**options, **more)
        api = api_class(Access(address, address, KEY, options=chosen))
        with contextlib.closing(api):
            return api.publish_over_http("1", ROOM, list(events))

    return publish


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"errors":[{"message":"no"}]}', "reject.errors"),
        (b'{"error":{"code":3}}', "reject.error"),
        (b'{"errors":[],"error":null,"data":1}', ""),
        (b'["errors"]', ""),
        (b"errors", ""),
        (b"", ""),
    ],
)
def test_good_status_with_errors_is_a_refusal(service, publish, text, code):
    """As GraphQL answers; the code says which key spoke against it."""
    service.answer = lambda *_: (200, {}, text)
    answer = publish(b"1")
    assert (not code, code) == (answer.accepted, answer.code)
    assert 1 == len(service.asked)


def test_rules_of_the_target_replace_the_usual_ones(service, publish):
    """Another key, and one that is an error elsewhere."""
    service.answer = lambda *_: (200, {}, b'{"errors":[1],"ok":false}')
    assert publish(b"1", reject={}).accepted
    assert "reject.ok" == publish(b"1", reject={"ok": False}).code


def test_events_of_a_batch_are_counted_one_by_one(service, publish):
    """The fourth is refused, the others are acknowledged, and the service took as many."""
    taken = []

    def answer(_path, body):
        if b"3" in body:
            return 422, {}, b"too rude"
        taken.append(body)
        return 200, {}, b""

    service.answer = answer
    found = publish(*EVENTS)
    assert (False, "HTTP 422", "too rude", {3: "refused"}) == (
        found.accepted,
        found.code,
        found.message,
        found.outcomes,
    )
    assert EVENTS[:3] + EVENTS[4:] == taken


def test_events_of_a_batch_after_a_reset_are_unanswered(service, publish, monkeypatch):
    """The service may have taken them all the same; the first events are known."""
    post = Poster.post

    def reset_at_3(poster, address, body, headers):
        if b"3" in body:
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        return post(poster, address, body, headers)

    monkeypatch.setattr(Poster, "post", reset_at_3)
    service.answer = lambda _, body: (429 if b"1" in body else 200, {}, b"")
    found = publish(*EVENTS)
    assert (False, "HTTP 429") == (found.accepted, found.code)
    assert {1: "throttled", 3: "unanswered", 4: "unanswered"} == found.outcomes


def test_partial_answer_of_appsync_over_http_names_the_refused_events(service):
    """Four are taken, one is not."""
    entry = b'{"identifier":"b","index":3,"code":"Rude","message":"no"}'
    service.answer = lambda *_: (200, {}, b'{"failed":[%s],"successful":[]}' % entry)
    api = AppSyncEventsApi(Access(f"ws://{HOST}:9/", service.address, KEY))
    with contextlib.closing(api):
        answer = api.publish_over_http("1", ROOM, EVENTS)
    assert (False, "Rude", {3: "refused"}) == (answer.accepted, answer.code, answer.outcomes)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
def test_wait_that_a_busy_service_asks_for_is_told(service, publish, status, as_date):
    """In seconds, or as the time to come back at."""
    asked_s = 3600
    value = formatdate(time.time() + asked_s, usegmt=True) if as_date else str(asked_s)
    service.answer = lambda *_: (status, {"Retry-After": value}, b"busy")
    answer = publish(b"1")
    assert (f"HTTP {status}", status == 429) == (answer.code, answer.throttled)
    assert asked_s / 2 < answer.asked_wait_s <= asked_s
    assert "Retry-After" in answer.message


@pytest.mark.parametrize("value", ["", "soon", "-5", "Mon, 99 Foo 2026", "9" * 400])
def test_unreadable_wait_is_none_and_an_endless_one_has_a_limit(service, publish, value):
    """Nobody waits for longer than a day."""
    service.answer = lambda *_: (429, {"Retry-After": value}, b"busy")
    assert publish(b"1").asked_wait_s == (86_400 if value.isdecimal() else 0)


@pytest.mark.parametrize("status", [307, 308])
def test_redirect_that_keeps_the_method_is_followed(service, publish, status):
    """Body and secrets go along, on the same host."""

    def answer(path, _body):
        if path.startswith("/say"):
            return status, {"Location": "/moved/here"}, b""
        return 200, {}, b""

    service.answer = answer
    assert publish(b"1").accepted
    assert ["/say/default/a", "/moved/here"] == [path for path, _, _ in service.asked]
    assert [b"1", b"1"] == service.bodies
    assert all(KEY in headers["Authorization"] for _, headers, _ in service.asked)


def test_redirect_to_another_host_takes_no_secret_along(service, publish):
    """It gets the body and its type."""
    other = Service()
    with serving(other) as port:
        service.answer = lambda *_: (307, {"Location": f"http://localhost:{port}/x"}, b"")
        assert publish(b"1").accepted
    ((path, headers, body),) = other.asked
    assert ("/x", b"1", None) == (path, body, headers["Authorization"])
    assert headers["Content-Type"]


@pytest.mark.parametrize(
    ("status", "location", "named"),
    [
        (301, "/moved", "a GET"),
        (302, "/moved", "a GET"),
        (303, "/moved", "a GET"),
        (307, "http://login.example/", "login.example"),
        (307, "http://[::1/x", "no address"),
        (308, "file:///etc/passwd", "no address"),
    ],
)
def test_redirect_that_cannot_be_followed_is_a_refusal_with_its_cause(
    service, publish, status, location, named
):
    """Nothing is sent again."""
    service.answer = lambda *_: (status, {"Location": location}, b"")
    answer = publish(b"1")
    assert (False, f"HTTP {status}") == (answer.accepted, answer.code)
    assert named in answer.message
    assert 1 == len(service.asked)


def test_endless_redirects_end(service, publish):
    """After five."""
    service.answer = lambda *_: (307, {"Location": "/again"}, b"")
    assert "more than 5 times" in publish(b"1").message
    assert 6 == len(service.asked)


@pytest.mark.parametrize("status", [b"429", b"503"])
def test_wait_that_a_busy_service_asks_for_at_a_join_is_told(
    server, stream_user, socket_user, poll_user, status
):
    """Users of streams, of sockets and those who poll wait as long."""
    server.answer = b"HTTP/1.1 %s Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy" % status
    waits_s = []
    for user in (stream_user, socket_user, poll_user):
        with pytest.raises(JoinError) as caught:
            user.join()
        waits_s.append(caught.value.asked_wait_s)
    assert [7.0, 7.0, 7.0] == waits_s
    wait_for(lambda: len(server.requests) == 3)
