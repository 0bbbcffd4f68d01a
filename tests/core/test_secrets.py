"""Secrets are read without what editors and shells add."""

import pytest

from harness.core.errors import ScenarioError
from harness.core.outside_text import redacted
from harness.core.secrets import clean_secret, missing_variable, secret_variable


def test_white_space_and_a_byte_order_mark_around_a_secret_are_no_part_of_it(monkeypatch):
    """A trailing newline would break the head of every request."""
    monkeypatch.setenv("KEY_IN_TEST", "\N{ZERO WIDTH NO-BREAK SPACE} da2-abcdefg \r\n")

    assert secret_variable("KEY_IN_TEST") == "da2-abcdefg"
    assert redacted("with da2-abcdefg") == "with ***KEY_IN_TEST***"


def test_a_control_character_inside_a_secret_is_refused_by_name():
    """The sentence names variable and character, and quotes nothing of the secret."""
    with pytest.raises(ScenarioError) as caught:
        clean_secret("KEY_IN_TEST", "first\r\nsecond")

    assert str(caught.value).startswith(
        "secret: KEY_IN_TEST must hold no control characters, got U+000D inside it"
    )
    assert "second" not in str(caught.value)


def test_a_variable_that_is_not_set_is_empty(monkeypatch):
    """What needs it says which key of the target names it."""
    monkeypatch.delenv("KEY_IN_TEST", raising=False)

    assert secret_variable("KEY_IN_TEST") == ""


def test_variable_that_is_empty_is_not_called_unset(monkeypatch):
    """Who has exported it would look for a misspelt name."""
    monkeypatch.setenv("SERVICE_KEY", "")
    assert "SERVICE_KEY, which is empty" == missing_variable("a.toml", "auth", "SERVICE_KEY").found
    monkeypatch.delenv("SERVICE_KEY")
    assert "SERVICE_KEY, which is not set" == missing_variable("a", "auth", "SERVICE_KEY").found
