"""Handlers in JavaScript: what they are given, how they end, and their data sources."""

import json
import sys

import pytest

from harness.core.errors import NotInstalledError, ScenarioError
from harness.systems.appsync_events.emulator.access import Identity
from harness.systems.appsync_events.handlers import javascript as emulator_javascript
from harness.systems.appsync_events.handlers.rules import handler_refusal
from harness.systems.appsync_events.wire import WireError
from tests.support.handler_runner import EXAMPLES, FAILED, FOREVER, Stand

COGNITO = {"sub": "7f", "username": "ann", "groups": ["admin"], "claims": {"iss": "x"}}


# What a handler is given.


def test_context_of_a_publish_has_the_documented_keys(evaluate):
    """`ctx` is the documented object, its identity that of the publisher."""
    assert {
        "identity": COGNITO,
        "result": None,
        "request": {
            "headers": {"x-api-key": "k", "animal": "duck"},
            "domainName": "events.example.com",
        },
        "info": {
            "channel": {"path": "/default/a/b", "segments": ["default", "a", "b"]},
            "channelNamespace": {"name": "default"},
            "operation": "PUBLISH",
        },
        "error": None,
        "prev": None,
        "stash": {},
        "outErrors": [],
        "events": [{"id": "0", "payload": None}],
    } == evaluate(
        "ctx",
        channel="default/a/b",
        identity=Identity("user_pool", COGNITO),
        headers={"X-Api-Key": "k", "Animal": "duck", "Cookie": "secret"},
        domain="events.example.com:8443",
    )


def test_context_of_a_subscribe_keeps_the_wildcard(javascript, handlers_said):
    """`onSubscribe` sees the channel as it was asked for, and no events."""
    code = "export const onSubscribe = (ctx) => { console.log(ctx.info, ctx.events) }"
    assert None is javascript(code).subscribe(channel="default/rooms/*")
    ((_, text),) = handlers_said()
    info, events = text.split(": ", 1)[1].rsplit(" ", 1)
    assert {
        "channel": {"path": "/default/rooms/*", "segments": ["default", "rooms", "*"]},
        "channelNamespace": {"name": "default"},
        "operation": "SUBSCRIBE",
    } == json.loads(info)
    assert "null" == events


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "17",
        "-0.5",
        '"text"',
        "[]",
        '{"a":{"b":[1,true,null]}}',
        '{"__proto__":{"x":1},"toString":2}',
        '"\\u0000 \\" é 😀"',
    ],
)
def test_any_payload_passes_through(javascript, text):
    """Whatever JSON an event holds, a handler that forwards it changes nothing in it."""
    handlers = javascript("export function onPublish(ctx) { return ctx.events }")
    ((_, passed),) = handlers.publish_texts(text).broadcast
    assert json.loads(text) == json.loads(passed)


def test_returned_payload_is_compact_json(javascript):
    """What a handler returns is written anew: no spaces, no escapes without need."""
    handlers = javascript("export function onPublish(ctx) { return ctx.events }")
    outcome = handlers.publish_texts('{ "a" : [ 1.0, 2 ], "\\u00e9" : "\\/" }')
    assert [("0", '{"a":[1,2],"é":"/"}')] == outcome.broadcast


def test_half_a_surrogate_pair_does_no_harm(javascript):
    """A handler may cut a character in two; what is sent is still readable JSON."""
    outcome = javascript("""
        export const onPublish = (ctx) => {
          const half = ctx.events[0].payload.charAt(0)
          console.log(half)
          return [{ id: '0', payload: half }, { id: '1', error: half }]
        }
    """).publish("😀", "b")
    assert [("0", '"\\ud83d"')] == outcome.broadcast
    assert {"1": WireError("MessageProcessingError", "\ufffd")} == outcome.failed


# How it ends.


def test_error_of_a_handler_is_told_with_its_type(javascript):
    """`util.error` refuses the whole publish with message and type, over HTTP with 403."""
    refused = javascript("export const onPublish = () => util.error('No!', 'Closed')").publish(1)
    assert handler_refusal(WireError("Closed", "No!"), 403) == refused


def test_error_without_a_type_gets_the_documented_one(javascript):
    """Without a type of its own an error is a processing error of the operation."""
    handlers = javascript(
        "export const onPublish = () => util.error('No!')\n"
        "export const onSubscribe = () => util.error('Not you!')"
    )
    assert WireError("MessageProcessingError", "No!") == handlers.publish(1).error
    assert WireError("SubscriptionProcessingError", "Not you!") == handlers.subscribe().error


def test_unauthorized_has_another_type_on_subscribe(javascript):
    """`util.unauthorized` gives the two types that the service gives, and 401."""
    handlers = javascript(
        "export const onPublish = () => util.unauthorized()\n"
        "export const onSubscribe = () => util.unauthorized()"
    )
    message = "You are not authorized to make this call."
    assert handler_refusal(WireError("UnauthorizedException", message), 401) == handlers.publish(1)
    assert handler_refusal(WireError("Unauthorized", message), 401) == handlers.subscribe()


def test_handler_that_breaks_is_logged_with_its_line_and_tells_the_client_nothing(
    javascript, handlers_said
):
    """An exception refuses with 500 and a sentence of ours; the log has file, line and reason."""
    code = "import { util } from '@aws-appsync/utils'\n\nexport const onPublish = (ctx) =>\n"
    assert FAILED == javascript(code + "  ctx.secret.word").publish(1)
    ((level, text),) = handlers_said()
    assert "ERROR" == level
    assert text.startswith("PUBLISH in namespace default failed: "), text
    assert text.endswith("handlers.js:4: TypeError: cannot read property 'word' of undefined")


def test_error_inside_util_names_the_line_that_called_it(javascript, handlers_said):
    """The lines of the emulator's own JavaScript mean nothing to the user."""
    code = "export const onPublish = (ctx) =>\n  util.time.nowFormatted('yyyy', 'Australia/Perth')"
    assert FAILED == javascript(code).publish(1)
    ((_, text),) = handlers_said()
    assert "handlers.js:2: Error: util.time: of time zones only UTC and +hh:mm work" in text


@pytest.mark.parametrize("answer", ["7", "'text'", "{ id: '0', payload: 1 }", "true"])
def test_answer_that_is_no_list_breaks_the_publish(javascript, answer):
    """`onPublish` must return a list or null."""
    assert FAILED == javascript(f"export const onPublish = () => ({answer})").publish(1)


def test_payload_that_is_no_json_breaks_the_publish(javascript, handlers_said):
    """An object that contains itself cannot be broadcast."""
    code = "export const onPublish = ({ events: [e] }) => { e.payload = e; return [e] }"
    assert FAILED == javascript(code).publish(1)
    assert "circular reference" in handlers_said()[0][1]


def test_result_of_a_subscribe_handler_means_nothing(javascript):
    """Only `util` refuses a subscribe; whatever is returned does not."""
    assert None is javascript("export const onSubscribe = () => ({ error: 'no' })").subscribe()


# Data sources.

STORED = """
    export const onPublish = {
      request(ctx) {
        ctx.stash.note = 'kept'
        return { operation: 'Invoke', payload: ctx.events.map((event) => event.payload) }
      },
      response(ctx) {
        const { result, error, stash } = ctx
        return ctx.events.map(({ id }) => ({ id, payload: { result, error, stash } }))
      },
    }
"""


def test_response_gets_the_payload_of_request_without_a_data_source(javascript):
    """The result is the payload where nobody is asked; the stash is kept from one to the other."""
    expected = {"result": [{"a": 1}], "error": None, "stash": {"note": "kept"}}
    assert [expected] == javascript(STORED).broadcast({"a": 1})


def test_data_source_gets_what_request_returned(javascript, write):
    """The Python function is the data source: it is asked, and its answer is the result."""
    store = write("store.py", "def keep(request):\n    return {'kept': request}")
    (payload,) = javascript(STORED, data_source=f"{store}:keep").broadcast(1)
    assert {"kept": {"operation": "Invoke", "payload": [1]}} == payload["result"]
    assert payload["error"] is None


@pytest.mark.parametrize("body", ["raise ValueError('secret')", "return {1, 2}"])
def test_data_source_that_fails_is_an_error_of_the_context(javascript, write, body):
    """The response decides what becomes of the publish; the exception's text stays out of it."""
    store = write("store.py", f"def keep(request):\n    {body}")
    (payload,) = javascript(STORED, data_source=f"{store}:keep").broadcast(1)
    assert payload["result"] is None
    assert "DataSourceError" == payload["error"]["type"]
    assert "secret" not in payload["error"]["message"]


def test_early_return_skips_data_source_and_response(javascript, write, handlers_said):
    """`runtime.earlyReturn` in `request` is the answer."""
    store = write("store.py", "def keep(request):\n    raise ValueError")
    code = """
        import { runtime } from '@aws-appsync/utils'
        export const onPublish = {
          request: (ctx) => runtime.earlyReturn(ctx.events.slice(1)),
          response: () => { console.log('asked') },
        }
    """
    assert ["b"] == javascript(code, data_source=f"{store}:keep").broadcast("a", "b")
    assert [] == handlers_said()


def test_subscribe_may_have_a_data_source_too(javascript):
    """The object form works for `onSubscribe`, and its response may refuse."""
    handlers = javascript("""
        export const onSubscribe = {
          request: (ctx) => ({ payload: ctx.info.channel.segments }),
          response: (ctx) => { if (ctx.result.includes('closed')) util.unauthorized() },
        }
    """)
    assert None is handlers.subscribe(channel="default/open")
    assert 401 == handlers.subscribe(channel="default/closed").status


# Loading.

BOTH = "must export onPublish as a function, or an object of request and response"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("export const onPublish = 7", f".js {BOTH}, got something else: 7"),
        ("export const onPublish = { request() {} }", f".js {BOTH}, got something else: {{}}"),
        (
            "const a = 1\nexport const onPublish = (ctx) => a\nconst a = 2",
            ".js:3 must run, got SyntaxError: invalid redefinition of lexical identifier",
        ),
        (
            "const a = missing\nexport const onPublish = (ctx) => a",
            ".js:1 must run, got ReferenceError: missing is not defined",
        ),
    ],
)
def test_code_that_does_not_run_is_refused_when_it_is_loaded(javascript, code, expected):
    """The engine's own objections are told like all others, with file and line."""
    with pytest.raises(ScenarioError) as caught:
        javascript(code)
    assert str(caught.value).endswith(expected), caught.value


def test_file_that_never_ends_is_refused_when_it_is_loaded(javascript, monkeypatch):
    """The first lines of a file are under the limits too."""
    monkeypatch.setattr(emulator_javascript, "TIME_LIMIT_S", 0.2)
    with pytest.raises(ScenarioError, match="must run, got InternalError: interrupted"):
        javascript(f"const f = () => 1\n{FOREVER}\nexport const onPublish = (ctx) => []")


# Installed or not.


@pytest.mark.parametrize("missing", ["quickjs", "tree_sitter", "tree_sitter_javascript"])
def test_code_without_its_engine_or_parser_names_the_extra(monkeypatch, missing):
    """The base installation has neither; it says what to install."""
    package = "harness.systems.appsync_events.handlers"
    for module in (f"{package}.javascript", f"{package}.javascript_source"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(NotInstalledError) as caught:
        Stand(code=str(EXAMPLES / "chat.js"))
    assert str(caught.value) == (
        f"namespaces[0].code: {missing} is not installed, it comes with the extra [handlers]\n"
        "hint: pip install 'fanout-harness[handlers]'"
    )
