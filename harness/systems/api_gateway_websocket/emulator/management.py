"""The ``@connections`` API: post to a connection, ask about it, delete it, in any process.

An id names the process that holds its connection. A call that came to another process goes there
over the bus and its answer comes back; calls of one moment with the same payload share a message.
Source: docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections
and the service model of ``apigatewaymanagementapi`` in botocore, read November 2026.
"""  # noqa: E501 - an address cannot be broken

import asyncio
import base64
import binascii
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from harness.emulation.bus import Parts
from harness.emulation.connection_writer import Batch, Connection
from harness.emulation.counters import OWED
from harness.emulation.deliveries import Frame, Subscription
from harness.emulation.emulated_service import EmulatedService
from harness.emulation.metering import steps_of
from harness.emulation.websocket_frames import text_frames
from harness.systems.api_gateway_websocket import wire
from harness.systems.api_gateway_websocket.emulator.metering import STEP_BYTES
from harness.systems.api_gateway_websocket.options import Options

CALLS, ANSWERS = b"calls", b"answers"
"""First part of messages between processes about calls."""

ID_BYTES = 11
"""With its process and random bytes: 16 characters, the last of them ``=``, as real ids are."""

PATIENCE_S = 2.0
"""A process that does not answer by then has been killed, and its connections with it."""

Answered = Callable[["Reply"], None]


class Reply(NamedTuple):
    """What a call is answered with.

    Attributes:
        body: What a GET returns.
    """

    status: int
    body: Any = None


GONE = Reply(HTTPStatus.GONE)
OK = Reply(HTTPStatus.OK)
NO_CONTENT = Reply(HTTPStatus.NO_CONTENT)
LIMIT_EXCEEDED = Reply(HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(slots=True, eq=False)
class ManagedConnection:
    """One connection as the API knows it.

    Attributes:
        close: Closes it from the server's side.
        touch: Called when something was sent to it.
        subscription: What faults and counts know its deliveries by, once it may get any.
        connected_s: When it came, Unix time.
        active_s: When it last sent something or was sent something, Unix time.
    """

    id: str
    connection: Connection
    source_ip: str
    user_agent: str
    close: Callable[[], None]
    touch: Callable[[], None] = lambda: None
    subscription: Subscription | None = None
    connected_s: float = field(default_factory=time.time)
    active_s: float = field(default_factory=time.time)


class Management:
    """The API as one process offers it; made inside the running event loop."""

    def __init__(self, service: EmulatedService[Options]) -> None:
        self._context = service.worker_context
        self._index = self._context.index
        self._writer = service.writer
        self._deliveries = service.deliveries
        self._bus = service.bus
        self._scheduler = service.scheduler
        self._connections: dict[str, ManagedConnection] = {}
        self._numbers = itertools.count()
        self._asked: dict[int, Answered] = {}
        self._outgoing: dict[tuple[int, str, bytes, int], list[tuple[int, str]]] = {}
        self._event_numbers = self._context.numbers()
        self._frame = (b"", Batch(b""))

    def number_event(self) -> int:
        """Number a message, so that faults can name it in every process."""
        return next(self._event_numbers)

    def reset(self) -> None:
        """Number messages from the beginning again."""
        self._event_numbers = self._context.numbers()

    def add(self, connection: Connection, source_ip: str, user_agent: str) -> ManagedConnection:
        """Return a new connection of this process, under an id of its own."""
        random = os.urandom(ID_BYTES - 1)
        name = base64.urlsafe_b64encode(bytes([self._index]) + random).decode()
        close = connection.transport.close
        managed = ManagedConnection(name, connection, source_ip, user_agent, close)
        self._connections[name] = managed
        return managed

    def remove(self, managed: ManagedConnection) -> None:
        """Forget a connection that has gone."""
        del self._connections[managed.id]
        self.unsubscribe(managed)

    def subscribe(self, managed: ManagedConnection) -> Subscription:
        """Return what a connection gets deliveries as; made the first time."""
        if managed.subscription is None:
            managed.subscription = self._deliveries.subscribe(managed.connection)
        return managed.subscription

    def unsubscribe(self, managed: ManagedConnection) -> None:
        """Let a connection count as subscribed no more; what is on its way still leaves."""
        if managed.subscription is not None:
            self._deliveries.unsubscribe(managed.subscription)
            managed.subscription = None

    def owner_of(self, connection_id: str) -> int | None:
        """Return the process a connection is in; None where nothing could be called so."""
        try:
            decoded = base64.b64decode(connection_id, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        return decoded[0] if len(decoded) == ID_BYTES else None

    def call(
        self, method: str, connection_id: str, answered: Answered, data: bytes = b"", event: int = 0
    ) -> None:
        """Serve a call that the throttle has let through.

        Args:
            method: POST, GET or DELETE.
            connection_id: Whom it is about.
            answered: Called with the answer, at once where the connection is in this process.
            data: What is posted.
            event: Number of the message that is posted, from ``number_event``.
        """
        owner = self.owner_of(connection_id)
        if owner is None:
            answered(Reply(HTTPStatus.BAD_REQUEST, f"Invalid connectionId: {connection_id}"))
        elif owner == self._index:
            answered(self._serve(method, connection_id, data, event))
        elif owner >= self._context.processes:
            answered(GONE)
        else:
            self._pass_on(owner, method, connection_id, answered, data, event)

    def _serve(self, method: str, connection_id: str, data: bytes, event: int) -> Reply:
        managed = self._connections.get(connection_id)
        if managed is None or not self._writer.is_listening(managed.connection):
            return GONE
        if method == "POST":
            return self._post(managed, data, event)
        if method == "DELETE":
            managed.close()
            return NO_CONTENT
        return Reply(HTTPStatus.OK, _description(managed))

    def _post(self, managed: ManagedConnection, data: bytes, event: int) -> Reply:
        connection, subscription = managed.connection, self.subscribe(managed)
        if connection.transport.get_write_buffer_size() > self._writer.buffer_limit_bytes:
            return LIMIT_EXCEEDED  # "The WebSocket client side buffer is full."
        batch = self._batch(data)
        if self._deliveries.all_pass((event,), 1, batch.steps):
            self._deliveries.counters.add(OWED)
            connection.deliver(batch)
        else:
            frame = Frame(event, batch, orjson.dumps(data.decode("utf-8", "replace")))
            self._deliveries.send(subscription, [frame], time.monotonic())
        managed.active_s = time.time()
        managed.touch()
        return OK

    def _batch(self, data: bytes) -> Batch:
        """Return what is posted as a frame; one message goes to many, so the last one is kept."""
        if self._frame[0] != data:
            frames = text_frames(data, wire.FRAME_BYTES)
            self._frame = data, Batch(frames, deliveries=1, steps=steps_of(len(data), STEP_BYTES))
        return self._frame[1]

    def _pass_on(
        self,
        owner: int,
        method: str,
        connection_id: str,
        answered: Answered,
        data: bytes,
        event: int,
    ) -> None:
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        number = next(self._numbers)
        self._asked[number] = answered
        calls = self._outgoing.setdefault((owner, method, data, event), [])
        calls.append((number, connection_id))

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, {}
        for (owner, method, data, event), calls in outgoing.items():
            head = {"to": owner, "from": self._index, "method": method, "event": event}
            self._bus.publish([CALLS, orjson.dumps({**head, "calls": calls}), data])
            numbers = [number for number, _ in calls]
            self._scheduler.at(time.monotonic() + PATIENCE_S, partial(self._drop, numbers))

    def _drop(self, numbers: list[int]) -> None:
        for number in numbers:
            if answered := self._asked.pop(number, None):
                answered(GONE)

    def receive(self, parts: Parts) -> None:
        """Take a message that begins with ``CALLS`` or ``ANSWERS``."""
        message = orjson.loads(parts[1])
        if message["to"] != self._index:
            return
        if parts[0] == CALLS:
            method, event = message["method"], message["event"]
            answers = [
                (number, *self._serve(method, connection_id, parts[2], event))
                for number, connection_id in message["calls"]
            ]
            self._bus.publish([ANSWERS, orjson.dumps({"to": message["from"], "answers": answers})])
            return
        for number, status, body in message["answers"]:
            if answered := self._asked.pop(number, None):
                answered(Reply(status, body))


def _description(managed: ManagedConnection) -> dict[str, Any]:
    identity = {"sourceIp": managed.source_ip, "userAgent": managed.user_agent}
    return {
        "connectedAt": _iso(managed.connected_s),
        "identity": identity,
        "lastActiveAt": _iso(managed.active_s),
    }


def _iso(unix_s: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))
    return f"{whole}.{int(unix_s % 1 * 1000):03}Z"
