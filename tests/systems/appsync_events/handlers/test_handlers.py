"""What comes of the events a handler returns, in JavaScript and in Python alike; the examples."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from harness.core.errors import ScenarioError
from harness.systems.appsync_events.handlers.handlers import Outcome
from harness.systems.appsync_events.handlers.rules import handler_refusal
from harness.systems.appsync_events.wire import WireError
from tests.support.handler_runner import EXAMPLES, FAILED, Stand

THREE = ("1", "2", "3")


def mistake(message):
    """Return the error that an event of this message gets."""
    return WireError("MessageProcessingError", message)


@pytest.fixture(params=["javascript", "python"])
def answering(request, javascript, python):
    """Make handlers that answer every publish with the same events, given as JSON."""
    if request.param == "javascript":
        return lambda events: javascript(f"export const onPublish = () => ({events})")
    return lambda events: python(
        f"import json\ndef publish(event):\n    return {{'events': json.loads({events!r})}}"
    )


OUTCOMES = [
    ("[]", [], {}),
    ("null", [], {}),
    ('[{"id":"1","payload":"b"}]', [("1", '"b"')], {}),
    ('[{"id":"2","payload":{"é":[1.5]}},{"id":"0","payload":null}]', None, {}),
    ('[null,{"id":"1","payload":1},null]', [("1", "1")], {}),
    ('[{"id":"0","error":"bad"},{"id":"1","payload":1}]', [("1", "1")], {"0": mistake("bad")}),
    ('[{"id":"0","payload":1,"error":"bad"}]', [], {"0": mistake("bad")}),
    ('[{"id":"0","payload":1,"error":""}]', [], {"0": mistake("")}),
    ('[{"id":"0","payload":1,"error":null,"more":2}]', [("0", "1")], {}),
]


@pytest.mark.parametrize(("events", "broadcast", "failed"), OUTCOMES)
def test_answer_decides_what_becomes_of_each_event(answering, events, broadcast, failed):
    """Left-out events are gone, those with an error fail, the others go out in the order given."""
    if broadcast is None:
        broadcast = [("2", '{"é":[1.5]}'), ("0", "null")]
    assert Outcome(broadcast, failed) == answering(events).publish_texts(*THREE)


BROKEN = [
    ('[{"id":"3","payload":1}]', "an event in its answer has the id '3'"),
    ('[{"id":7,"payload":1}]', "an event in its answer has the id"),
    ('[{"payload":1}]', "an event in its answer has the id None"),
    ('[{"id":"0","payload":1},{"id":"0","payload":2}]', "an event in its answer has the id '0'"),
    ('[{"id":"0","payload":1},{"id":"0","error":"x"}]', "an event in its answer has the id '0'"),
    ('[{"id":"0"}]', "an event in its answer has neither payload nor error"),
    ('[{"id":"0","error":null}]', "an event in its answer has neither payload nor error"),
]


@pytest.mark.parametrize(("events", "reason"), BROKEN)
def test_answer_that_breaks_a_rule_refuses_the_whole_publish(answering, events, reason, caplog):
    """Unknown ids, ids given twice and events without anything in them fail the request."""
    assert FAILED == answering(events).publish_texts(*THREE)
    (record,) = caplog.records
    assert f"PUBLISH in namespace default failed: {reason}" in record.getMessage()


def test_namespace_without_handlers_has_none():
    """The caller is told that there is nothing to call."""
    with Stand() as stand:
        assert not stand.handlers.has_publish("default")
        assert not stand.handlers.has_subscribe("default")


@pytest.mark.parametrize("name", ["onPublish", "onSubscribe"])
def test_namespace_has_the_handlers_that_its_code_exports(javascript, name):
    """Each of the two may be missing."""
    handlers = javascript(f"export function {name}(ctx) {{}}").handlers
    assert (name == "onPublish") == handlers.has_publish("default")
    assert (name == "onSubscribe") == handlers.has_subscribe("default")


REQUEST = "export const onPublish = ({ events: [{ id }], request }) => [{ id, payload: request }]"


def test_header_sent_twice_is_a_list(javascript):
    """Headers of the HTTP library keep what came twice, in order; names are in lower case."""
    headers = CIMultiDictProxy(CIMultiDict([("Animal", "duck"), ("aNIMAL", "goose"), ("B", "c")]))
    (request,) = javascript(REQUEST).broadcast(1, headers=headers)
    assert {"animal": ["duck", "goose"], "b": "c"} == request["headers"]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("", None),
        ("localhost", None),
        ("localhost:8443", None),
        ("127.0.0.1:8443", None),
        ("[::1]:8443", None),
        ("events.example.com", "events.example.com"),
        ("events.example.com:8443", "events.example.com"),
    ],
)
def test_domain_is_null_where_no_custom_domain_can_be(javascript, host, name):
    """`domainName` is that of a custom domain; an address or localhost is none."""
    (request,) = javascript(REQUEST).broadcast(1, domain=host)
    assert name == request["domainName"]


def test_wrong_handler_among_right_ones_is_named_by_its_key(javascript, tmp_path):
    """What cannot be loaded is the scenario's fault, and nothing stays behind of the others."""
    with pytest.raises(ScenarioError, match=r"namespaces\[0\]\.data_source"):
        javascript("export function onPublish(ctx) {}", data_source=f"{tmp_path}/none.py:keep")


# The examples of scenarios/handlers.


@pytest.fixture
def example(handlers_of):
    """Load handlers of an example, named by their file."""
    return lambda **files: handlers_of(**{key: f"{EXAMPLES}/{files[key]}" for key in files})


def test_example_chat(example):
    """Messages get the time or fail without text, and private rooms are closed."""
    chat = example(code="chat.js")
    outcome = chat.publish({"text": "hello"}, {"text": ""})
    assert {"1": mistake("a text is required")} == outcome.failed
    ((event_id, text),) = outcome.broadcast
    assert "0" == event_id
    assert text.startswith('{"text":"hello","sentAt":"20'), text
    assert None is chat.subscribe()
    assert 401 == chat.subscribe(channel="default/private").status


def test_example_odds(example):
    """Low odds are left out, and a round that is over takes no bets."""
    odds = example(code="odds.js")
    assert [{"odds": 0.6}] == odds.broadcast({"odds": 0.5}, {"odds": 0.6})
    expected = handler_refusal(WireError("RoundOver", "This round is over."), 403)
    assert expected == odds.publish({"odds": 0.6}, channel="default/over")


def test_example_stored(example):
    """Events get the numbers of the store, unless they are just passing."""
    stored = example(code="stored.js", data_source="store.py:keep")
    first, second = stored.broadcast({"a": 1}, {"a": 2})
    assert {"a": 1, "channel": "/default/room", "number": first["number"]} == first
    assert first["number"] + 1 == second["number"]
    assert [{"a": 1}] == stored.broadcast({"a": 1}, channel="default/passing")


def test_example_moderation(example, handlers_said):
    """Shouting fails, whispering is made louder, and the moderators' room is closed."""
    moderation = example(
        on_publish="moderation.py:on_publish", on_subscribe="moderation.py:on_subscribe"
    )
    outcome = moderation.publish({"text": "HELLO"}, {"text": "hello"})
    assert Outcome([("1", '{"text":"Hello"}')], {"0": mistake("please do not shout")}) == outcome
    assert None is moderation.subscribe()
    refused = moderation.subscribe(channel="default/moderators")
    assert "SubscriptionProcessingError" == refused.error.error_type
    assert "only for moderators" not in refused.error.message
    assert ["only for moderators"] == [text.split(": ")[1] for _, text in handlers_said()]
