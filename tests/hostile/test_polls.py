"""Answers to polls, as they are met."""

import contextlib

import pytest

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.net.client import Access, JoinError
from harness.systems.polling.client.polled_service import OWN
from harness.systems.polling.client.poller import PollingApi
from harness.systems.polling.options import ClientOptions
from tests.hostile.conftest import HOST, Client, HostileServer
from tests.support.listeners import wait_for

STUCK = ("poll", "cursor_stuck")


def page(body, *headers):
    """Return a response with a JSON body."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (lines, len(body), body)


@pytest.mark.parametrize("messages", [b"null", b"[]"])
def test_answer_without_messages_joins(server, poll_user, messages):
    """Null and an empty list mean the same."""
    server.answer = page(b'{"messages":%s,"next":"1"}' % messages)
    poll_user.join()
    assert (1, []) == (poll_user.listener.confirmations, poll_user.listener.events)


@pytest.mark.parametrize(
    ("answer", "is_stuck"),
    [
        (page(b'{"messages":["a"]}'), True),
        (page(b'{"messages":["a"],"next":""}'), True),
        (page(b'{"messages":["a"],"next":null}'), True),
        (page(b'{"messages":[]}'), False),
        (page(b'{"messages":["a"]}', b'ETag: "1"'), False),
    ],
    ids=["no cursor", "an empty one", "null", "no cursor and no message", "a validator"],
)
def test_cursor_that_does_not_move_is_an_error_of_the_poll(server, poll_user, answer, is_stuck):
    """The same messages would come with every poll."""
    server.answer = answer
    poll_user.join()
    assert ([STUCK] if is_stuck else []) == poll_user.listener.refused_at


def test_cursor_that_stays_is_an_error_of_each_poll_with_messages(server, poll_user):
    """The first answer moves it, and no other does."""
    server.answer = page(b'{"messages":["a"],"next":"7"}')
    poll_user.join()
    assert [] == poll_user.listener.refused_at
    wait_for(lambda: len(poll_user.listener.heard) >= 3)
    assert {STUCK} == set(poll_user.listener.refused_at)
    assert len(poll_user.listener.heard) - 1 == len(poll_user.listener.refused_at)


@pytest.mark.parametrize("count", [1, 2000])
def test_interim_heads_before_an_answer_are_skipped(server, poll_user, count):
    """However many come in the same bytes."""
    server.answer = count * b"HTTP/1.1 102 Hm\r\n\r\n" + page(b'{"messages":[],"next":"1"}')
    poll_user.join()
    assert 1 == poll_user.listener.confirmations


def test_interim_heads_without_an_answer_are_a_failed_join(server, poll_user):
    """There is an end to what a head may cost."""
    server.answer = 5000 * b"HTTP/1.1 102 Hm\r\n\r\n"
    with pytest.raises(JoinError, match="oversize"):
        poll_user.join()


class Elsewhere:
    """Redirects polls along a path, and counts who asks where.

    Args:
        answers: The answer by path, or the location that the path redirects to.
    """

    def __init__(self, answers):
        self._answers = answers
        self.asked = []

    def __call__(self, head):
        path = head.split()[1].decode().partition("?")[0]
        self.asked.append(path)
        answer = self._answers[path]
        return answer if isinstance(answer, bytes) else redirect(*answer)


def redirect(status, location):
    """Return a redirect."""
    head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    return head.encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirected_poll_is_sent_where_it_leads(server, poll_user, status):
    """Each poll begins at the service's own address again."""
    server.answer = elsewhere = Elsewhere(
        {
            "/default/a": (status, "/b"),
            "/b": (status, "c?x=1"),
            "/c": page(b'{"messages":[],"next":"1"}'),
        }
    )
    server.joined.set()  # It answers every request at once.
    poll_user.join()
    assert 1 == poll_user.listener.confirmations
    wait_for(lambda: len(elsewhere.asked) >= 6)
    assert 2 * ["/default/a", "/b", "/c"] == elsewhere.asked[:6]
    assert [] == poll_user.listener.refusals


def test_poll_whose_connection_closes_after_each_redirect_is_given_up(server, poll_user):
    """It goes on from where it was redirected to, so that its redirects are counted."""
    server.answer = redirect(307, "/default/a")
    server.hangs_up = True
    server.joined.set()
    with pytest.raises(JoinError, match="more than 5 times"):
        poll_user.join()


def test_poll_redirected_to_another_host_takes_no_secret_along(server):
    """It is connected to for this poll, and the next one comes back."""
    address = f"http://{HOST}:{server.port}/{{channel}}"
    access = Access(address, address, "a key of ours", options=ClientOptions(interval_s=0.05))
    api = PollingApi(access)
    with contextlib.closing(HostileServer()) as other, contextlib.closing(api):
        server.answer = redirect(307, f"http://localhost:{other.port}/b")
        other.answer = page(b'{"messages":["m"],"next":"1"}')
        with contextlib.closing(Client(api, server)) as user:
            user.join()
            wait_for(lambda: len(other.requests) >= 2)
        assert b"a key of ours" in server.requests[0]
        assert not any(b"a key of ours" in head for head in other.requests)
        assert all(head.startswith(b"GET /b HTTP/1.1") for head in other.requests)
    assert ["m"] == user.listener.heard[:1]


@pytest.mark.parametrize(
    ("location", "named", "asked"),
    [
        ("http://login.example/", "login.example", 1),
        ("http://[::1/x", "no address", 1),
        ("/default/a", "more than 5 times", 6),
    ],
    ids=["a host that is not ours", "no address", "itself"],
)
def test_poll_that_cannot_follow_a_redirect_fails_with_its_cause(
    server, poll_user, location, named, asked
):
    """As a join it is a failed one."""
    server.answer = redirect(302, location)
    server.joined.set()
    with pytest.raises(JoinError) as caught:
        poll_user.join()
    assert "HTTP 302" == caught.value.code
    assert named in caught.value.message
    assert asked == len(server.requests)


def test_poll_redirected_to_its_own_host_in_capitals_stays_there():
    """It is no other host, and the key goes along."""
    address = "http://localhost/{channel}"
    api = PollingApi(Access(address, address, "", options=ClientOptions()))
    with contextlib.closing(api):
        hop = api.hop(("/a",), OWN, "http://LOCALHOST:80/b")
    assert ("", 1) == (hop.host, hop.redirects)


def test_poll_that_leads_through_an_impossible_proxy_is_a_failed_join(
    server, poll_user, monkeypatch
):
    """As with a host that does not exist."""

    def impossible(*_):
        raise ScenarioError([ScenarioProblem("environment", "HTTPS_PROXY", "socks5", "is unknown")])

    monkeypatch.setattr(PollingApi, "route_to", impossible)
    with pytest.raises(JoinError, match="HTTPS_PROXY is unknown"):
        poll_user.join()


def test_publish_does_not_ask_for_compressed_answers():
    """What a refusal looks like is searched for in the plain answer."""
    address = "http://127.0.0.1:1/{channel}"
    options = ClientOptions(headers={"accept-encoding": "gzip", "X-A": "b"})
    with contextlib.closing(PollingApi(Access(address, address, "", options=options))) as api:
        headers = {name.lower() for name in api.publisher._headers}
    assert "x-a" in headers
    assert "accept-encoding" not in headers
