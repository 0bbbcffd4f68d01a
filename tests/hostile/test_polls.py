"""Answers to polls, as they are met."""

import pytest

from harness.net.client import JoinError
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
