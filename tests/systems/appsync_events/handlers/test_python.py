"""Direct Lambda integrations: Python functions, called and understood as Lambda functions are."""

import asyncio
import json
import threading

import pytest
from aws_lambda_powertools.utilities.data_classes import AppSyncResolverEventsEvent
from aws_lambda_powertools.utilities.parser.models import AppSyncEventsModel

from harness.systems.appsync_events.emulator.access import Identity
from harness.systems.appsync_events.handlers import python as emulator_python_handlers
from harness.systems.appsync_events.handlers.handlers import Outcome
from harness.systems.appsync_events.handlers.rules import context_body, handler_refusal
from harness.systems.appsync_events.wire import WireError
from tests.support.emulator_process import until
from tests.support.handler_runner import FAILED, SENTENCE, Stand
from tests.support.waiting import PATIENCE_S

UNAUTHORIZED = "You are not authorized to make this call."
COGNITO = {
    "claims": {"iss": "x"},
    "defaultAuthStrategy": "ALLOW",
    "groups": ["admin"],
    "issuer": "x",
    "sourceIp": ["127.0.0.1"],
    "sub": "7f",
    "username": "ann",
}


ECHO = "def publish(event):\n    return {'events': [{'id': '0', 'payload': event}]}"


def test_event_of_a_publish_is_what_lambda_gets(python):
    """Powertools' own model of the event, and its own class, read what a function gets."""
    (event,) = python(ECHO).broadcast(
        {"a": 1},
        channel="default/a/b",
        identity=Identity("user_pool", COGNITO),
        headers={"x-api-key": "k"},
        domain="events.example.com",
    )
    model = AppSyncEventsModel.model_validate(event)
    assert ("/default/a/b", ["default", "a", "b"]) == tuple(dict(model.info.channel).values())
    assert "default" == model.info.channelNamespace.name
    assert "PUBLISH" == model.info.operation
    assert [{"id": "0", "payload": {"a": 1}}] == [dict(item) for item in model.events]
    seen = AppSyncResolverEventsEvent(event)
    assert "ann" == seen.identity.username
    assert {"x-api-key": "k"} == seen.request_headers
    assert "events.example.com" == seen.domain_name
    assert ({}, None) == (seen.stash, event["error"])


def test_event_of_a_subscribe_is_what_lambda_gets(python):
    """The same, without events."""
    with Stand() as plain:
        event = context_body(plain.context(channel="default/*"), "SUBSCRIBE")
    model = AppSyncEventsModel.model_validate(event)
    assert "SUBSCRIBE" == model.info.operation
    assert "/default/*" == model.info.channel.path
    assert model.events is None
    assert model.identity is None


def test_function_is_told_about_its_call_as_lambda_does(python):
    """A second parameter is the Lambda context, which libraries ask for names and times."""
    ((name, request_id, left_ms),) = python("""
def publish(event, context):
    told = [context.function_name, context.aws_request_id, context.get_remaining_time_in_millis()]
    return {"events": [{"id": "0", "payload": told}]}
""").broadcast(1)
    assert "publish" == name
    assert 36 == len(request_id)
    assert 20_000 < left_ms <= 30_000


NULLS = ["None", "{}", "{'events': None}", "{'events': []}", "{'events': [], 'error': None}"]


@pytest.mark.parametrize("answer", NULLS)
def test_answer_without_events_broadcasts_nothing(python, answer):
    """Both keys of an answer are optional."""
    assert Outcome([], {}) == python(f"def publish(event):\n    return {answer}").publish(1)


WRONG = [
    "[]",
    "'text'",
    "{'events': 7}",
    "{'events': {'id': '0', 'payload': 1}}",
    "{'events': [7]}",
    "{'events': [{'id': '0', 'payload': {1, 2}}]}",
    "{'events': [{'id': '0', 'payload': float('nan')}]}",
    "{'events': [{'id': '0', 'payload': '\\ud800'}]}",
    "{'events': [{'id': ['0'], 'payload': 1}]}",
]


@pytest.mark.parametrize("answer", WRONG)
def test_answer_of_another_shape_refuses_the_publish(python, answer, handlers_said):
    """What is not the documented answer fails the request, with a word in the log."""
    assert FAILED == python(f"def publish(event):\n    return {answer}").publish(1)
    assert 1 == len(handlers_said())


def test_error_of_an_answer_is_logged_and_not_told(python, handlers_said):
    """The text of a whole answer's error is for the owner of the function alone."""
    handlers = python(
        "def publish(event):\n    return {'error': 'table is full', 'events': event['events']}\n"
        "def subscribe(event):\n    return {'error': 'table is full'}"
    )
    assert FAILED == handlers.publish(1)
    expected = handler_refusal(WireError("SubscriptionProcessingError", SENTENCE), 500)
    assert expected == handlers.subscribe()
    assert 2 == sum(text.endswith(": table is full") for _, text in handlers_said())


@pytest.mark.parametrize("prefix", ["", "async "])
def test_exception_refuses_without_its_text(python, prefix, handlers_said):
    """Neither the client nor the log hears what the exception said; the log hears where it was."""
    handlers = python(f"{prefix}def publish(event):\n    raise ValueError('secret')")
    assert FAILED == handlers.publish(1)
    ((_, text),) = handlers_said()
    assert "raised ValueError in handlers.py, line 2" in text
    assert "secret" not in text


def test_exception_named_unauthorized_refuses_with_403(python):
    """What Powertools raises to refuse is understood by its name."""
    handlers = python(
        "class UnauthorizedException(Exception): pass\n"
        "def publish(event):\n    raise UnauthorizedException('secret')\n"
        "def subscribe(event):\n    raise UnauthorizedException"
    )
    expected = handler_refusal(WireError("UnauthorizedException", UNAUTHORIZED), 403)
    assert expected == handlers.publish(1)
    assert handler_refusal(WireError("Unauthorized", UNAUTHORIZED), 403) == handlers.subscribe()


@pytest.mark.parametrize("prefix", ["", "async "])
def test_subscribe_passes_where_the_function_returns_nothing(python, prefix):
    """Null lets a subscriber in."""
    assert None is python(f"{prefix}def subscribe(event):\n    return None").subscribe()


def test_function_that_does_not_answer_in_time_refuses(python, monkeypatch, handlers_said):
    """A publish waits for as long as the service would, and then fails."""
    monkeypatch.setattr(emulator_python_handlers, "CALL_LIMIT_S", 0.05)
    code = "import asyncio\nasync def publish(event):\n    await asyncio.sleep(60)"
    assert FAILED == python(code).publish(1)
    assert "no answer in 0.05 s" in handlers_said()[0][1]


def test_payload_is_compact_json(python):
    """What a function returns is written anew: no spaces, no escapes without need."""
    code = "def publish(event):\n    return {'events': event['events']}"
    outcome = python(code).publish_texts('{ "a" : [ 1.0, 2 ], "\\u00e9" : "\\/" }')
    assert [("0", '{"a":[1.0,2],"é":"/"}')] == outcome.broadcast


def test_error_of_an_event_is_readable_text(python):
    """Whatever a function gives as the error of an event, the publisher can read an answer."""
    outcome = python(
        "def publish(event):\n"
        "    return {'events': [{'id': '0', 'error': '\\ud800'}, {'id': '1', 'error': 7}]}"
    ).publish(1, 2)
    assert ["?", "7"] == [outcome.failed[event_id].message for event_id in "01"]


EVENT_TYPE = """
import threading
called, go_on = threading.Event(), threading.Event()
def publish(event):
    called.set()
    go_on.wait(60)
    event["events"].clear()
    raise ValueError("secret")
"""


def test_event_invocation_broadcasts_unchanged_and_does_not_wait(python, handlers_said):
    """Fire and forget: the text is untouched, byte for byte, and a failure is only logged."""
    handlers = python(EVENT_TYPE, invoke_type="event")
    assert Outcome([("0", '{ "a" : 1.0 }')], {}) == handlers.publish_texts('{ "a" : 1.0 }')
    module = handlers.handlers._handlers["default"]._functions["PUBLISH"]._function.__globals__
    assert module["called"].wait(PATIENCE_S)
    assert [] == handlers_said()
    module["go_on"].set()
    handlers.together(lambda _: until(handlers_said))
    assert "raised ValueError" in handlers_said()[0][1]


COUNTING = """
import {sleeper}
running, most = 0, 0
{prefix}def publish(event):
    global running, most
    running += 1
    most = max(most, running)
    {wait}{sleeper}.sleep(0.02)
    running -= 1
    return {{"events": [{{"id": "0", "payload": most}}]}}
"""


async def publish_together(stand):
    """Publish five times at once; return what was broadcast, in order."""
    outcomes = await asyncio.gather(*[stand.publishing("1") for _ in range(5)])
    return [json.loads(outcome.broadcast[0][1]) for outcome in outcomes]


def test_plain_function_runs_one_call_at_a_time(python):
    """As in one Lambda environment: code written for Lambda keeps its event in a global."""
    handlers = python(COUNTING.format(prefix="", wait="", sleeper="time"))
    assert [1, 1, 1, 1, 1] == handlers.together(publish_together)


def test_async_function_runs_many_calls_at_a_time(python):
    """Who writes async means it."""
    handlers = python(COUNTING.format(prefix="async ", wait="await ", sleeper="asyncio"))
    assert 5 == max(handlers.together(publish_together))


def test_plain_function_does_not_hold_up_the_event_loop(python):
    """It runs in a thread other than that of the connections."""
    code = (
        "import threading\n"
        "def publish(event):\n"
        "    return {'events': [{'id': '0', 'payload': threading.get_ident()}]}"
    )
    assert [threading.get_ident()] != python(code).broadcast(1)


# Powertools for AWS Lambda, unmodified: the example of scenarios/handlers.

POWERTOOLS = "scenarios/handlers/powertools.py:handler"


@pytest.fixture
def powertools(request, monkeypatch):
    """Load the example, from the working directory, for both operations."""
    monkeypatch.chdir(request.config.rootpath)
    with Stand(on_publish=POWERTOOLS, on_subscribe=POWERTOOLS) as stand:
        yield stand


def test_powertools_resolver_transforms_each_event(powertools):
    """Events come back changed, and one whose function raised fails alone."""
    outcome = powertools.publish({"text": "hello"}, {}, {"text": "é"})
    assert [("0", '{"text":"hello","length":5}'), ("2", '{"text":"é","length":1}')] == (
        outcome.broadcast
    )
    assert {"1": WireError("MessageProcessingError", "KeyError - 'text'")} == outcome.failed


def test_powertools_resolver_takes_a_batch_as_one(powertools):
    """An aggregating function sees all events, with their ids, and may leave some out."""
    outcome = powertools.publish({"text": "a"}, {"text": "b"}, channel="default/together")
    assert Outcome([("1", '{"text":"b"}')], {}) == outcome


def test_powertools_resolver_refuses(powertools):
    """Its exception refuses a publish and a subscribe."""
    refused = powertools.publish({"text": "a"}, channel="default/closed")
    assert handler_refusal(WireError("UnauthorizedException", UNAUTHORIZED), 403) == refused
    assert 403 == powertools.subscribe(channel="default/closed").status
    assert None is powertools.subscribe(channel="default/open")


def test_powertools_resolver_never_mixes_up_calls(powertools):
    """It keeps its event in a global: calls at once must each get their own back."""

    async def many(stand):
        texts = [json.dumps({"text": "x" * length}) for length in range(40)]
        outcomes = await asyncio.gather(*[stand.publishing(text) for text in texts])
        return [json.loads(outcome.broadcast[0][1])["length"] for outcome in outcomes]

    assert list(range(40)) == powertools.together(many)
