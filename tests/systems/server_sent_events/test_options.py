"""What a target says about its clients: the body of a publish, and what is refused."""

import json

import pytest
from pydantic import ValidationError

from harness.systems.server_sent_events.options import ClientOptions

MESSAGE = b'{"text":"a \\" and {channel}"}'


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
    assert expected == json.loads(ClientOptions(publish_body=template).body("/a", MESSAGE))


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
