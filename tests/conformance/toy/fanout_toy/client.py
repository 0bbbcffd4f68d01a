"""The load side's client of the toy system."""

import time
from collections.abc import Sequence
from typing import Any

from gevent import Timeout
from gevent.event import AsyncResult
from websockets.uri import parse_uri

from harness.net.addresses import path_of
from harness.net.client import Access, JoinError, JoinTimes, Listener, PublishAnswer, only_channel
from harness.net.http_publishing import http_client
from harness.net.request_fields import RequestFields
from harness.net.route import Route
from harness.net.websocket import Endpoint, WebSocketConnection

from . import wire


class ToyApi:
    """The toy system as one worker uses it."""

    def __init__(self, access: Access) -> None:
        key = {wire.KEY_PARAMETER: access.api_key}
        fields = RequestFields(access.realtime, access.options, key)
        self.endpoint = Endpoint(
            parse_uri(fields.address),
            Route(access, access.realtime),
            [wire.SUBPROTOCOL],
            headers=fields.headers(),
            cookies=fields.cookies,
        )
        fields = RequestFields(access.http, access.options, key)
        self._path, self._headers = path_of(fields.address), fields.headers_of_no_user({})
        self._http = http_client(Route(access, access.http))

    def client(
        self, channels: Sequence[str], memo: dict[bytes, Any], listener: Listener
    ) -> "ToyClient":
        """Return a client for one user, not yet connected."""
        return ToyClient(self.endpoint, only_channel(channels), memo, listener)

    def publish_over_http(
        self, publish_id: str, channel: str, events: list[bytes]
    ) -> PublishAnswer:
        """POST one publish and return its answer; raises OSError."""
        texts = [event.decode() for event in events]
        body = wire.message(channel=channel, events=texts)
        response = self._http.post(self._path, body, self._headers)
        return _answer(publish_id, bytes(response.read()).decode(), time.time_ns())

    def close(self) -> None:
        """Let go of the connections kept for publishing."""
        self._http.close()


class ToyClient(WebSocketConnection):
    """One user's connection."""

    __slots__ = ("_channel", "_joined", "_wanted")

    def __init__(
        self, endpoint: Endpoint, channel: str | None, memo: dict[bytes, Any], listener: Listener
    ) -> None:
        super().__init__(endpoint, memo, listener)
        self._channel = channel
        self._wanted: AsyncResult | None = None
        self._joined = False

    def join(self, deadline: float) -> JoinTimes:
        """Connect and join the channel."""
        times = JoinTimes(time.time_ns())
        try:
            self.connect(times, deadline)
            times.confirmed_ns = time.time_ns()
            if self._channel is not None:
                before = time.monotonic_ns()
                times.confirmed_ns = self._subscribe(deadline)
                times.stages_ns["subscribe"] = time.monotonic_ns() - before
        except BaseException:
            self.drop()
            raise
        self._joined = True
        return times

    def _subscribe(self, deadline: float) -> int:
        wanted = self._wanted = AsyncResult()
        try:
            self.send_text(wire.message(join=self._channel))
            confirmed_ns: int = wanted.get(timeout=max(deadline - time.monotonic(), 0.0))
        except Timeout:
            raise JoinError("subscribe", "timeout", "nobody confirmed it") from None
        except OSError as error:
            raise JoinError("subscribe", "closed", str(error)) from None
        return confirmed_ns

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """Send one publish; the listener hears of its answer."""
        texts = [event.decode() for event in events]
        self.send_text(wire.message(publish=publish_id, channel=channel, events=texts))

    def on_text(self, payload: bytes, kernel_ns: int) -> Any | None:
        """Tell deliveries, answers and confirmations apart."""
        found = wire.parse(payload)
        if "event" in found:
            return self.listener.event(payload, kernel_ns)
        if "published" in found:
            self.listener.answered(_answer(found["published"], found["refused"], kernel_ns))
        elif self._wanted is not None:
            self.listener.confirmed(kernel_ns)
            self._wanted.set(kernel_ns)
        return None

    def on_over(self, code: int, reason: str) -> bool:
        """Fail the join, if it is not done yet."""
        if self._wanted is not None:
            self._wanted.set_exception(ConnectionResetError(reason or f"closed with {code}"))
        return not self._joined


def _answer(publish_id: str, refused: str, now_ns: int) -> PublishAnswer:
    return PublishAnswer(publish_id, not refused, refused == "throttled", refused, refused, now_ns)
