"""Our client against an independent server made of the ``websockets`` library."""

import contextlib
import json
import queue
import threading
import time
from http import HTTPStatus

import pytest

from harness.core.clock import NS_PER_S
from harness.core.message_token import MessageToken, MessageWriter
from harness.net.client import Access, JoinError
from harness.systems.api_gateway_websocket.client import ApiGatewayWebSocketApi
from harness.systems.api_gateway_websocket.options import ClientOptions
from tests.support.listeners import Listener, refusal_of, wait_for
from tests.support.servers import serving_websockets
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"
ROOM = "/default/room-0"
WRITER, TOKEN = MessageWriter("run", '{"text":"{message}"}'), MessageToken(0, 0, 1, 2)
EVENT = WRITER.write(TOKEN, 200)
ERROR = {"message": "Internal server error", "connectionId": "abc=", "requestId": "r-1"}


class Server:
    """A backend that keeps what it hears, and refuses or answers frames as the test says."""

    def __init__(self, on_text=None, refuse=None):
        self.heard = queue.Queue()
        self.requests = []
        self.connections = []
        self._on_text = on_text or (lambda connection, body: connection.send(json.dumps(body)))
        self._refuse = refuse

    def request(self, connection, request):
        self.requests.append(request)
        if self._refuse is not None:
            return connection.respond(HTTPStatus(self._refuse), '{"message":"no","requestId":"1"}')
        return None

    def serve(self, connection):
        self.connections.append(connection)
        for text in connection:
            body = json.loads(text)
            self.heard.put(body)
            self._on_text(connection, body)


@pytest.fixture
def served():
    """Start servers; they end with the test."""
    with contextlib.ExitStack() as started:

        def start(*arguments, **named):
            server = Server(*arguments, **named)
            server.port = started.enter_context(
                serving_websockets(server.serve, process_request=server.request, max_size=None)
            )
            return server

        yield start


@pytest.fixture
def joined():
    """Make clients that join; they let go of their sockets after the test."""
    with contextlib.ExitStack() as made:

        def make(server, *, frame_cache=None, key="", **options):
            address = f"ws://{HOST}:{server.port}/production?v=1"
            access = Access(address, "http://unused", key, options=ClientOptions(**options))
            frames = {} if frame_cache is None else frame_cache
            client = ApiGatewayWebSocketApi(access).client([ROOM], frames, Listener())
            made.callback(client.drop)
            client.listener.times = client.join(time.monotonic() + PATIENCE_S)
            return client

        yield make


def take(heard):
    """Return what a server heard next, while our loop runs."""
    wait_for(lambda: not heard.empty())
    return heard.get()


def test_join_names_the_channel_and_waits_for_its_answer(served, joined):
    """The stages are those of a join by WebSocket, the last until the route response."""
    server = served()
    client = joined(server)
    times = client.listener.times
    frame = take(server.heard)
    assert ("join", ROOM) == (frame["action"], frame["channel"])
    assert ["tcp", "upgrade", "subscribe"] == list(times.stages_ns)
    assert times.confirmed_ns == client.listener.confirmed_ns > times.start_ns
    assert "/production?v=1" == server.requests[0].path


def test_action_names_and_keys_are_the_targets(served, joined):
    """Whatever the backend calls them; without a join action the upgrade is the join."""
    server = served(lambda *_: None)
    client = joined(
        server,
        action_key="do",
        join_action="",
        publish_action="say",
        channel_key="room",
        data_key="text",
        id_key="nr",
    )
    assert client.listener.confirmed_ns
    client.publish("7", ROOM, [EVENT])
    assert {"do": "say", "room": ROOM, "nr": "7", "text": json.loads(EVENT)} == take(server.heard)


@pytest.mark.parametrize(
    ("options", "found"),
    [({}, "Authorization"), ({"key_header": "X-Key"}, "X-Key"), ({"key_query": "token"}, None)],
)
def test_key_is_sent_where_the_authorizer_reads_it(served, joined, options, found):
    """In a header, or in the query, encoded."""
    server = served()
    joined(server, key="a key/1", **options)
    (request,) = server.requests
    if found:
        assert "a key/1" == request.headers[found]
    else:
        assert "/production?v=1&token=a%20key%2F1" == request.path


def test_too_many_connects_are_told_apart(served, joined):
    """429 at the upgrade, the service's answer beyond 500 connections a second."""
    server = served(refuse=429)
    with pytest.raises(JoinError) as refused:
        joined(server)
    error = refused.value
    assert ("upgrade", "429", "no") == (error.stage, error.code, error.message)


def test_join_answered_with_an_error_frame_fails(served, joined):
    """Its words are the code."""
    server = served(lambda connection, _: connection.send(json.dumps(ERROR)))
    assert ("subscribe", "Internal server error") == refusal_of(joined, server)


def test_frame_that_no_route_takes_says_where_to_look(served, joined):
    """The service only says "Forbidden", which sounds like a matter of keys."""
    forbidden = ERROR | {"message": "Forbidden"}
    server = served(lambda connection, _: connection.send(json.dumps(forbidden)))
    with pytest.raises(JoinError) as refused:
        joined(server)
    assert "Forbidden" == refused.value.code
    assert "see action_key and the actions in [client]" in refused.value.message


def test_publish_is_acknowledged_by_its_route_response(served, joined):
    """By its id, in whatever order the functions behind the route return."""
    waiting = []

    def backend(connection, body):
        if body["action"] == "join":
            connection.send(json.dumps(body))
            return
        waiting.append(body["id"])
        if len(waiting) == 2:
            for name in reversed(waiting):
                connection.send(json.dumps({"id": name}))

    client = joined(served(backend))
    for name in ("1", "2"):
        client.publish(name, ROOM, [EVENT])
    wait_for(lambda: len(client.listener.answers) == 2)
    answers = [(answer.publish_id, answer.accepted) for answer in client.listener.answers]
    assert [("2", True), ("1", True)] == answers


@pytest.mark.parametrize(
    ("message", "refused", "throttled"),
    [("Internal server error", "5", False), ("Too Many Requests", "6", True)],
)
def test_error_frame_refuses_the_likeliest_publish(served, joined, message, refused, throttled):
    """It names none: what a function failed at is the oldest, what was refused at once the newest.

    The other one is still answered by its id, and an error that answers nothing is reported.
    """

    def backend(connection, body):
        if body.get("id") == "5":
            return
        answer = body if body["action"] == "join" else ERROR | {"message": message}
        connection.send(json.dumps(answer))

    server = served(backend)
    client = joined(server)
    listener = client.listener
    for name in ("5", "6"):
        client.publish(name, ROOM, [EVENT])
    wait_for(lambda: listener.answers)
    (answer,) = listener.answers
    told = (answer.publish_id, answer.accepted, answer.throttled, answer.code)
    assert (refused, False, throttled, message) == told
    (other,) = {"5", "6"} - {refused}
    server.connections[0].send(json.dumps({"id": other}))
    wait_for(lambda: len(listener.answers) == 2)
    assert (other, True) == (listener.answers[1].publish_id, listener.answers[1].accepted)
    server.connections[0].send(json.dumps(ERROR))
    wait_for(lambda: listener.refusals)
    assert ["Internal server error"] == [code for _, code in listener.refused_at]


def test_without_route_responses_a_publish_is_acknowledged_when_sent(served, joined):
    """Nothing else will ever be said about it, nor about the join."""
    server = served(lambda *_: None)
    client = joined(server, route_responses=False)
    client.publish("1", ROOM, [EVENT, EVENT])
    (answer,) = client.listener.answers
    assert ("1", True) == (answer.publish_id, answer.accepted)
    take(server.heard)
    assert json.loads(EVENT) == take(server.heard)["data"] == take(server.heard)["data"]


def test_batch_is_acknowledged_when_each_frame_is(served, joined):
    """Each event is a frame of its own."""
    server = served()
    client = joined(server)
    client.publish("1", ROOM, [EVENT] * 3)
    wait_for(lambda: client.listener.answers)
    assert [True] == [answer.accepted for answer in client.listener.answers]
    assert 4 == server.heard.qsize()


@pytest.mark.parametrize(
    "message",
    [
        EVENT.decode(),
        json.dumps({"detail": {"body": json.loads(EVENT)}}),
        json.dumps({"text": EVENT.decode()}),
        f"data: {EVENT.decode()}",
        b"\x0a\xff" + EVENT + b"\0",
    ],
)
def test_frame_with_a_message_is_a_delivery_and_equal_bytes_are_recognised(served, joined, message):
    """JSON, text or binary; the second subscriber's copy costs a look-up."""
    server, frame_cache, listeners = served(), {}, []
    for place in range(2):
        client = joined(server, frame_cache=frame_cache)
        listeners.append(listener := client.listener)
        server.connections[place].send(message)
        wait_for(lambda listener=listener: listener.events or listener.known)
    assert 1 == len(listeners[0].events)
    assert ([], 1) == (listeners[1].events, len(listeners[1].known))


def test_frame_with_a_message_is_an_answer_where_it_has_the_id_of_a_publish(served, joined):
    """A backend may repeat what it got; the next frame of that id is a delivery."""
    server = served()
    client = joined(server)
    client.publish("1", ROOM, [EVENT])
    wait_for(lambda: client.listener.answers)
    assert [] == client.listener.events
    server.connections[0].send(json.dumps({"id": "1", "data": json.loads(EVENT)}))
    wait_for(lambda: client.listener.events)


def answer_joins(connection, body):
    """Answer joins and nothing else."""
    if body["action"] == "join":
        connection.send(json.dumps(body))


def test_answer_that_others_were_delivered_before_is_an_answer(served, joined):
    """A backend may send the frame to all, its sender last; another of that id is a delivery."""
    server = served(answer_joins)
    frame_cache = {}
    sender, other = (joined(server, frame_cache=frame_cache) for _ in range(2))
    sender.publish("1", ROOM, [EVENT])
    for _ in range(2):
        take(server.heard)
    frame = json.dumps(take(server.heard))
    for place in (1, 0):
        server.connections[place].send(frame)
        wait_for(lambda: other.listener.events)
    wait_for(lambda: sender.listener.answers)
    assert [] == sender.listener.heard
    assert not sender.awaits_answer
    server.connections[0].send(frame)
    wait_for(lambda: sender.listener.known)


def test_delivery_while_a_publish_is_not_answered_is_recognised(served, joined):
    """It costs a look at its id; what it holds is not searched again."""
    server = served(answer_joins)
    frame_cache = {}
    sender, other = (joined(server, frame_cache=frame_cache) for _ in range(2))
    server.connections[1].send(EVENT.decode())
    wait_for(lambda: other.listener.events)
    sender.publish("1", ROOM, [b"a"])
    for _ in range(2):
        server.connections[0].send(EVENT.decode())
    wait_for(lambda: len(sender.listener.known) == 2)
    assert [] == sender.listener.events


def test_text_that_is_no_json_answers_where_the_target_says_so(served, joined):
    """The route response of AWS's sample is "Data sent."; nothing of it ends the connection."""
    server = served(lambda connection, _: connection.send("Data sent."))
    client = joined(server, join_answer="Data sent.", publish_answer="Data sent.")
    client.publish("1", ROOM, [b"a chat text"])
    wait_for(lambda: client.listener.answers)
    assert [] == client.listener.events
    server.connections[0].send("Connected.")
    wait_for(lambda: client.listener.events)
    assert (["Connected."], True) == (client.listener.events, client.open)
    take(server.heard)
    assert "a chat text" == take(server.heard)["data"]


def test_message_above_32_kb_goes_in_several_frames(served, joined):
    """The service closes connections on longer frames."""
    lengths = []

    def backend(connection, body):
        connection.send(json.dumps({"id": body.get("id")}))

    server = served(backend)
    client = joined(server)
    protocol = server.connections[0].protocol
    receive = protocol.recv_frame

    def note(frame):
        lengths.append(len(frame.data))
        receive(frame)

    protocol.recv_frame = note
    event = WRITER.write(TOKEN, 100_000)
    client.publish("1", ROOM, [event])
    take(server.heard)
    assert json.loads(event) == take(server.heard)["data"]
    assert [32_768] * 3 == lengths[:3]
    assert 0 < lengths[3] <= 32_768


@pytest.mark.parametrize("action", ["", "alive"])
def test_sign_of_life_is_sent_in_time(served, joined, action):
    """A ping frame, or a message of the backend's choosing."""
    server = served()
    client = joined(server, keep_alive_s=0.05, keep_alive_action=action)
    take(server.heard)
    if action:
        assert {"action": "alive"} == take(server.heard)
        return
    before_ns = client.heard_ns
    wait_for(lambda: client.heard_ns > before_ns)  # The library's server answers with a pong.
    assert server.heard.empty()


def test_cut_is_told_with_its_code(served, joined):
    """As the service does after two hours; the workload's policy decides on the way back."""
    server = served()
    client = joined(server)
    # In a thread: it waits for our answer.
    closing = threading.Thread(target=server.connections[0].close, args=(1001,))
    closing.start()
    wait_for(lambda: client.listener.ends)
    closing.join(PATIENCE_S)
    assert [1001] == [code for code, _, _ in client.listener.ends]
    assert not client.open


def test_publish_over_http_is_refused(served):
    """The service has no such publish: the answer says what to write instead."""
    server = served()
    access = Access(f"ws://{HOST}:{server.port}/", "http://unused", "", options=ClientOptions())
    answer = ApiGatewayWebSocketApi(access).publish_over_http("1", ROOM, [EVENT])
    assert (False, "no_http_publish") == (answer.accepted, answer.code)


def test_frame_that_could_not_be_sent_awaits_no_answer(served, joined, monkeypatch):
    """Or it would take the answer to the next one, where answers repeat no id."""
    client = joined(served())

    def fail(_self, _text):
        raise OSError("full")

    monkeypatch.setattr(type(client), "send_text", fail)
    with pytest.raises(OSError, match="full"):
        client.publish("7", ROOM, [EVENT])
    assert not client._unanswered


@pytest.mark.parametrize(("age_s", "answered"), [(29, "1"), (31, "2")])
def test_answer_without_an_id_is_not_for_a_publish_too_old_to_be_answered(
    served, joined, age_s, answered
):
    """Within the service's 29 s the oldest publish may still be answered, and keeps its place."""
    client = joined(served(lambda *_: None), join_action="", publish_answer="Data sent.")
    client.publish("1", ROOM, [EVENT])
    (oldest, _) = client._unanswered["1"]
    client.publish("2", ROOM, [EVENT])
    (newest, _) = client._unanswered["2"]
    oldest.sent_ns = newest.sent_ns - age_s * NS_PER_S
    client.on_text(b"Data sent.", newest.sent_ns)
    assert [answered] == [answer.publish_id for answer in client.listener.answers]
