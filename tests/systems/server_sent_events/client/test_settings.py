"""What a target says about its clients: headers, secrets, and where the envelope is."""

import json

import pytest
from pydantic import ValidationError

from harness.core.errors import ScenarioError
from harness.systems.server_sent_events.client.settings import settings_of
from harness.systems.server_sent_events.options import ClientOptions

ENVELOPE = b'{"r":"run","q":1,"f":"a \\" and {channel}"}'


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


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("", ENVELOPE.decode()),
        ("payload.message", json.dumps({"payload": {"message": json.loads(ENVELOPE)}})),
        ("payload.message", json.dumps({"payload": {"message": ENVELOPE.decode()}})),
        ("items.1", json.dumps({"items": [0, json.loads(ENVELOPE)]})),
    ],
)
def test_envelope_is_found_wherever_it_is(path, data):
    """As the data itself, as an object inside it, as its text, in a list."""
    found = settings(envelope_path=path).envelope("message", data)
    assert found is not None
    assert json.loads(ENVELOPE) == json.loads(found)


@pytest.mark.parametrize("data", ["", "no JSON", "[]", "{}", '{"a":1}', '{"a":{"c":1}}'])
def test_event_without_an_envelope_holds_none(data):
    """Whatever a service sends besides is not ours, and breaks nothing."""
    assert settings(envelope_path="a.b").envelope("message", data) is None


def test_separator_is_the_targets():
    """A comma unless it says otherwise."""
    made = settings(channel_separator="&topic="), settings_of(None, "")
    assert ["&topic=", ","] == [each.channel_separator for each in made]


def test_only_events_with_the_right_name_carry_messages():
    """Where the target names some, all others are passed over."""
    made = settings(event_types=("chat",))
    assert (None, "{}") == (made.envelope("message", "{}"), made.envelope("chat", "{}"))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{envelope}", json.loads(ENVELOPE)),
        ('{"to":{channel},"body":{envelope}}', {"to": "/a", "body": json.loads(ENVELOPE)}),
        ('{"body":{envelope_text}}', {"body": ENVELOPE.decode()}),
    ],
)
def test_publish_body_is_the_template_with_the_envelope(template, expected):
    """What the envelope holds is not taken for a part of the template."""
    assert expected == json.loads(settings(publish_body=template).body("/a", ENVELOPE))


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
