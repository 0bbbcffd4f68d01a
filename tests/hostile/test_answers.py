"""Frames that look like answers: only what names its request is one."""

import contextlib
import json
import time

import gevent
import pytest

from harness.net.client import Access, JoinError
from harness.systems.api_gateway_websocket.client import ApiGatewayWebSocketApi
from harness.systems.api_gateway_websocket.options import ClientOptions
from tests.support.listeners import Listener, wait_for
from tests.support.servers import serving_websockets
from tests.support.waiting import PATIENCE_S

ROOM = "/default/room-0"
NOISE = [
    json.dumps({"presence": 3}),
    json.dumps({"error": "not allowed"}),
    json.dumps({"id": "another", "ok": True}),
    json.dumps({"message": "moved", "connectionId": "c", "requestId": "r", "more": 1}),
    json.dumps([1, 2]),
    "Data sent.",
    "",
]
"""What no request is named in."""
SHORT_S = 5.0
"""For joins that are to fail in time, but not before they have begun."""


class Backend:
    """Answers each frame with what a script of the test returns, and counts what it does."""

    def __init__(self, script):
        self._script = script
        self.connections, self.frames, self.sent = [], [], 0

    def serve(self, connection):
        self.connections.append(connection)
        for text in connection:
            self.frames.append(json.loads(text))
            self.send(connection, self._script(self.frames[-1]))

    def send(self, connection, frames):
        for frame in frames:
            self.sent += 1  # Before, because the client may look as soon as it has the frame.
            connection.send(frame if isinstance(frame, str) else json.dumps(frame))

    def push(self, frames):
        """Send to the first connection."""
        self.send(self.connections[0], frames)


@pytest.fixture
def backed():
    """Start a backend, and return it with a client of it that has not joined."""
    with contextlib.ExitStack() as started:

        def start(script, **options):
            backend = Backend(script)
            port = started.enter_context(serving_websockets(backend.serve))
            access = Access(
                f"ws://127.0.0.1:{port}/", "http://unused", "", options=ClientOptions(**options)
            )
            client = ApiGatewayWebSocketApi(access).client([ROOM], {}, Listener())
            started.callback(client.drop)
            return backend, client

        yield start


def join(client, patience_s=PATIENCE_S):
    """Join in this greenlet."""
    return client.join(time.monotonic() + patience_s)


def repeats_id(frame):
    """Answer as the emulator does."""
    return [{"id": frame["id"]}]


def outcomes(client, count):
    """Wait for answers to publishes, and return the id, the verdict and the code of each."""
    wait_for(lambda: len(client.listener.answers) == count)
    return [(each.publish_id, each.accepted, each.code) for each in client.listener.answers]


def test_frames_that_name_no_request_confirm_no_join(backed):
    """The join fails in time, and says what came and which keys to look at."""
    backend, client = backed(lambda _: NOISE)
    with pytest.raises(JoinError) as caught:
        join(client, SHORT_S)
    assert ("subscribe", "timeout") == (caught.value.stage, caught.value.code)
    for named in ("id_key", "join_answer", "presence", "not allowed"):
        assert named in caught.value.message
    assert 0 == client.listener.confirmations
    assert len(NOISE) == backend.sent


def test_silence_names_the_key_for_routes_without_responses(backed):
    """Nothing came that could be shown."""
    _, client = backed(lambda _: [])
    with pytest.raises(JoinError, match="route_responses = false"):
        join(client, SHORT_S)


def test_answer_behind_other_frames_confirms_the_join(backed):
    """What comes before it is foreign, and so is a second answer."""
    backend, client = backed(lambda frame: [*NOISE, *repeats_id(frame)])
    join(client)
    assert 1 == client.listener.confirmations
    backend.push([{"id": backend.frames[0]["id"]}])
    wait_for(lambda: len(client.listener.events) > len(NOISE))
    assert NOISE == client.listener.events[:-1]


def test_frames_that_name_no_request_acknowledge_no_publish(backed):
    """Only the second publish is answered, by its id."""

    def script(frame):
        return repeats_id(frame) if frame["action"] == "join" or frame["id"] == "2" else NOISE

    backend, client = backed(script)
    join(client)
    client.publish("1", ROOM, [b"a"])
    client.publish("2", ROOM, [b"b"])
    assert [("2", True, "")] == outcomes(client, 1)
    assert (3, 2 + len(NOISE)) == (len(backend.frames), backend.sent)
    assert NOISE == client.listener.events


@pytest.mark.parametrize(
    ("options", "joined", "sent"),
    [
        (
            {"join_answer": {"event": "joined"}, "publish_answer": {"data.ok": True}},
            {"event": "joined", "room": 1},
            {"data": {"ok": 1}},
        ),
        ({"join_answer": "Joined.", "publish_answer": "Data sent."}, "Joined.", "Data sent."),
    ],
    ids=["values", "texts"],
)
def test_answers_that_the_target_describes_are_taken_in_order(backed, options, joined, sent):
    """Frames without the described values stay foreign."""
    noise = [json.dumps({"presence": 3}), "Connected.", json.dumps({"event": "left"})]

    def script(frame):
        return [*noise, joined if frame["action"] == "join" else sent]

    backend, client = backed(script, **options)
    join(client)
    client.publish("1", ROOM, [b"a"])
    client.publish("2", ROOM, [b"b"])
    assert [("1", True, ""), ("2", True, "")] == outcomes(client, 2)
    assert 3 * noise == client.listener.heard
    assert 12 == backend.sent


def test_answer_with_an_error_refuses_the_join(backed):
    """It names the join, and the key that speaks against it."""
    _, client = backed(lambda frame: [{"id": frame["id"], "error": "not allowed"}])
    with pytest.raises(JoinError) as caught:
        join(client)
    assert ("reject.error", "not allowed") == (caught.value.code, caught.value.message)


@pytest.mark.parametrize(
    ("answer", "options", "code"),
    [
        ({"errors": [{"message": "no"}]}, {}, "reject.errors"),
        ({"error": "no"}, {}, "reject.error"),
        ({"errors": [], "error": None}, {}, ""),
        ({"status": "failed"}, {"reject": {"status": "failed"}}, "reject.status"),
        ({"result": {"ok": False}}, {"reject": {"result.ok": False}}, "reject.result.ok"),
        ({"result": {"ok": 0}}, {"reject": {"result.ok": False}}, ""),
        ({"error": "no"}, {"reject": {}}, ""),
    ],
)
def test_answer_to_a_publish_is_refused_by_rule(backed, answer, options, code):
    """An answer in JSON that holds an error is no acknowledgement."""

    def script(frame):
        return [{"id": frame["id"]} | (answer if frame["action"] != "join" else {})]

    _, client = backed(script, **options)
    join(client)
    client.publish("1", ROOM, [b"a"])
    assert [("1", not code, code)] == outcomes(client, 1)


def test_event_of_a_batch_that_is_refused_leaves_the_others_acknowledged(backed):
    """Each frame has an id, and the answer to the publish says which events failed."""
    sent = []

    def script(frame):
        if frame["action"] == "join":
            return repeats_id(frame)
        sent.append(frame["id"])
        failed = {"error": "too rude"} if frame["data"] == "3" else {}
        return [{"id": frame["id"]} | failed]

    _, client = backed(script)
    join(client)
    client.publish("7", ROOM, [b'"%d"' % place for place in range(5)])
    assert [("7", False, "reject.error")] == outcomes(client, 1)
    assert {3: "refused"} == client.listener.answers[0].outcomes
    assert 5 == len(set(sent))


def test_late_answer_to_a_publish_that_an_error_was_taken_for_is_ignored(backed):
    """The service's error names no request: an answer may come all the same."""
    error = {"message": "Internal server error", "connectionId": "c", "requestId": "r"}

    def script(frame):
        return repeats_id(frame) if frame["action"] == "join" else [error, *repeats_id(frame)]

    _, client = backed(script)
    join(client)
    client.publish("1", ROOM, [b"a"])
    assert [("1", False, "Internal server error")] == outcomes(client, 1)
    gevent.sleep(0)
    client.publish("2", ROOM, [b"a"])
    assert 2 == len(outcomes(client, 2))
    assert [] == client.listener.events
