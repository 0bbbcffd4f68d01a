"""The token of a message: what is written is read again, and every change is noticed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.message_token import (
    END_MARK,
    LARGEST_MESSAGE_BYTES,
    SMALLEST_MESSAGE_BYTES,
    TOKEN_BYTES,
    MessageToken,
    MessageWriter,
    as_json,
    holds_message,
    is_token,
    needle_of,
)

NEEDLE = needle_of("run")
TIMES = st.integers(0, 2**62 - 1)
TOKENS = st.builds(
    MessageToken,
    st.integers(0, 36**5 - 1),
    st.integers(0, 36**7 - 1),
    TIMES,
    TIMES,
    st.integers(SMALLEST_MESSAGE_BYTES, 5000),
)


@given(TOKENS)
def test_token_is_read_as_it_was_written(token):
    """Fixed places, letters and digits alone, and the length that it names."""
    written = token.to_bytes(NEEDLE)
    assert token == MessageToken.parse(written[:TOKEN_BYTES])
    assert token.length_bytes == len(written)
    assert re.fullmatch(rb"[0-9a-z]+", written)
    assert (True, True) == (written.startswith(NEEDLE), written.endswith(END_MARK))


def test_layout_is_the_documented_one():
    """Another program can read it with a substring and a number base."""
    text = MessageToken(5, 77, 10**18, 10**18 + 1, 100).to_bytes(NEEDLE).decode()
    places = [(12, 17), (17, 24), (24, 37), (37, 50), (50, 55)]
    assert [5, 77, 10**18, 10**18 + 1, 100] == [int(text[slice(*place)], 36) for place in places]


@given(TOKENS, st.integers(0, TOKEN_BYTES - 1), st.sampled_from(b"0az7"))
def test_change_of_any_byte_of_a_token_is_noticed(token, place, byte):
    """CRC-32 finds each burst of up to 32 bits."""
    text = bytearray(token.to_bytes(NEEDLE)[:TOKEN_BYTES])
    changed = text[place] != byte
    text[place] = byte
    assert changed == (MessageToken.parse(bytes(text)) is None)


@pytest.mark.parametrize(
    "values", [(-1, 0, 0, 0), (36**5, 0, 0, 0), (0, 36**7, 0, 0), (0, 0, 36**13, 0)]
)
def test_value_without_room_is_an_error(values):
    """Nothing is cut off in silence."""
    with pytest.raises(ValueError, match="negative or too large"):
        MessageToken(*values).to_bytes(NEEDLE)


@pytest.mark.parametrize(
    "token",
    [
        MessageToken(0, 0, 2**62, 0),
        MessageToken(0, 0, 0, 2**62),
        MessageToken(0, 0, 0, 0, SMALLEST_MESSAGE_BYTES - 1),
        MessageToken(0, 0, 0, 0, LARGEST_MESSAGE_BYTES + 1),
    ],
)
def test_token_with_impossible_values_is_none(token):
    """A right checksum is no excuse: times must fit into 64 bits, and lengths into memory."""
    assert MessageToken.parse(token.to_bytes(NEEDLE)[:TOKEN_BYTES]) is None


@pytest.mark.parametrize("template", ["{message}", '{"text":"{message}"}', '"{message}"'])
@given(size_bytes=st.integers(96, 2000))
def test_message_has_the_size_that_was_drawn(template, size_bytes):
    """Filler makes up for the template and the token."""
    written = MessageWriter("run", template).write(MessageToken(1, 2, 3, 4), size_bytes)
    assert size_bytes == len(written)


def test_message_is_never_smaller_than_its_token():
    """A size that has no room for it is exceeded."""
    assert SMALLEST_MESSAGE_BYTES == len(MessageWriter("run").write(MessageToken(1, 2, 3, 4), 10))


def test_two_runs_have_different_needles():
    """So that a message of another run on the same channel is foreign."""
    assert NEEDLE != needle_of("other")
    assert (12, NEEDLE) == (len(NEEDLE), needle_of("run"))


@pytest.mark.parametrize(
    ("message", "expected"),
    [(b"{}", b"{}"), (b'"a"', b'"a"'), (b"a b", b'"a b"'), (b"[" * 10_000, None)],
)
def test_message_that_is_no_json_becomes_a_json_string(message, expected):
    """Other messages stay as they are."""
    assert (expected or b'"' + message + b'"') == as_json(message)


def test_message_of_any_run_is_held_and_other_text_is_not():
    """What a client needs to tell a delivery from an answer."""
    assert holds_message(b"\0" + MessageWriter("other").write(MessageToken(1, 2, 3, 4)))
    assert not holds_message(b'{"requestId":"7ZQW-7zqw-0123"}')


def test_text_that_becomes_a_sentence_stays_a_message():
    """The first letter as a capital, as chats and keyboards write it, is a digit here."""
    text = MessageWriter("run").write(MessageToken(1, 2, 3, 4)).decode()
    assert text == text.capitalize()


@pytest.mark.parametrize("text", [b"", NEEDLE, b"A" * TOKEN_BYTES, b"a" * (TOKEN_BYTES + 1)])
def test_text_of_another_length_or_alphabet_is_no_token(text):
    """Upper case, fewer and more bytes."""
    assert not is_token(text)
