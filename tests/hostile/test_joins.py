"""Answers to a request to join, as they are met: each joins, or fails with its cause."""

import base64
import gzip
import zlib

import pytest

from harness.core.outside_text import register_secret
from harness.net.client import JoinError
from tests.hostile.conftest import STREAM_HEAD, accepted
from tests.support.listeners import wait_for

EVENT = b"data: hello\n\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
REDIRECT = b"HTTP/1.1 307 Elsewhere\r\nContent-Length: 0\r\nLocation: "
ACCEPTED_STREAMS = {
    "after early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"\r\n" + EVENT,
    "after 100 and 102": 2 * b"HTTP/1.1 102 Processing\r\n\r\n" + OK + b"\r\n" + EVENT,
    "its type twice": OK + b"content-type: text/event-stream\r\n\r\n" + EVENT,
    "its length twice": OK + 2 * b"Content-Length: 99\r\n" + b"\r\n" + EVENT,
    "compressed by gzip": OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(EVENT),
    "compressed by deflate": OK + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(EVENT),
}
REFUSED_STREAMS = {
    "a length of 5,000 digits": (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "9999"),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "1, 2"),
    "a negative length": (OK + b"Content-Length: -1\r\n\r\n", "-1"),
    "an unknown compression": (OK + b"Content-Encoding: br\r\n\r\n", "compressed"),
    "a location of half an address": (REDIRECT + b"http://[::1/x\r\n\r\n", "no address"),
    "a port beyond all": (REDIRECT + b"http://127.0.0.1:99999/\r\n\r\n", "no address"),
    "a host of 300 letters": (REDIRECT + b"http://" + b"h" * 300 + b"/\r\n\r\n", "own"),
    "a scheme that is no stream": (REDIRECT + b"file:///etc/passwd\r\n\r\n", "no address"),
    "a host that is not ours": (REDIRECT + b"http://login.example/\r\n\r\n", "login.example"),
    "an endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "endless"),
    "endless interim answers": (3000 * b"HTTP/1.1 102 Processing\r\n\r\n", "endless"),
}


@pytest.mark.parametrize("answer", ACCEPTED_STREAMS.values(), ids=ACCEPTED_STREAMS)
def test_odd_answer_to_a_stream_is_accepted(server, stream_user, answer):
    """What RFC 9110 allows, browsers take; the event in it arrives."""
    server.answer = answer
    stream_user.join()
    wait_for(lambda: stream_user.listener.events)
    assert 1 == len(stream_user.listener.events) == stream_user.listener.confirmations


@pytest.mark.parametrize(("answer", "named"), REFUSED_STREAMS.values(), ids=REFUSED_STREAMS)
def test_impossible_answer_to_a_stream_is_a_failed_join_with_its_cause(
    server, stream_user, answer, named
):
    """No exception but the one that is counted leaves a join."""
    server.answer = answer
    with pytest.raises(JoinError) as caught:
        stream_user.join()
    assert named in caught.value.message
    assert 0 == stream_user.listener.confirmations


@pytest.mark.parametrize(
    "before",
    [b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["early hints", "continue"],
)
def test_interim_answer_to_an_upgrade_is_skipped(server, socket_user, before):
    """The one behind it counts."""
    server.answer = lambda head: before + accepted(head)
    socket_user.join()
    assert 1 == socket_user.listener.confirmations


def test_server_of_http_2_is_named(server, stream_user):
    """It sends its settings, and closes."""
    server.answer = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"
    server.hangs_up = True
    with pytest.raises(JoinError, match="HTTP/2"):
        stream_user.join()


def test_interim_answer_to_a_poll_is_skipped(server, poll_user):
    """A poll's answer may be announced, too."""
    page = b'{"messages":[],"next":"1"}'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page)
    server.answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" + head + page
    poll_user.join()
    assert 1 == poll_user.listener.confirmations


def test_stream_that_expands_without_an_end_is_closed_and_named(server, stream_user):
    """A few kilobytes of gzip that hold gigabytes."""
    bomb = gzip.compress(b"x" * 50_000_000)
    server.answer, server.then = OK + b"Content-Encoding: gzip\r\n\r\n", [bomb]
    stream_user.join()
    wait_for(lambda: stream_user.listener.ends)
    assert ["oversize"] == [outcome for _, _, outcome in stream_user.listener.ends]


def test_answer_behind_which_the_stream_ends_in_the_same_breath_is_a_failed_join(
    server, stream_user
):
    """There is no stream to listen to."""
    server.answer = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(JoinError):
        stream_user.join()


SECRET = "the-secret-of-a-failed-join"
PLAIN = b"HTTP/1.1 200 OK\r\n"
USERS = ["stream_user", "socket_user", "poll_user"]
IMPOSSIBLE = {
    "a length of 5,000 digits": PLAIN + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "two lengths": PLAIN + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "an unknown compression": PLAIN + b"Content-Encoding: br\r\n\r\n",
    "an endless head": PLAIN + b"X: " + b"x" * 200_000,
    "no HTTP": b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
    "no status": b"HTTP/1.1 abc\r\n\r\n",
    "nothing but line ends": b"\r\n" * 10,
    "a redirect to itself": b"HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
@pytest.mark.parametrize("user", USERS)
def test_impossible_answer_is_a_failed_join_of_every_kind_of_user(
    server, request, capfd, user, answer
):
    """With a cause that is not the time it took, and without a traceback."""
    joining = request.getfixturevalue(user)
    server.answer = answer
    server.joined.set()  # It answers every request at once.
    with pytest.raises(JoinError) as caught:
        joining.join()
    assert caught.value.code not in ("", "timeout")
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("user", USERS)
def test_refusal_that_repeats_a_secret_names_it(server, request, user):
    """Plain and in base64, to every kind of user, and in one line without escapes."""
    register_secret("JOIN_SECRET", SECRET)
    encoded = base64.b64encode(SECRET.encode())
    told = b"\x1b[2J" + SECRET.encode() + b"\r\n" + encoded + b" " + b"x" * 1_000_000
    joining = request.getfixturevalue(user)
    server.answer = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told)
    with pytest.raises(JoinError) as caught:
        joining.join()
    shown = f"{caught.value} {caught.value.code} {caught.value.message}"
    assert [] == [form for form in (SECRET, encoded.decode(), "\x1b", "\n") if form in shown]
    assert len(shown) < 1000
