"""JSON from outside is read as its own clients read it, within bounds."""

import pytest

from harness.core.json_rules import first_match, read_json, text_at
from harness.core.outside_text import outside_text
from harness.net.client import rejected

ODD = [
    b'\xef\xbb\xbf{"error":"no"}',
    b'{"error":"n\xe9"}',
    b'{"error":"\\ud800"}',
    b'{"error":NaN}',
]


@pytest.mark.parametrize("body", ODD)
@pytest.mark.parametrize("as_text", [False, True])
def test_refusal_in_json_that_parsers_differ_about_is_read(body, as_text):
    """A byte order mark, invalid UTF-8, half a surrogate pair and NaN hide no refusal."""
    value = read_json(body.decode("utf-8", "replace") if as_text else body)

    assert first_match(value, {"error": True}) == "error"
    assert outside_text(text_at(value, "error")).isprintable()


@pytest.mark.parametrize("body", ODD)
def test_text_that_is_read_can_be_sent_on(body):
    """No half of a surrogate pair is left in it."""
    assert text_at(read_json(body), "error").encode()


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"{'error':'x'}", b"[" * 50_000, b'{"wait":%d}' % 10**400]
)
def test_what_is_no_json_is_a_value_error(body):
    """No other error reaches the caller."""
    with pytest.raises(ValueError):  # noqa: PT011  of either parser
        read_json(body)


def test_refusal_in_any_element_of_a_list_is_one():
    """Some services answer a publish with a list."""
    refusal = rejected([{"ok": True}, {"error": "full"}], {"error": True})

    assert refusal is not None
    assert (refusal.code, refusal.message) == ("reject.error", "full")
    assert rejected([{"ok": True}, 1], {"error": True}) is None
