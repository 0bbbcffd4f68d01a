"""What in the addresses of a target is secret."""

import pytest

from harness.core import outside_text as module
from harness.core.outside_text import outside_text, redacted
from harness.scenario.addresses import register_address, without_password


@pytest.fixture(autouse=True)
def own_register(monkeypatch):
    """No secret of one test is known in another."""
    monkeypatch.setattr(module, "_needles", {})
    monkeypatch.setattr(module, "_registered", set())
    outside_text.cache_clear()


def test_a_variable_outside_of_the_host_is_secret():
    """The host stays readable: errors are about it."""
    register_address("wss://${HOST}/live?tok=${QTOKEN}", "wss://chat.example.org/live?tok=abc-123")

    assert redacted("wss://chat.example.org/live?tok=abc-123") == (
        "wss://chat.example.org/live?tok=***QTOKEN***"
    )


def test_the_query_of_a_variable_that_holds_a_whole_address_is_secret():
    """``realtime = "${URL}"`` hides nothing else of the address."""
    register_address("${URL}", "wss://chat.example.org/live?tok=abc-123&room=general")

    assert redacted("wss://chat.example.org/live?tok=abc-123") == (
        "wss://chat.example.org/live?tok=***URL***"
    )


def test_a_password_in_an_address_is_secret_and_masked():
    """Whether a variable holds it or the file itself."""
    register_address("", "https://user:pass-word@example.org/")

    assert redacted("Basic dXNlcjpwYXNzLXdvcmQ=") == "Basic ***PASSWORD***"
    assert without_password("https://user:pass-word@example.org/") == "https://***@example.org/"
    assert without_password("https://example.org/a@b") == "https://example.org/a@b"


def test_password_with_an_at_sign_is_masked_to_its_end():
    """The last @ before the path ends it, as URL parsers have it."""
    assert "https://***@host/a@b" == without_password("https://user:p@ssword@host/a@b")


def test_a_host_before_a_path_with_slashes_stays_readable():
    """What follows the first slash is no part of the host."""
    register_address("https://${HOST}/${PATH}", "https://chat.example.org/rooms/general-1")

    assert redacted("https://chat.example.org/rooms/general-1") == (
        "https://chat.example.org/***PATH***"
    )
