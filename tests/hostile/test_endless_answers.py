"""Answers to publishes: each publish is answered once, and no answer costs more than a little."""

import tracemalloc

import pytest

from harness.core.peer_limits import MAX_MESSAGE_BYTES
from harness.net import http_publishing
from tests.hostile.conftest import MOST_LAG_S
from tests.support.listeners import wait_for

CREATED = b"HTTP/1.1 201 Created\r\n"
REFUSED = {
    "no HTTP": (b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n", "protocol_error"),
    "an absurd length": (
        CREATED + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        "ConnectionResetError",
    ),
    "an absurd chunk": (
        CREATED + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
        "protocol_error",
    ),
    "a body of 10 MB": (
        CREATED + b"Content-Length: 1000000000\r\n\r\n" + b"x" * 10_000_000,
        "oversize",
    ),
    "chunks of 10 MB": (
        CREATED
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + 10 * (b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n"),
        "oversize",
    ),
    "a head of 10 MB": (CREATED + b"X: y\r\n" * 1_700_000, "oversize"),
    "interim heads of 10 MB": (b"HTTP/1.1 100 C\r\n\r\n" * 560_000, "oversize"),
    "a size line of 10 MB": (
        CREATED + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 10_000_000,
        "oversize",
    ),
    "a trailer of 10 MB": (
        CREATED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 1_700_000,
        "oversize",
    ),
    "a redirect with a head of 10 MB": (
        b"HTTP/1.1 307 No\r\nLocation: /x\r\n" + b"X: y\r\n" * 1_700_000,
        "oversize",
    ),
    "a body that does not end": (CREATED + b"Content-Length: 9\r\n\r\n1234", "timeout"),
    "a head that does not end": (CREATED + b"X: y\r\n" * 100, "timeout"),
}


@pytest.mark.parametrize(("answer", "name"), REFUSED.values(), ids=REFUSED)
def test_impossible_answer_to_a_publish_fails_it_under_a_name(
    server, stream_user, longest_stand_s, monkeypatch, capfd, answer, name
):
    """Once, with bounded memory, without a traceback, and other users go on meanwhile."""
    if name == "timeout":
        monkeypatch.setattr(http_publishing, "ANSWER_WITHIN_S", 0.3)
    server.answer = answer
    tracemalloc.start()
    stream_user._client.publish("1", "/default/a", [b"a"])
    wait_for(lambda: stream_user.listener.answers)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (told,) = stream_user.listener.answers
    assert ("1", False, name) == (told.publish_id, told.accepted, told.code)
    assert most < 3 * MAX_MESSAGE_BYTES + 2 * len(answer)
    assert longest_stand_s() < MOST_LAG_S
    assert "Traceback" not in "".join(capfd.readouterr())


def test_answer_of_a_few_megabytes_is_taken(server, stream_user):
    """A service may repeat the message."""
    body = b"x" * (MAX_MESSAGE_BYTES - 1)
    server.answer = CREATED + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    stream_user._client.publish("1", "/default/a", [b"a"])
    wait_for(lambda: stream_user.listener.answers)
    assert stream_user.listener.answers[0].accepted


def test_publish_that_no_request_can_carry_fails_with_a_name(server, stream_user, monkeypatch):
    """And not with an exception in its greenlet."""
    monkeypatch.setattr(http_publishing, "path_of", lambda _: "/a b")
    stream_user._client.publish("1", "/default/a", [b"a"])
    wait_for(lambda: stream_user.listener.answers)
    assert "ConnectionError" == stream_user.listener.answers[0].code


def test_publish_redirected_to_a_path_with_spaces_is_sent_there(server, stream_user):
    """Encoded, and with one slash at its start."""
    elsewhere = b"HTTP/1.1 307 No\r\nContent-Length: 0\r\nLocation: /.//x y\r\n\r\n"
    created = CREATED + b"Content-Length: 0\r\n\r\n"
    server.answer = lambda head: created if b"/x%20y HTTP" in head else elsewhere
    server.joined.set()
    stream_user._client.publish("1", "/default/a", [b""])
    wait_for(lambda: stream_user.listener.answers)
    assert stream_user.listener.answers[0].accepted
