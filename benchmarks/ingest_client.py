"""Publishes to an AppSync Events endpoint at a fixed rate, from bytes made beforehand.

A process of its own that shares nothing with the harness: frames and requests are written by
hand, so that the load costs far less than what it loads. It reads its order from the first line
of stdin and prints its findings as JSON.
"""

import asyncio
import base64
import json
import struct
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from itertools import cycle
from statistics import quantiles
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

MASK = b"\x37\xfa\x21\x3d"
TICK_S = 0.001
READY_WITHIN_S = 20.0
DRAIN_WITHIN_S = 10.0
FRAME_IDS = 8
"""Operation ids a socket takes in turn; an id is long answered when it comes round again."""

_16_BIT, _64_BIT, _MAX_16_BIT = 126, 127, 0xFFFF


@dataclass(frozen=True, slots=True)
class RunAssignment:
    """What to do.

    Attributes:
        http: Address for publishing.
        realtime: Address for WebSockets.
        api_key: Lets in.
        websockets: Sockets that publish.
        http_connections: Connections that publish over HTTP.
        publishes_per_s: From all of them together, in turn.
        batch: Events in a publish.
        event_bytes: Size of an event.
        seconds: For how long.
    """

    http: str
    realtime: str
    api_key: str
    websockets: int
    http_connections: int
    publishes_per_s: float
    batch: int
    event_bytes: int
    seconds: float


@dataclass(slots=True)
class Findings:
    """What came of it; times count from when a publish was due.

    Attributes:
        offered: Events.
        accepted: Events that were answered with success.
        refused: Events that were answered with anything else.
        delivered: Events that reached a subscriber.
        seconds: From the first publish to the last answer.
        cpu_s: CPU time of this process meanwhile.
        latency_ms: From due to answered: p50, p99 and maximum.
        first_refusal: The first answer that was no success.
    """

    offered: int = 0
    accepted: int = 0
    refused: int = 0
    delivered: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    latency_ms: dict[str, float] = field(default_factory=dict)
    first_refusal: str = ""


class Load:
    """The run: who publishes, who listens, and what has come back."""

    def __init__(self, order: RunAssignment) -> None:
        self.order = order
        self.findings = Findings()
        self.latencies_s: list[float] = []
        self.ready = 0
        self.answered = 0
        self.publishers: list[WebSocketPublisher | HttpPublisher] = []

    def answer(self, due_s: float, payload: bytes, *, success: bool) -> None:
        """Note the answer to one publish."""
        self.answered += 1
        self.latencies_s.append(time.perf_counter() - due_s)
        if success:
            self.findings.accepted += self.order.batch
            return
        self.findings.refused += self.order.batch
        self.findings.first_refusal = self.findings.first_refusal or payload[:300].decode()

    async def run(self) -> Findings:
        """Connect all clients, publish for the given time, and wait for events in flight."""
        await self._connect()
        started_s, cpu_s = time.perf_counter(), time.process_time()
        total = round(self.order.publishes_per_s * self.order.seconds)
        senders = cycle(self.publishers)
        for number in range(total):
            due_s = started_s + number / self.order.publishes_per_s
            while time.perf_counter() < due_s:  # noqa: ASYNC110 - time is what it waits for
                await asyncio.sleep(TICK_S)
            next(senders).publish(due_s)
        self.findings.offered = total * self.order.batch
        await self._until(lambda: self.answered >= total, DRAIN_WITHIN_S)
        self.findings.seconds = time.perf_counter() - started_s
        await self._until(lambda: self.findings.delivered >= self.findings.accepted, DRAIN_WITHIN_S)
        self.findings.cpu_s = time.process_time() - cpu_s
        cuts = quantiles(self.latencies_s, n=100)
        percentiles = {"p50": cuts[49], "p99": cuts[98], "max": max(self.latencies_s)}
        self.findings.latency_ms = {name: cut * 1e3 for name, cut in percentiles.items()}
        return self.findings

    async def _connect(self) -> None:
        order = self.order
        websockets = [WebSocketPublisher(self, f"/default/w{i}") for i in range(order.websockets)]
        posts = [HttpPublisher(self, f"/default/h{i}") for i in range(order.http_connections)]
        channels = [f"/default/w{i}" for i in range(len(websockets))]
        channels += [f"/default/h{i}" for i in range(len(posts))]
        for socket in [*websockets, *(Subscriber(self, channel) for channel in channels)]:
            await _open(socket, order.realtime)
        for post in posts:
            await _open(post, order.http)
        expected = 2 * len(channels)  # One publisher and one subscriber on each.
        if not await self._until(lambda: self.ready >= expected, READY_WITHIN_S):
            sys.exit(f"{self.ready} of {expected} connections became ready")
        # In turn, so that both kinds are spread evenly over time.
        for place in range(max(len(websockets), len(posts))):
            self.publishers += websockets[place : place + 1]
            self.publishers += posts[place : place + 1]

    @staticmethod
    async def _until(condition: Any, within_s: float) -> bool:
        deadline_s = time.perf_counter() + within_s
        while not condition():
            if time.perf_counter() > deadline_s:
                return False
            await asyncio.sleep(10 * TICK_S)
        return True


async def _open(protocol: asyncio.Protocol, address: str) -> None:
    """Connect a protocol to the host of a URL."""
    place = urlsplit(address)
    connect = asyncio.get_running_loop().create_connection
    await connect(lambda: protocol, str(place.hostname), place.port or 0)


class WebSocket(asyncio.Protocol):
    """A socket that upgrades and then hands on each message."""

    def __init__(self, load: Load, channel: str) -> None:
        self.load = load
        self.channel = channel
        self.transport = asyncio.Transport()
        self._buffer = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade, with the credentials in a subprotocol."""
        self.transport = cast("asyncio.Transport", transport)
        place = urlsplit(self.load.order.realtime)
        offer = base64.urlsafe_b64encode(json.dumps(self.authorization()).encode()).rstrip(b"=")
        self.transport.write(
            f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Protocol: "
            f"aws-appsync-event-ws, header-{offer.decode()}\r\n\r\n".encode()
        )

    def authorization(self) -> dict[str, str]:
        """Return the credentials as an authorization object."""
        order = self.load.order
        return {"host": urlsplit(order.http).netloc, "x-api-key": order.api_key}

    def data_received(self, data: bytes) -> None:
        """Hand on each whole message."""
        self._buffer = buffer = self._buffer + data if self._buffer else data
        place = 0
        if not self._upgraded:
            head, found, _ = buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                sys.exit(f"no upgrade: {head[:200]!r}")
            self._upgraded = True
            place = len(head) + 4
            self.opened()
        end = len(buffer)
        while place + 2 <= end:
            length, header = buffer[place + 1], 2
            if length == _16_BIT:
                length, header = int.from_bytes(buffer[place + 2 : place + 4], "big"), 4
            elif length == _64_BIT:
                length, header = int.from_bytes(buffer[place + 2 : place + 10], "big"), 10
            if place + header + length > end:
                break
            self.message(buffer[place + header : place + header + length])
            place += header + length
        self._buffer = buffer[place:]

    def opened(self) -> None:
        """Say the first thing."""

    def message(self, payload: bytes) -> None:
        """Take a message."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell: a connection that is lost makes the result worthless."""
        if not self.load.findings.seconds:
            sys.exit(f"a connection was lost: {exc}; {self._buffer[:200]!r}")


class Subscriber(WebSocket):
    """Listens on one channel and counts."""

    def opened(self) -> None:
        """Subscribe."""
        self.transport.write(
            masked(
                {
                    "type": "subscribe",
                    "id": "s",
                    "channel": self.channel,
                    "authorization": self.authorization(),
                }
            )
        )

    def message(self, payload: bytes) -> None:
        """Count a delivery."""
        if payload.startswith(b'{"type":"data"'):
            self.load.findings.delivered += 1
        elif b'"subscribe_success"' in payload:
            self.load.ready += 1
        elif b'"ka"' not in payload:
            sys.exit(f"a subscriber was told {payload[:200]!r}")


class WebSocketPublisher(WebSocket):
    """Publishes to one channel; never waits for an answer."""

    def __init__(self, load: Load, channel: str) -> None:
        super().__init__(load, channel)
        self._due_s: deque[float] = deque()
        body = {"channel": channel, "events": events(load.order)}
        self._frames = cycle(
            masked(
                {
                    "type": "publish",
                    "id": f"p{number}",
                    **body,
                    "authorization": self.authorization(),
                }
            )
            for number in range(FRAME_IDS)
        )

    def opened(self) -> None:
        """Be ready."""
        self.load.ready += 1

    def publish(self, due_s: float) -> None:
        """Publish now what was due then."""
        self._due_s.append(due_s)
        self.transport.write(next(self._frames))

    def message(self, payload: bytes) -> None:
        """Take an answer."""
        if b'"ka"' not in payload[:20]:
            success = payload.startswith(b'{"type":"publish_success"')
            self.load.answer(self._due_s.popleft(), payload, success=success)


class HttpPublisher(asyncio.Protocol):
    """Publishes to one channel, one request after the other on a connection that stays."""

    def __init__(self, load: Load, channel: str) -> None:
        self.load = load
        self.channel = channel
        self._transport = asyncio.Transport()
        self._buffer = b""
        self._waiting: deque[float] = deque()
        self._due_s = 0.0
        order, place = load.order, urlsplit(load.order.http)
        body = json.dumps({"channel": channel, "events": events(order)}).encode()
        self._request = (
            f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nx-api-key: {order.api_key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast("asyncio.Transport", transport)
        self.load.ready += 1

    def publish(self, due_s: float) -> None:
        """Publish now what was due then, or as soon as the last publish has been answered."""
        if self._due_s:
            self._waiting.append(due_s)
            return
        self._due_s = due_s
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, which has a length and comes alone."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not found or len(body) < int(length or 0):
            return
        self._buffer, due_s, self._due_s = b"", self._due_s, 0.0
        self.load.answer(due_s, body, success=head.startswith(b"HTTP/1.1 200 "))
        if self._waiting:
            self.publish(self._waiting.popleft())


def events(order: RunAssignment) -> list[str]:
    """Return the events of a publish: JSON text of the size ordered."""
    shortest = len(json.dumps({"text": ""}))
    return [json.dumps({"text": "x" * (order.event_bytes - shortest)})] * order.batch


def masked(message: Any) -> bytes:
    """Return a message as a client's frame."""
    payload = json.dumps(message).encode()
    length = len(payload)
    if length < _16_BIT:
        header = struct.pack("!BB", 0x81, 0x80 | length)
    elif length <= _MAX_16_BIT:
        header = struct.pack("!BBH", 0x81, 0x80 | _16_BIT, length)
    else:
        header = struct.pack("!BBQ", 0x81, 0x80 | _64_BIT, length)
    mask = (MASK * (length // 4 + 1))[:length]
    hidden = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return header + MASK + hidden.to_bytes(length, "big")


def main() -> None:
    """Do what the order says and print what came of it."""
    order = RunAssignment(**json.loads(sys.stdin.readline()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def run() -> Findings:
            return await Load(order).run()

        print(json.dumps(asdict(runner.run(run()))))


if __name__ == "__main__":
    main()
