"""What a target says about its clients: headers, secrets, and the body of a publish."""

import json

import pytest
from pydantic import ValidationError

from harness.core.errors import ScenarioError
from harness.systems.server_sent_events.client.settings import settings_of
from harness.systems.server_sent_events.options import ClientOptions

MESSAGE = b'{"text":"a \\" and {channel}"}'


def settings(**options):
    return settings_of(ClientOptions(**options), "")


def test_secrets_come_from_the_environment_and_are_not_shown(monkeypatch):
    """Headers and cookies hold them; the options, which are in the record, only their names."""
    monkeypatch.setenv("SSE_SESSION", "s3cret")
    monkeypatch.setenv("SSE_KEY", "k3y")
    options = ClientOptions(
        headers={"X-Client": "load"},
        headers_env={"X-Key": "SSE_KEY"},
        cookies={"a": "1"},
        cookies_env={"session": "SSE_SESSION"},
    )
    made = settings_of(options, "t0ken")
    assert made.headers == {
        "Authorization": "Bearer t0ken",
        "X-Client": "load",
        "X-Key": "k3y",
        "Cookie": "a=1; session=s3cret",
    }
    shown = repr(made) + options.model_dump_json()
    assert not any(secret in shown for secret in ("s3cret", "k3y", "t0ken"))


def test_missing_variable_is_named(monkeypatch):
    """Nobody has to guess which one."""
    monkeypatch.delenv("SSE_KEY", raising=False)
    with pytest.raises(ScenarioError, match="SSE_KEY, which is not set"):
        settings(headers_env={"X-Key": "SSE_KEY"})


def test_separator_is_the_targets():
    """A comma unless it says otherwise."""
    made = settings(channel_separator="&topic="), settings_of(None, "")
    assert ["&topic=", ","] == [each.channel_separator for each in made]


def test_key_of_before_that_said_where_a_message_stands_is_accepted():
    """Messages are found without it; a target that has it still works."""
    assert ClientOptions() == ClientOptions(envelope_path="payload.message")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{message}", json.loads(MESSAGE)),
        ('{"to":{channel},"body":{message}}', {"to": "/a", "body": json.loads(MESSAGE)}),
        ('{"body":{message:string}}', {"body": MESSAGE.decode()}),
        ("{envelope}", json.loads(MESSAGE)),
        ('{"to":{channel},"body":{envelope}}', {"to": "/a", "body": json.loads(MESSAGE)}),
        ('{"body":{envelope_text}}', {"body": MESSAGE.decode()}),
    ],
)
def test_publish_body_is_the_template_with_the_message(template, expected):
    """Its earlier marks work too; what the message holds is not taken for a part of it."""
    assert expected == json.loads(settings(publish_body=template).body("/a", MESSAGE))


@pytest.mark.parametrize(
    "options",
    [
        {"publish_body": "nothing"},
        {"headers": {"X": "a\r\nb"}},
        {"headers": {"X Y": "a"}},
        {"headers_env": {"X": "not a name"}},
        {"channel_separator": " "},
        {"channel_separator": "?more="},
        {"channel_separator": "#"},
    ],
)
def test_options_that_cannot_be_sent_are_refused(options):
    """A body without the message; what would break a request apart."""
    with pytest.raises(ValidationError):
        ClientOptions(**options)
