"""Our client against servers of others, and against the emulator with others as witnesses."""

import contextlib
import json
import time

import pytest
from websockets.typing import Subprotocol

from harness.core.errors import ScenarioError
from harness.net.client import Access, JoinError
from harness.scenario.client_options import ClientOptions
from harness.systems.appsync_events.client.api import AppSyncEventsApi
from tests.support.listeners import Listener, refusal_of, wait_for
from tests.support.servers import answering_posts, serving_websockets
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"
KEY = "da2-test"
ROOM = "/default/room-0"


def api(realtime, http_url="http://127.0.0.1:9/event", key=KEY):
    return AppSyncEventsApi(Access(realtime, http_url, key))


@pytest.fixture
def opened():
    """What is closed after the test."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def emulated(shared_emulator, opened):
    """Make APIs on the shared emulator, closed after the test."""
    base = f"127.0.0.1:{shared_emulator.port}/event"

    def make(key=KEY):
        made = api(f"ws://{base}/realtime", f"http://{base}", key)
        return opened.enter_context(contextlib.closing(made))

    return make


@pytest.fixture
def join(opened):
    """Make clients that join; they are dropped after the test."""

    def joined(made, channels=(ROOM,), *, within_s=PATIENCE_S, frame_cache=None):
        client = made.client(channels, {} if frame_cache is None else frame_cache, Listener())
        opened.callback(client.drop)
        client.listener.times = client.join(time.monotonic() + within_s)
        return client

    return joined


@pytest.fixture
def scripted(opened):
    """Make APIs on servers that answer as ``script`` says for a message's type."""

    def make(script):
        def handler(peer):
            for text in peer:
                for answer in script.get(json.loads(text)["type"], ()):
                    peer.send(answer if isinstance(answer, str) else json.dumps(answer))

        serving = serving_websockets(handler, subprotocols=[Subprotocol("aws-appsync-event-ws")])
        return api(f"ws://{HOST}:{opened.enter_context(serving)}/event/realtime")

    return make


ACK = {"type": "connection_ack", "connectionTimeoutMs": 300000}
CONFIRMED = {"type": "subscribe_success", "id": "s"}


def data(event):
    return {"type": "data", "id": "s", "event": event}


def test_join_reports_each_stage_and_when_it_was_confirmed(emulated, join):
    """A join has the stages of the protocol, all of them within the whole."""
    times = join(emulated()).listener.times
    assert {"tcp", "upgrade", "init", "subscribe"} == set(times.stages_ns)
    assert 0 < sum(times.stages_ns.values()) <= time.time_ns() - times.start_ns
    assert times.start_ns < times.confirmed_ns <= time.time_ns()


def test_published_event_reaches_every_subscriber_and_is_acknowledged(emulated, join):
    """Publisher and subscriber both get it, and the publisher its answer."""
    made = emulated()
    chatter, subscriber = join(made), join(made)
    chatter.publish("1", ROOM, [b'{"a":1}', b'"b"'])
    wait_for(lambda: len(subscriber.listener.events) == 2 and len(chatter.listener.events) == 2)
    wait_for(lambda: chatter.listener.answers)
    answer = chatter.listener.answers[0]
    assert ['{"a":1}', '"b"'] == subscriber.listener.events
    assert "1" == answer.publish_id
    assert answer.accepted


def test_independent_subscriber_sees_the_same_events(shared_emulator, emulated, connect, join):
    """What our client publishes, a client of another library receives, byte for byte."""
    witness = connect(shared_emulator)
    assert "subscribe_success" == witness.subscribe("w", "/default/room-0")["type"]
    client = join(emulated())
    client.publish("1", ROOM, [b'{"n":1}'])
    heard = witness.hear()
    wait_for(lambda: client.listener.events)
    assert heard["event"] == client.listener.events[0] == '{"n":1}'


def test_http_publish_is_acknowledged_and_delivered(emulated, join):
    """The other transport reaches the same subscribers."""
    made = emulated()
    subscriber = join(made)
    answer = made.publish_over_http("9", ROOM, [b'{"over":"http"}'])
    wait_for(lambda: subscriber.listener.events)
    assert (True, "9") == (answer.accepted, answer.publish_id)


def test_wrong_key_fails_the_join_with_the_services_own_words(emulated, join):
    """The user reads the service's error type and text, at the stage where it came."""
    with pytest.raises(JoinError) as caught:
        join(emulated("da2-wrong"))
    found = (caught.value.stage, caught.value.code, caught.value.message)
    assert ("init", "UnauthorizedException", "You are not authorized to make this call.") == found


def test_wrong_key_over_http_is_a_refused_publish(emulated):
    """A refusal is an answer and not an exception."""
    answer = emulated("da2-wrong").publish_over_http("1", ROOM, [b"1"])
    assert not answer.accepted
    assert not answer.throttled
    assert "UnauthorizedException" == answer.code


def test_refused_publish_carries_the_services_error(emulated, join):
    """A publish to a namespace that does not exist is refused, on its own id."""
    client = join(emulated())
    client.publish("7", "/nowhere/room", [b"1"])
    wait_for(lambda: client.listener.answers)
    answer = client.listener.answers[0]
    assert "7" == answer.publish_id
    assert not answer.accepted
    assert "UnauthorizedException" == answer.code


def test_refused_subscription_fails_the_join_at_its_stage(scripted, join):
    """An error for the subscription is the join's error, code and text kept."""
    refusal = {
        "type": "subscribe_error",
        "id": "s",
        "errors": [{"errorType": "SubscriptionProcessingError", "message": "not today"}],
    }
    with pytest.raises(JoinError) as caught:
        join(scripted({"connection_init": [ACK], "subscribe": [refusal]}))
    assert "subscribe" == caught.value.stage
    assert "SubscriptionProcessingError" == caught.value.code
    assert "not today" == caught.value.message


def test_server_that_never_acknowledges_times_out_at_init(scripted, join):
    """Silence after the upgrade ends with the join's deadline."""
    assert ("init", "timeout") == refusal_of(join, scripted({}), within_s=2)


def test_keep_alives_and_unknown_messages_are_no_deliveries(scripted, join):
    """Only data for our subscription counts; an array of one event is taken as that event."""
    noise = [{"type": "ka"}, {"type": "news"}, {"type": "data", "id": "other", "event": "{}"}]
    script = {
        "connection_init": [{"type": "ka"}, ACK],
        "subscribe": [CONFIRMED, *noise, data('{"n":1}'), data(['{"n":2}'])],
    }
    client = join(scripted(script))
    wait_for(lambda: len(client.listener.events) == 2)
    assert ['{"n":1}', '{"n":2}'] == client.listener.events
    assert [] == client.listener.refusals


def test_confirmation_is_told_before_the_events_that_follow_it(scripted, join):
    """What comes in the same bytes as the confirmation is owed already."""
    script = {"connection_init": [ACK], "subscribe": [data('{"n":0}'), CONFIRMED, data('{"n":1}')]}
    client = join(scripted(script))
    wait_for(lambda: len(client.listener.events) == 2)
    assert 1 == client.listener.confirmed_before


def test_error_of_the_service_is_told_to_the_listener(scripted, join):
    """An error that belongs to no operation is reported and the connection kept."""
    trouble = {"type": "error", "errors": [{"errorType": "Unsupported", "message": "what?"}]}
    client = join(scripted({"connection_init": [ACK], "subscribe": [CONFIRMED, trouble]}))
    wait_for(lambda: client.listener.refusals)
    assert client.open
    assert [("receive", "Unsupported", "what?")] == client.listener.refusals


@pytest.mark.parametrize(
    ("failed", "outcomes"),
    [
        ([{"index": 3, "code": "Rude", "message": "no"}], {3: "refused"}),
        (
            [{"index": 1, "code": "Rude"}, {"index": 4, "code": "LimitExceededError"}],
            {1: "refused", 4: "throttled"},
        ),
        ([{"code": "Rude"}], {-1: "refused"}),
        ("Rude", {-1: "refused"}),
    ],
)
def test_partial_answer_names_the_refused_events(failed, outcomes, scripted, join):
    """By their index; one without an index has a place that no event has."""
    answer = {"type": "publish_success", "id": "1", "failed": failed, "successful": []}
    script = {"connection_init": [ACK], "subscribe": [CONFIRMED], "publish": [answer]}
    client = join(scripted(script))
    client.publish("1", ROOM, [b"1"] * 5)
    wait_for(lambda: client.listener.answers)
    (found,) = client.listener.answers
    assert (False, outcomes) == (found.accepted, found.outcomes)


def test_confirmation_of_another_subscription_confirms_no_join(scripted, join):
    """Nor does a second confirmation of the same one."""
    other = {"type": "subscribe_success", "id": "other"}
    first, last = ({"type": "subscribe_success", "id": name} for name in ("s0", "s1"))
    script = InTurn([other, first, first, data('"early"') | {"id": "s0"}], [last])
    client = join(scripted(script), [ROOM, "/default/b"])
    wait_for(lambda: client.listener.events)
    assert (1, 1) == (client.listener.confirmations, client.listener.confirmed_before)


@pytest.mark.parametrize("junk", ["not json", "[]", '{"type":"data","id":"s","event":7}'])
def test_message_that_breaks_the_protocol_is_searched_for_messages(junk, scripted, join):
    """It may hold a delivery, and what follows it is read all the same."""
    script = {"connection_init": [ACK], "subscribe": [CONFIRMED], "publish": [junk, data('"1"')]}
    client = join(scripted(script))
    client.publish("1", ROOM, [b"1"])
    wait_for(lambda: '"1"' in client.listener.events)
    assert [junk, '"1"'] == client.listener.events
    assert [] == client.listener.refusals


@pytest.mark.parametrize("junk", ["not json", "[]"])
def test_message_that_breaks_the_protocol_in_a_join_ends_the_connection(junk, scripted, join):
    """It stands where an answer is waited for."""
    with pytest.raises(JoinError):
        join(scripted({"connection_init": [junk]}))


def test_user_without_channel_joins_without_subscribing(emulated, join):
    """A user that only publishes is confirmed by its connection."""
    assert {"tcp", "upgrade", "init"} == set(join(emulated(), channels=()).listener.times.stages_ns)


def test_client_of_several_channels_gets_each_event_of_each_once(emulated, join):
    """Three rooms on one connection; what is sent to a fourth is not for it."""
    made = emulated()
    rooms = [f"/default/room-{number}" for number in range(3)]
    subscriber, chatter = join(made, rooms), join(made, ())
    for number in range(4):
        chatter.publish(str(number), f"/default/room-{number}", [b'{"in":%d}' % number])
    chatter.publish("end", rooms[0], [b'"end"'])
    wait_for(lambda: '"end"' in subscriber.listener.events)
    assert ['{"in":0}', '{"in":1}', '{"in":2}', '"end"'] == subscriber.listener.events


def test_wildcard_gets_the_events_of_all_channels_once(emulated, join):
    """One subscription stands for every room of the namespace, and for no other namespace."""
    made = emulated()
    everything, chatter = join(made, ["/default/*"]), join(made, ())
    for number, channel in enumerate(("/default/room-0", "/second/room-0", "/default/room-7")):
        chatter.publish(str(number), channel, [b"%d" % number])
    wait_for(lambda: "2" in everything.listener.events)
    assert ["0", "2"] == everything.listener.events


def test_frames_are_alike_for_all_clients_of_a_channel_whatever_else_they_hold(emulated, join):
    """A second client of other rooms recognises the bytes that the first has parsed."""
    made, frame_cache, witness = emulated(), {}, join(emulated(), ())
    heard = [
        join(made, rooms, frame_cache=frame_cache).listener
        for rooms in ([ROOM, "/default/a"], ["/default/b", ROOM])
    ]
    witness.publish("1", ROOM, [b'{"n":1}'])
    wait_for(lambda: all(listener.events or listener.known for listener in heard))
    assert 1 == sum(len(listener.events) for listener in heard)
    assert ['{"n":1}'] == [known for listener in heard for known in listener.known]


class InTurn:
    """A script that acknowledges, and answers one subscription after the other."""

    def __init__(self, *answers):
        self.left = iter(answers)

    def get(self, kind, _):
        return next(self.left) if kind == "subscribe" else [ACK]


def test_join_is_confirmed_by_the_last_of_several_subscriptions(scripted, join):
    """What comes between two confirmations is not owed yet."""
    confirmed = [{"type": "subscribe_success", "id": name} for name in ("s0", "s1")]
    early = {"type": "data", "id": "s0", "event": '"early"'}
    script = InTurn([confirmed[0], early], [confirmed[1], data('"late"') | {"id": "s1"}])
    client = join(scripted(script), [ROOM, "/default/b"])
    wait_for(lambda: len(client.listener.events) == 2)
    assert 1 == client.listener.confirmed_before


def test_one_refused_subscription_of_several_fails_the_join(scripted, join):
    """The user is not half in."""
    refusal = {
        "type": "subscribe_error",
        "id": "s1",
        "errors": [{"errorType": "MaxSubscriptionsReachedError", "message": "too many"}],
    }
    script = InTurn([{"type": "subscribe_success", "id": "s0"}], [refusal])
    assert ("subscribe", "MaxSubscriptionsReachedError") == refusal_of(
        join, scripted(script), [ROOM, "/default/b"]
    )


@pytest.mark.parametrize(
    ("status", "body", "code", "throttled"),
    [
        (502, b"<html>bad gateway</html>", "HTTP 502", False),
        (200, b"not json", "protocol_error", False),
        (200, b'{"ok":true}', "protocol_error", False),
        (200, b'{"errors":["no"]}', "HTTP 200", False),
        (429, b'{"errors":[{"errorType":"LimitExceededError"}]}', "LimitExceededError", True),
        (429, b"slow down", "HTTP 429", True),
    ],
)
def test_http_answers_of_all_kinds_become_publish_answers(status, body, code, throttled):
    """Status and words of a proxy or a throttle are kept apart and kept."""
    with answering_posts(lambda *_: (status, body)) as port:
        made = api("ws://127.0.0.1:9/event/realtime", f"http://{HOST}:{port}/event")
        answer = made.publish_over_http("1", ROOM, [b"1"])
        made.close()
    assert (False, code, throttled) == (answer.accepted, answer.code, answer.throttled)


@pytest.mark.parametrize("further", [{}, {"errors": ["no room"]}, {"errors": []}])
def test_publish_error_without_readable_errors_is_a_refusal(further, scripted, join):
    """The type alone says so; the body is the message."""
    answer = {"type": "publish_error", "id": "1", **further}
    script = {"connection_init": [ACK], "subscribe": [CONFIRMED], "publish": [answer]}
    client = join(scripted(script))
    client.publish("1", ROOM, [b"1"])
    wait_for(lambda: client.listener.answers)
    (found,) = client.listener.answers
    assert not found.accepted
    if not further.get("errors"):
        assert ("publish_error", json.dumps(answer)) == (found.code, found.message)


def test_header_that_cannot_be_sent_is_refused_before_any_join(monkeypatch):
    """As the worker starts."""
    monkeypatch.setenv("SECRET", "gr\u00fcn")
    options = ClientOptions(headers_env={"X-Secret": "SECRET"})
    access = Access("ws://127.0.0.1:9/r", "http://127.0.0.1:9/event", "k", options=options)
    with pytest.raises(ScenarioError, match="X-Secret"):
        AppSyncEventsApi(access)
