"""Handlers in a running emulator, seen from its clients and its log."""

import json

import pytest

from harness.core.errors import ScenarioError
from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import body, error_types, post
from tests.support.handler_runner import EXAMPLES, SENTENCE

BROKEN = """
export const onPublish = (ctx) => { console.log('about to break'); return ctx.none.at }
export const onSubscribe = (ctx) => ctx.none.at
"""


def started(**code):
    """Start an emulator whose namespaces have JavaScript handlers, and ``direct`` a Python one."""
    namespaces = [{"name": name, "code": str(file)} for name, file in code.items()]
    direct = {"name": "direct", "on_publish": f"{EXAMPLES}/moderation.py:on_publish"}
    settings = {"api_keys": ["da2-test"], "namespaces": [*namespaces, direct], "processes": 2}
    return AppSyncEventsEmulator.start(Options.model_validate(settings))


@pytest.fixture(scope="module")
def emulator():
    """An emulator with the examples as handlers."""
    with started(default=EXAMPLES / "chat.js", odds=EXAMPLES / "odds.js") as emulator:
        yield emulator


def publish(emulator, channel, *payloads):
    """Publish over HTTP; return status and answer."""
    return post(emulator, body(channel, *payloads))[:2]


def test_subscriber_gets_what_the_handler_made(connect, emulator):
    """One event goes out changed, the other fails, and the publisher hears of both."""
    peer = connect(emulator)
    assert "subscribe_success" == peer.subscribe("s", "/default/*")["type"]
    answer = peer.publish("/default/room", {"text": "hello"}, {"text": ""})
    assert "publish_success" == answer["type"]
    assert [0] == [event["index"] for event in answer["successful"]]
    (failed,) = answer["failed"]
    assert (1, "MessageProcessingError") == (failed["index"], failed["code"])
    assert "a text is required" == failed["message"]
    event = json.loads(peer.hear()["event"])
    assert ["text", "sentAt"] == list(event)
    assert "hello" == event["text"]
    peer.hear_nothing_more()


def test_python_function_changes_what_is_published_over_http(connect, emulator):
    """A direct Lambda function in another process than the subscriber's works the same."""
    peer = connect(emulator)
    peer.subscribe("s", "/direct/a")
    status, answer = publish(emulator, "/direct/a", {"text": "LOUD"}, {"text": "soft"})
    assert (200, 1, 1) == (status, len(answer["successful"]), len(answer["failed"]))
    assert {"text": "Soft"} == json.loads(peer.hear()["event"])


def test_refusals_have_their_forms_over_http_and_websocket(connect, emulator):
    """An error of the handler's own is 403, being unauthorised 401, and breaking 500."""
    peer = connect(emulator)
    over = {"errorType": "RoundOver", "message": "This round is over."}
    assert (403, {"errors": [over]}) == publish(emulator, "/odds/over", {"odds": 1})
    expected = {"type": "publish_error", "id": "p", "errors": [over]}
    assert expected == peer.publish("/odds/over", {"odds": 1})
    (error,) = peer.subscribe("s", "/default/private")["errors"]
    assert "Unauthorized" == error["errorType"]


def test_broken_handler_is_told_to_the_log_alone(connect, tmp_path, capfd):
    """Clients hear that it failed; stderr has what it said, and why and where it broke."""
    (tmp_path / "broken.js").write_text(BROKEN, encoding="utf-8")
    error = {"errorType": "MessageProcessingError", "message": SENTENCE}
    with started(broken=tmp_path / "broken.js") as emulator:
        assert (500, {"errors": [error]}) == publish(emulator, "/broken/a", 1)
        refused = connect(emulator).subscribe("s", "/broken/a")
    assert ["SubscriptionProcessingError"] == error_types(refused)
    log = capfd.readouterr().err
    assert "broken.js: about to break" in log
    assert "PUBLISH in namespace broken failed: " in log
    assert "broken.js:2: TypeError: cannot read property 'at' of undefined" in log
    assert "broken.js:3: TypeError: cannot read property 'at' of undefined" in log


def test_code_that_is_not_taken_stops_the_start(tmp_path):
    """The user hears of file, line and rule before anything listens."""
    (tmp_path / "wrong.js").write_text("export const onPublish = async (ctx) => ctx.events")
    rule = r"wrong\.js:1 must not use async functions, which APPSYNC_JS does not have"
    with pytest.raises(ScenarioError, match=rule), started(wrong=tmp_path / "wrong.js"):
        pass


def test_filtered_events_count_as_successful(connect, emulator):
    """Who publishes an event that the handler leaves out is not told."""
    peer = connect(emulator)
    peer.subscribe("s", "/odds/a")
    answer = peer.publish("/odds/a", {"odds": 0.1}, {"odds": 0.9})
    assert [0, 1] == [event["index"] for event in answer["successful"]]
    assert {"odds": 0.9} == json.loads(peer.hear()["event"])
    peer.hear_nothing_more()
