"""``python -m benchmarks.hostile_hub [--good]``: a hub, hostile to every twentieth connection.

It fans each message out to all connections of its room: over WebSocket in the way of API Gateway
(``/``), or as server-sent events (``/sub/ROOM``, published to ``/pub/ROOM``). Every twentieth
listener meets one kind of hostility, in turn, from the first message on.

Prints its port, serves until its standard input ends, and then prints as JSON what it sent to each
listener, by kind.
"""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import json
import os
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from itertools import cycle

EVERY = 20
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MESSAGE = re.compile(rb"7zqw[0-9a-z]{58}x*w7qz")
SHORT = 125
"""Longest payload whose length stands in the frame's second byte."""
KEY = b"the-key-of-the-hostile-crowd"
"""What every client shows, and what hostile texts repeat, in base64 too."""
TOLD = KEY + b" " + base64.b64encode(b"k:" + KEY)
TEXT, CONTINUATION, CLOSE, PING = 1, 0, 8, 9
GOOD = "good"

INSTEAD: dict[str, Callable[[bytes], list[bytes]]] = {
    "malformed": lambda message: [message[:40] + b"! " + TOLD],
    "altered": lambda message: [message[:30] + _another_digit(message[30:31]) + message[31:]],
    "foreign": lambda message: [b"7zqw" + b"0" * (len(message) - 4)],
    "not_utf8": lambda _: [b"\xff\xfe\x80 \x1b[2J " + TOLD],
    "duplicated": lambda message: [message, message],
    "misrouted": lambda message: [message],
}
"""What a listener gets in place of a message; the misrouted ones get those of all rooms."""


def _another_digit(digit: bytes) -> bytes:
    """Return a character that a token may have, so that it is altered and not malformed."""
    return b"1" if digit == b"0" else b"0"


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True) -> bytes:
    """Return a frame as a server sends it."""
    size = len(payload)
    length = bytes((size,)) if size <= SHORT else b"\x7e" + size.to_bytes(2, "big")
    return bytes((opcode | (0x80 if final else 0),)) + length + payload


def chunk(data: bytes) -> bytes:
    """Return data as a chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(payload: bytes) -> bytes:
    """Return a chunk that holds one event."""
    return chunk(b"data: " + payload + b"\n\n")


FRAMES = {
    "one_byte_frames": frame(b"", final=False) + frame(b"x", CONTINUATION, final=False) * 20_000,
    "empty_frames": frame(b"", final=False) + frame(b"", CONTINUATION, final=False) * 20_000,
    "pings": frame(b"p" * 100, PING) * 20_000,
    "oversize": b"\x81\x7f" + (2**40).to_bytes(8, "big"),
    "closed_twice": frame(b"\x03\xe8bye: " + TOLD, CLOSE) * 2 + b"\xff\x00 rubbish" * 9,
    "frame_reset": b"\x81\x7e\x40\x00half a frame",
}
CHUNKS = {
    "endless_line": chunk(b"data: ") + chunk(b"x" * 1000) * 5000,
    "comments": chunk(b":\n" * 2000) * 10,
    "chunk_size": b"f " + TOLD + b"\r\n",
    "gzip_bomb": chunk(gzip.compress(b"x" * 30_000_000)),
    "ended_twice": b"0\r\n\r\n" + b"\xff\x00 rubbish" * 9,
    "chunk_reset": b"4000\r\nhalf a chunk",
}
ONCE = FRAMES | CHUNKS
"""What comes once, in place of the first message."""

SOCKET_HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n\r\n"
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%sTransfer-Encoding: chunked\r\n\r\n"
)


class Listener:
    """A connection that gets messages, and what was sent to it by kind."""

    def __init__(self, writer: asyncio.StreamWriter, room: str, kind: str) -> None:
        self.writer, self.room, self.kind = writer, room, kind
        self.sent: Counter[str] = Counter()

    def tell(self, message: bytes, room: str, wrap: Callable[[bytes], bytes]) -> None:
        """Send a message of a room, or what this listener gets in its place."""
        if room != self.room and self.kind != "misrouted":
            return
        if self.kind in ONCE:
            self._offend()
        elif self.kind == GOOD or (self.kind == "misrouted" and room == self.room):
            self.writer.write(wrap(message))
            self.sent[GOOD] += 1
        else:
            self.writer.write(b"".join(map(wrap, INSTEAD[self.kind](message))))
            self.sent[self.kind] += 1
            self.sent[GOOD] += self.kind == "duplicated"

    def _offend(self) -> None:
        if self.sent:
            return
        self.sent[self.kind] += 1
        self.writer.write(ONCE[self.kind])
        if "reset" in self.kind:
            asyncio.get_running_loop().call_later(0.2, self._reset)

    def _reset(self) -> None:
        with contextlib.suppress(OSError):
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Hub:
    """Everything that one process serves.

    Args:
        is_hostile: Whether every twentieth listener meets something.
    """

    def __init__(self, *, is_hostile: bool) -> None:
        self._is_hostile = is_hostile
        self._listeners: list[Listener] = []
        self._kinds = {True: cycle([*INSTEAD, *FRAMES]), False: cycle([*INSTEAD, *CHUNKS])}

    def add(self, writer: asyncio.StreamWriter, room: str, *, is_socket: bool) -> Listener:
        """Let a connection listen to a room."""
        is_met = self._is_hostile and len(self._listeners) % EVERY == EVERY - 1
        kind = next(self._kinds[is_socket]) if is_met else GOOD
        listener = Listener(writer, room, kind)
        self._listeners.append(listener)
        return listener

    def publish(self, text: bytes, room: str, wrap: Callable[[bytes], bytes]) -> None:
        """Send the message in a text to everybody."""
        for message in MESSAGE.findall(text):
            for listener in self._listeners:
                listener.tell(message, room, wrap)

    def account(self) -> list[dict[str, object]]:
        """Return kind and counts of each listener."""
        return [{"kind": one.kind, "sent": one.sent} for one in self._listeners]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                headers = dict(
                    line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line
                )
                path = head.split(b" ")[1].decode()
                if b"upgrade" in headers:
                    await self._serve_socket(reader, writer, head)
                elif head.startswith(b"GET"):
                    await self._serve_stream(reader, writer, path.removeprefix("/sub"))
                else:
                    body = await reader.readexactly(int(headers[b"content-length"]))
                    self.publish(body, path.removeprefix("/pub"), event)
                    writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def _serve_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, room: str
    ) -> None:
        listener = self.add(writer, room, is_socket=False)
        coding = b"Content-Encoding: gzip\r\n" if listener.kind == "gzip_bomb" else b""
        writer.write(STREAM_HEAD % coding)
        await reader.read()

    async def _serve_socket(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
    ) -> None:
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
        digest = hashlib.sha1((key[1] if key else b"") + GUID, usedforsecurity=False).digest()
        writer.write(SOCKET_HEAD % base64.b64encode(digest))
        while True:
            request = await read_frame(reader)
            if not request.startswith(b"{"):
                continue
            asked = json.loads(request)
            if asked["action"] == "join":
                listener = self.add(writer, asked["channel"], is_socket=True)
                if listener.kind == "pings":  # And so its answers are never read.
                    await asyncio.Event().wait()
            else:
                self.publish(request, asked["channel"], frame)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the payload of a client's next frame; raises EOFError where it closes."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size > SHORT:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")  # noqa: PLR2004 - marks the shorter of two longer forms
    mask, payload = await reader.readexactly(4), await reader.readexactly(size)
    if first & 0x0F == CLOSE:
        raise ConnectionResetError
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


async def main() -> None:
    """Serve until standard input ends."""
    hub = Hub(is_hostile="--good" not in sys.argv)
    server = await asyncio.start_server(hub.serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(hub.account()), flush=True)
    os._exit(0)  # Connections are still open, and nothing is left to be done for them.


if __name__ == "__main__":
    asyncio.run(main())
