"""Text from outside is shown without control characters and without secrets."""

import base64
import json
import re
from urllib.parse import quote, quote_plus

import pytest

from harness.core import outside_text as module
from harness.core.errors import HarnessError
from harness.core.outside_text import MAX_LENGTH, excerpt, outside_text, redacted, register_secret

SECRET = 'p/w "+?7e-Zq&é'
LONG = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJlLW9mLXRoaXMtdG9rZW4"


@pytest.fixture(autouse=True)
def own_register(monkeypatch):
    """No secret of one test is known in another."""
    monkeypatch.setattr(module, "_needles", {})
    monkeypatch.setattr(module, "_registered", set())
    outside_text.cache_clear()
    yield
    outside_text.cache_clear()


def encodings(secret):
    raw = secret.encode()
    yield secret
    yield quote(secret)
    yield quote(secret, safe="")
    yield re.sub("%..", lambda code: code[0].lower(), quote(secret))
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    for before in (b"", b"u:", b"us:", b"use:", b'{"host":"h","x-api-key":"'):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(before + raw + b'"}').decode()
            yield encode(before + raw).decode().rstrip("=")


@pytest.mark.parametrize("secret", [SECRET, LONG])
def test_a_secret_is_replaced_in_every_encoding(secret):
    """The name stands where the secret stood, and nothing else of the text is lost."""
    register_secret("API_KEY", secret)

    for text in encodings(secret):
        assert outside_text(f"got Bearer {text} here") == "got Bearer ***API_KEY*** here"


def test_a_secret_cut_by_the_end_of_the_text_is_replaced():
    """A peer or a limit of ours may cut the text inside the secret."""
    register_secret("API_KEY", LONG)

    for length in range(6, len(LONG)):
        assert redacted(f"key {LONG[:length]}") == "key ***API_KEY***"


def test_a_secret_across_the_limit_of_length_is_replaced_whole():
    """The text is shortened after the secret has been replaced."""
    register_secret("API_KEY", LONG)

    shown = outside_text("x" * (MAX_LENGTH - 20) + " " + LONG)

    assert LONG[:6] not in shown
    assert len(shown) <= MAX_LENGTH


def test_many_tokens_of_one_issuer_take_one_entry():
    """Tokens with an equal beginning are found by it."""
    for number in range(1000):
        register_secret("token", f"{LONG}{number}")

    assert outside_text(f"no {LONG}999!") == "no ***token***!"
    assert sum(map(len, module._needles.values())) < 20


def test_a_word_that_is_shorter_than_a_secret_can_be_stays():
    """Three letters are found in ordinary words."""
    register_secret("API_KEY", "the")

    assert outside_text("then") == "then"


def test_control_characters_and_terminal_escapes_are_replaced():
    """What is shown is one line that changes no terminal."""
    raw = "bad\x1b[2J\x1b]0;title\x07 \r\n::error::x\u202e\u2028\x00\ud800"

    shown = outside_text(raw)

    assert shown == "bad�[2J�]0;title� ::error::x� ��"


def test_a_long_text_is_cut():
    """A text of 1 MB costs no more than a short one."""
    shown = outside_text("y" * 1_000_000)

    assert len(shown) == MAX_LENGTH
    assert shown.endswith("…")


def test_errors_of_the_harness_show_no_secret():
    """Addresses in sentences of our own may hold one."""
    register_secret("QTOKEN", "q-token-1234")

    error = HarnessError("wss://h/?tok=q-token-1234", "is down", "it must be up")

    assert str(error) == "wss://h/?tok=***QTOKEN***: is down, it must be up"


def test_a_secret_across_any_cut_is_replaced():
    """No part of a secret is left where an excerpt ends."""
    register_secret("API_KEY", LONG)

    for before in range(90):
        raw = b"-" * before + b" " + LONG.encode() + b" tail"
        for shown in (excerpt(raw, 80), outside_text(raw.decode(), 80)):
            assert LONG[:6] not in f"{shown} and more"
            assert len(shown) <= 80


def test_a_secret_in_another_case_is_replaced():
    """A host name or a header that was lower-cased still shows the key to a reader."""
    register_secret("API_KEY", SECRET)

    assert outside_text(f"a {SECRET.lower()} b {SECRET.upper()[:-1]}é c") == (
        "a ***API_KEY*** b ***API_KEY*** c"
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\\n"])
def test_a_secret_in_base64_with_line_breaks_is_replaced(newline):
    """MIME breaks base64 after 76 characters, which may be inside the secret."""
    secret = "kq9Zt3Vb7Lw2Xn5Rf8Yc"
    register_secret("API_KEY", secret)

    for before in range(90):
        whole = base64.b64encode(b"-" * before + secret.encode() + b" tail tail tail").decode()
        lines = newline.join(whole[at : at + 76] for at in range(0, len(whole), 76))
        core = base64.b64encode(b"-" * (before % 3) + secret.encode()).decode()[4:-4]
        shown = outside_text(lines).replace(" ", "").replace("\\n", "")
        assert "***API_KEY***" in shown
        assert not any(core[at : at + 8] in shown for at in range(len(core) - 8))


def test_a_secret_that_looks_as_if_it_had_a_line_break_is_replaced():
    """A backslash before an n is no line break in a Windows account's name."""
    register_secret("ACCOUNT", "corp\\new-pass")
    for form in ("corp\\new-pass", "corp\\\\new-pass", "CORP\\New-Pass"):
        assert "user ***ACCOUNT***, no" == outside_text(f"user {form}, no")


def test_line_breaks_between_words_become_spaces():
    """A text of several lines is searched as one, and stays readable."""
    register_secret("API_KEY", LONG)

    assert outside_text(f"first\r\n second\nkey: {LONG}\n(end)") == (
        "first second key: ***API_KEY*** (end)"
    )
