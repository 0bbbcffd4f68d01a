"""The polling emulator: one protocol object a connection, one look-up a poll.

Clients at the same place of the same channels send the same bytes, so a request is parsed once and
known from then on. What is not of the service lies below ``/_emulator``.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote

import httptools
import orjson

from harness.core.channels import channels_in, is_wildcard
from harness.emulation.connection_writer import Connection, Transport, end_connection
from harness.emulation.control import Answer, Control, control_answer
from harness.emulation.emulated_service import Protocols
from harness.emulation.faults import ConnectOutcome
from harness.systems.polling import wire
from harness.systems.polling.emulator.polls import Poll, Polls, response, too_many
from harness.systems.polling.emulator.service import Service
from harness.systems.polling.options import Options

MOST_REQUESTS = 10_000
"""Requests that are known by their bytes."""

MAX_REQUEST_BYTES = 1024 * 1024

POLLS = f"GET {wire.POLL_PREFIX}".encode()
CONTROLLER = -1
"""Number of a connection that is none of the clients'."""
CONTROLS = (b"GET /_emulator/", b"POST /_emulator/")
"""Beginnings of requests. Where another system shares the port, only polls stay here."""


class Site:
    """What the connections of one process serve.

    Args:
        other: Makes the protocol that takes over connections that begin with a request that is
            not ours; None where this system has the port to itself.
    """

    def __init__(
        self,
        service: Service,
        control: Control,
        other: Protocols | None = None,
    ) -> None:
        self.service = service
        self.control = control
        self.other = other
        self.polls = Polls(service)
        self.known: dict[bytes, Poll] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def remember(self, request: bytes, poll: Poll) -> None:
        """Recognise these bytes, a whole request, from now on."""
        if len(self.known) >= MOST_REQUESTS:
            self.known.clear()
        self.known[request] = poll


class _Request:
    """One request as parsed."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""


class HttpConnection(asyncio.Protocol):
    """One connection."""

    __slots__ = ("_bytes", "_connection", "_outcome", "_parser", "_request", "_site", "_transport")

    def __init__(self, site: Site) -> None:
        self._site = site
        self._transport: Transport | None = None
        self._connection: Connection | None = None
        self._outcome = ConnectOutcome()
        self._parser: httptools.HttpRequestParser | None = None
        self._request = _Request()
        self._bytes = b""
        """What has come of a request that came in pieces, or that is not known."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the first request decides what happens."""
        self._transport = cast("Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection."""
        self._parser = None
        connection, self._connection = self._connection, None
        if connection is not None and connection in self._site.service.writer.open:
            self._site.service.writer.remove(connection)

    def data_received(self, data: bytes) -> None:
        """Answer a request that is known, or read one that is not."""
        connection = self._connection
        if connection is not None and not self._bytes:
            poll = self._site.known.get(data)
            if poll is not None:
                self._site.polls.answer(poll, connection)
                if poll.closes:
                    connection.transport.close()
                return
        if connection is None and not self._begin(data):
            return
        self._read(data)

    def _begin(self, data: bytes) -> bool:
        """Let faults decide about a new connection; say whether its first request is to be read."""
        site, transport = self._site, self._transport
        if transport is None or transport.is_closing():
            return False
        if site.other is not None and not data.startswith(POLLS):
            other = cast("asyncio.Protocol", site.other())
            cast("asyncio.Transport", transport).set_protocol(other)
            other.connection_made(transport)
            other.data_received(data)
            return False
        if data.startswith(CONTROLS):
            # Not among the clients': the order to cut them must not cut who gave it.
            self._connection = Connection(site.service.writer, transport, CONTROLLER)
            return True
        self._connection = site.service.writer.add(transport)
        self._outcome = site.service.faults.on_connect()
        if self._outcome.refused and self._outcome.status is None:
            end_connection(transport, None)
            return False
        if not (self._outcome.refused or self._outcome.throttled):
            site.service.counters.add("connects.accepted")
        return True

    def _read(self, data: bytes) -> None:
        whole = not self._bytes
        self._bytes += data
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        if len(self._bytes) > MAX_REQUEST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif whole and not self._bytes and data.count(b"\r\n\r\n") == 1:
            poll = _poll_of(self._request, b"GET")
            if poll is not None and data.startswith(POLLS):
                self._site.remember(data, poll)

    def on_message_begin(self) -> None:
        """Begin a request; the parser calls this and those below."""
        self._request = _Request()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path and query."""
        self._request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._request.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._request.body += body

    def on_message_complete(self) -> None:
        """Answer the request, when the connection's outcome lets it."""
        connection, parser, request = self._connection, self._parser, self._request
        self._bytes = b""
        if connection is None or parser is None:
            return
        closes = not parser.should_keep_alive()
        outcome, self._outcome = self._outcome, ConnectOutcome()
        act = partial(self._act, outcome, parser.get_method(), request, connection, closes=closes)
        if outcome.delay_s:
            asyncio.get_running_loop().call_later(outcome.delay_s, act)
        else:
            act()

    def _act(
        self,
        outcome: ConnectOutcome,
        method: bytes,
        request: _Request,
        connection: Connection,
        *,
        closes: bool,
    ) -> None:
        site, service = self._site, self._site.service
        if outcome.refused or outcome.throttled:
            status = outcome.status or HTTPStatus.BAD_GATEWAY
            retry_s = service.options.retry_after_s
            connection.reply(response(status, b"{}") if outcome.refused else too_many(retry_s))
            connection.transport.close()
            return
        poll = _poll_of(request, method)
        if poll is not None:
            site.polls.answer(poll, connection)
        elif method == b"POST" and request.url.startswith(wire.PUBLISH_PREFIX.encode()):
            connection.reply(self._publish(request))
        elif answer := control_answer(
            site.control, method.decode(), _path(request), request.body, _texts(request.headers)
        ):
            task = asyncio.ensure_future(self._reply(answer, connection, closes=closes))
            site.tasks.add(task)
            task.add_done_callback(site.tasks.discard)
            return
        else:
            connection.reply(response(HTTPStatus.NOT_FOUND, b'{"message":"Not Found"}'))
        if closes:
            connection.transport.close()

    def _publish(self, request: _Request) -> bytes:
        service = self._site.service
        if service.faults.on_credentials():
            service.counters.add("publishes.refused.unauthorized")
            return response(HTTPStatus.UNAUTHORIZED, b'{"message":"Unauthorized"}')
        if service.faults.on_publish():
            return too_many(service.options.retry_after_s)
        if service.quota is not None and not service.quota.take():
            service.counters.add("publishes.throttled.quota")
            return too_many(service.options.retry_after_s)
        channel = unquote(_path(request).removeprefix(wire.PUBLISH_PREFIX))
        if is_wildcard(channel):
            return self._bad_publish("A wildcard is for polls only.")
        try:
            orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return self._bad_publish("The body is no JSON.")
        service.counters.add("publishes.accepted")
        service.publish(channel, request.body)
        return response(HTTPStatus.CREATED, b"{}")

    def _bad_publish(self, why: str) -> bytes:
        self._site.service.counters.add("publishes.refused.bad_request")
        return response(HTTPStatus.BAD_REQUEST, orjson.dumps({"message": why}))

    async def _reply(
        self, pending: Awaitable[Answer], connection: Connection, *, closes: bool
    ) -> None:
        answer = await pending
        if not connection.transport.is_closing():
            connection.transport.write(response(answer.status, answer.body))
            if closes:
                connection.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what is no request, and hang up."""
        if self._transport is not None:
            end_connection(self._transport, response(status, b"{}", "Connection: close"))


def _texts(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}


def _path(request: _Request) -> str:
    return request.url.partition(b"?")[0].decode("latin-1")


def _poll_of(request: _Request, method: bytes) -> Poll | None:
    """Return the poll in a request; None where it is another."""
    path, _, query = request.url.decode("latin-1").partition("?")
    if method != b"GET" or not path.startswith(wire.POLL_PREFIX):
        return None
    asked: dict[str, Any] = parse_qs(query)
    headers = request.headers
    return Poll(
        channels_in(path.removeprefix(wire.POLL_PREFIX)),
        asked.get(wire.CURSOR_PARAMETER, [""])[-1],
        headers.get(b"if-none-match", b"").decode("latin-1"),
        closes=headers.get(b"connection", b"").lower() == b"close",
    )


class PollingEmulator(Service):
    """One process of the emulator."""

    HTTP_PATH = wire.PUBLISH_PATH
    REALTIME_PATH = wire.POLL_PATH

    def protocols(self, _application: Protocols) -> Protocols:
        """Return what makes the protocol of each connection: our own, which serves every path."""
        return partial(HttpConnection, Site(self, self.control))

    @staticmethod
    def try_it(http_url: str, _api_key: str, ca_file: Path | None) -> str:
        """Return a shell command that publishes one event to a running emulator."""
        trust = f" --cacert {ca_file}" if ca_file else ""
        address = http_url.replace("{channel}", "default/room-0")
        return f"curl{trust} -d '{{\"hello\":1}}' {address}"

    @staticmethod
    def client_settings(_options: Options, http_url: str) -> dict[str, str]:
        """Return settings for clients other than our own, by their title."""
        address = http_url.replace(wire.PUBLISH_PREFIX, wire.POLL_PREFIX)
        address = address.replace("{channel}", "default/room-0")
        return {"To poll:": f"curl '{address}'  # then '{address}?after=…' with what next says"}
