import asyncio
import logging
import threading

import pytest

from harness.systems.appsync_events.emulator import lambda_authorizer as emulator_lambda_authorizer
from harness.systems.appsync_events.emulator.lambda_authorizer import Authorizer, Question
from harness.systems.appsync_events.options import LambdaAuthorizer, Options
from tests.support.waiting import PATIENCE_S

TOKEN = "opaque-token-of-the-test"
SUBSCRIBE = Question("EVENT_SUBSCRIBE", TOKEN, "default", "/default/*")
CONNECT = Question("EVENT_CONNECT", TOKEN)


class Function:
    """Stands in for the user's function: remembers what it was asked, answers what it is told."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def __call__(self, event):
        self.asked.append(event)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def function(monkeypatch):
    """Answer that the caller is let in, unless a test changes that."""
    stand_in = Function({"isAuthorized": True})
    monkeypatch.setattr(emulator_lambda_authorizer, "function_of_the_test", stand_in, raising=False)
    return stand_in


@pytest.fixture
def now_s():
    """The authorizer's time, in a list of one."""
    return [1000.0]


@pytest.fixture
def authorizer(function, now_s):
    """Make an authorizer of the function."""

    def make(**settings):
        name = f"{emulator_lambda_authorizer.__name__}:function_of_the_test"
        options = Options(api_id="abc", account_id="111122223333")
        return Authorizer(LambdaAuthorizer(function=name, **settings), options, lambda: now_s[0])

    return make


def ask(authorizer, *questions, headers=None):
    """Ask one after the other; return the last answer."""

    async def in_turn():
        for question in questions:
            answer = await authorizer.answer(question, headers or {})
        return answer

    return asyncio.run(in_turn())


def test_function_gets_the_documented_event(function, authorizer):
    """A wildcard arrives as it is, and headers in lower case."""
    assert ask(authorizer(), SUBSCRIBE, headers={"User-Agent": "test"}).is_authorized
    (event,) = function.asked
    assert event["requestContext"].pop("requestId")
    assert {
        "authorizationToken": TOKEN,
        "requestContext": {
            "apiId": "abc",
            "accountId": "111122223333",
            "operation": "EVENT_SUBSCRIBE",
            "channelNamespaceName": "default",
            "channel": "/default/*",
        },
        "requestHeaders": {"user-agent": "test"},
    } == event


def test_event_of_a_connect_has_no_channel(function, authorizer):
    """Its keys are absent, as they are in practice."""
    ask(authorizer(), CONNECT)
    assert {"apiId", "accountId", "requestId", "operation"} == set(
        function.asked[0]["requestContext"]
    )


def test_context_is_handed_on_and_graphql_keys_are_ignored(function, authorizer):
    """Only keys of Event APIs count."""
    function.answer = {
        "isAuthorized": True,
        "handlerContext": {"role": ["a"]},
        "resolverContext": {"x": 1},
        "deniedFields": ["y"],
    }
    assert {"role": ["a"]} == ask(authorizer(), CONNECT).handler_context


def test_answer_no_is_remembered_like_yes(function, authorizer):
    """A refusal is an answer too."""
    function.answer = {"isAuthorized": False}
    assert not ask(authorizer(), CONNECT, CONNECT).is_authorized
    assert 1 == len(function.asked)


def test_answer_holds_for_the_same_question_until_its_time_is_over(function, authorizer, now_s):
    """Operation, channel and token make the question; the default time is the API's."""
    judge = authorizer(ttl_s=10)
    ask(judge, SUBSCRIBE, SUBSCRIBE)
    assert 1 == len(function.asked)
    others = [
        SUBSCRIBE._replace(operation="EVENT_PUBLISH"),
        SUBSCRIBE._replace(channel="/default/a"),
        SUBSCRIBE._replace(token="other"),
    ]
    ask(judge, *others, *others)
    assert 4 == len(function.asked)
    now_s[0] += 9.9
    ask(judge, SUBSCRIBE)
    assert 4 == len(function.asked)
    now_s[0] += 0.1
    ask(judge, SUBSCRIBE)
    assert 5 == len(function.asked)


@pytest.mark.parametrize(
    ("ttl_s", "override", "asked"), [(300, 0, 2), (0, 5, 1), (0, None, 2), (300, None, 1)]
)
def test_ttl_override_wins_over_the_api(function, authorizer, ttl_s, override, asked):
    """Zero keeps no answer."""
    function.answer = {"isAuthorized": True, "ttlOverride": override}
    ask(authorizer(ttl_s=ttl_s), CONNECT, CONNECT)
    assert asked == len(function.asked)


def test_memory_of_answers_is_bounded(function, authorizer, monkeypatch):
    """The oldest answer goes first."""
    monkeypatch.setattr(emulator_lambda_authorizer, "MAX_CACHED", 2)
    judge = authorizer()
    first, second, third = (CONNECT._replace(token=text) for text in "abc")
    ask(judge, first, second, third, second, third)
    assert 3 == len(function.asked)
    ask(judge, first)
    assert 4 == len(function.asked)


@pytest.mark.parametrize(
    ("expected", "pattern"),
    [(True, ""), (True, "opaque-.*"), (False, "opaque"), (False, "Bearer .*")],
)
def test_token_that_does_not_match_is_refused_unasked(function, authorizer, expected, pattern):
    """All of the token must match the expression."""
    assert expected == bool(ask(authorizer(identity_validation=pattern), CONNECT))
    assert expected == bool(function.asked)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ValueError(TOKEN), "raised ValueError"),
        (SystemExit(TOKEN), "raised SystemExit"),
        (None, "answered "),
        ("yes", "answered "),
        ({}, "answered isAuthorized: "),
        ({"isAuthorized": "true"}, "answered isAuthorized: "),
        ({"isAuthorized": 1}, "answered isAuthorized: "),
        ({"isAuthorized": True, "ttlOverride": 3601}, "answered ttlOverride: "),
        ({"isAuthorized": True, "ttlOverride": -1}, "answered ttlOverride: "),
        ({"isAuthorized": True, "ttlOverride": float("nan")}, "answered ttlOverride: "),
        ({"isAuthorized": True, "handlerContext": TOKEN}, "answered handlerContext: "),
        ({"isAuthorized": True, "handlerContext": {"a": {TOKEN}}}, "a handlerContext that JSON"),
        ({"isAuthorized": True, "handlerContext": {"a": "x" * 5_242_880}}, "of 5242888 bytes"),
    ],
)
def test_function_that_does_wrong_refuses_with_a_logged_sentence(
    function, authorizer, caplog, answer, said
):
    """Whatever it does, the caller is refused, the log says why, and no token is in it."""
    function.answer = answer
    with caplog.at_level(logging.WARNING):
        assert ask(authorizer(), CONNECT) is None
    (record,) = caplog.records
    sentence = record.getMessage()
    assert said in sentence
    assert sentence.endswith("; the caller is refused")
    assert TOKEN not in sentence
    assert record.exc_info is None
    ask(authorizer(), CONNECT)
    assert 2 == len(function.asked)


def test_context_of_just_five_megabytes_is_let_in(function, authorizer):
    """The limit is the size of its JSON."""
    function.answer = {"isAuthorized": True, "handlerContext": {"a": "x" * (5_242_880 - 8)}}
    assert ask(authorizer(), CONNECT).is_authorized


def test_function_that_takes_too_long_refuses(function, authorizer, caplog, monkeypatch):
    """The caller does not wait for ever."""
    monkeypatch.setattr(emulator_lambda_authorizer, "TIMEOUT_S", 0.02)
    over = threading.Event()
    monkeypatch.setattr(Function, "__call__", lambda *_: over.wait(PATIENCE_S))
    assert ask(authorizer(), CONNECT) is None
    over.set()
    assert "no answer in 0.02 s" in caplog.text


def test_question_shows_no_token():
    """Not even where it is printed by mistake."""
    assert "Question(EVENT_SUBSCRIBE, '/default/*')" == repr(SUBSCRIBE)
