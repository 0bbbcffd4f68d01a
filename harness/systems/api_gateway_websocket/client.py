"""The load side's API Gateway WebSocket client: join, receive, publish by route.

A join is: TCP, TLS where the address has it, the upgrade, during which $connect runs, and a frame
for each channel until the backend's route response. The service knows neither channels nor
acknowledgements: a publish is acknowledged when the route response to its frame arrives, which is
when the function behind the route returns, and with the standard broadcast that is after it has
posted to every connection. Where the routes have no responses, join and acknowledgement mean only
that the frame was sent.
Source: docs.aws.amazon.com/apigateway/latest/developerguide, "Invoke WebSocket APIs" and "Set up
route responses for WebSocket APIs", read November 2026.
"""

import time
from collections.abc import Sequence
from typing import Any

from gevent import Timeout, get_hub
from gevent.event import AsyncResult
from websockets.uri import parse_uri

from harness.core.message_token import as_json, holds_message
from harness.net.client import Access, JoinError, JoinTimes, Listener, PublishAnswer
from harness.net.frames import PING, TEXT, client_frame
from harness.net.request_fields import RequestFields, subprotocols_of
from harness.net.stream import resolve
from harness.net.websocket import Endpoint, WebSocketConnection
from harness.systems.api_gateway_websocket import wire

NO_MORE = "the service says no more"
MEANINGS = {
    wire.FORBIDDEN: "no route takes such a frame: see action_key and the actions in [client]",
    wire.INTERNAL_SERVER_ERROR: "the backend failed on it: see the keys in [client]",
}
"""What an error frame's words mean, where they do not say it."""

NO_HTTP = "no_http_publish"
NO_HTTP_HINT = 'the service takes publishes over WebSocket only: publishing.transport = "websocket"'


class ApiGatewayWebSocketApi:
    """One API as a worker uses it: address resolved, request prepared, once for all users.

    Args:
        access: Addresses, key and the target's ``[client]`` table.

    Raises:
        TargetUnreachableError: If a host name does not resolve.
    """

    def __init__(self, access: Access) -> None:
        self.options = access.options
        header, parameter, key = self.options.key_header, self.options.key_query, access.api_key
        query = {parameter: key} if parameter and key else {}
        fields = RequestFields(access.realtime, self.options, query)
        uri = parse_uri(fields.address)
        self.endpoint = Endpoint(
            uri,
            resolve(uri.host, uri.port),
            subprotocols_of(self.options),
            access.tls,
            access.source_addresses,
            headers=fields.headers({header: key} if header and key else {}),
            cookies=fields.cookies,
        )

    def client(
        self, channels: Sequence[str], frame_cache: dict[bytes, Any], listener: Listener
    ) -> "ApiGatewayWebSocketClient":
        """Return a client for one user, not yet connected."""
        return ApiGatewayWebSocketClient(self, channels, frame_cache, listener)

    def publish_over_http(
        self,
        publish_id: str,
        channel: str,  # noqa: ARG002 - the protocol's; there is no such publish
        events: list[bytes],  # noqa: ARG002 - as above
    ) -> PublishAnswer:
        """Refuse: over HTTP the service reaches one connection, and only its owner may ask."""
        return PublishAnswer(publish_id, False, False, NO_HTTP, NO_HTTP_HINT, time.time_ns())

    def close(self) -> None:
        """Close everything but the clients: there is nothing else."""


class ApiGatewayWebSocketClient(WebSocketConnection):
    """One user's connection.

    Args:
        api: The API to join.
        channels: Channels to join; none for a user that only publishes.
        frame_cache: Frames already understood, see ``WebSocketConnection``.
        listener: Receives deliveries, answers and the end of the connection.
    """

    FRAME_BYTES = wire.FRAME_BYTES

    __slots__ = (
        "_api",
        "_awaited",
        "_channels",
        "_joined",
        "_keep_alive",
        "_to_join",
        "_unanswered",
    )

    def __init__(
        self,
        api: ApiGatewayWebSocketApi,
        channels: Sequence[str],
        frame_cache: dict[bytes, Any],
        listener: Listener,
    ) -> None:
        super().__init__(api.endpoint, frame_cache, listener)
        self._api = api
        self._channels = channels
        self._awaited: AsyncResult | None = None
        self._to_join = 0
        self._unanswered: dict[str, int] = {}
        """Publishes sent to how many of their frames are not answered, in the order sent."""
        self._keep_alive: Any = None
        self._joined = False

    def join(self, deadline: float) -> JoinTimes:
        """Connect and join the channels; see ``net.client.Client.join``."""
        times = JoinTimes(time.time_ns())
        options = self._api.options
        try:
            self._connect(times, deadline)
            times.confirmed_ns = time.time_ns()
            if self._channels and options.join_action:
                before = time.monotonic_ns()
                times.confirmed_ns = self._join_channels(deadline)
                times.stages_ns["subscribe"] = time.monotonic_ns() - before
            elif self._channels:
                self.listener.confirmed(times.confirmed_ns)
        except BaseException:
            self.drop()
            raise
        if not self.open:  # It ended in the same breath as it was confirmed.
            raise JoinError("subscribe", "closed", "the connection ended at once")
        self._joined = True
        timer = self._keep_alive = get_hub().loop.timer(options.keep_alive_s, options.keep_alive_s)
        timer.start(self._say_alive)
        return times

    def _connect(self, times: JoinTimes, deadline: float) -> None:
        """Connect; a refusal keeps its words and not its ids, so that equal ones are counted."""
        try:
            self.connect(times, deadline)
        except JoinError as error:
            raise JoinError(error.stage, error.code, wire.words_of(error.message)) from None

    def _join_channels(self, deadline: float) -> int:
        """Send a frame a channel and wait for the last answer; return when it arrived, ns."""
        options = self._api.options
        awaited = self._awaited = AsyncResult()
        self._to_join = len(self._channels)
        try:
            for channel in self._channels:
                keys = {options.action_key: options.join_action, options.channel_key: channel}
                self.send_text(wire.request(keys))
            if not options.route_responses:
                now_ns = time.time_ns()
                self.listener.confirmed(now_ns)
                return now_ns
            confirmed_ns: int = awaited.get(timeout=max(deadline - time.monotonic(), 0.0))
        except Timeout:
            raise JoinError("subscribe", "timeout", "no route response in time") from None
        except OSError as error:
            raise JoinError("subscribe", "closed", str(error)) from None
        finally:
            self._awaited = None
        return confirmed_ns

    def _say_alive(self) -> None:
        options = self._api.options
        if not self.open:
            return
        if options.keep_alive_action:
            self._send(
                client_frame(TEXT, wire.request({options.action_key: options.keep_alive_action}))
            )
        else:
            self._send(client_frame(PING, b""))

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """Send one publish, a frame an event; the listener hears of its answer."""
        options = self._api.options
        keys = {
            options.action_key: options.publish_action,
            options.channel_key: channel,
            options.id_key: publish_id,
        }
        for event in events:
            self.send_text(wire.request(keys, options.data_key, as_json(event)))
        if options.route_responses:
            self._unanswered[publish_id] = len(events)
        else:
            now_ns = time.time_ns()
            self.listener.answered(PublishAnswer(publish_id, True, False, "", "", now_ns))

    def on_text(self, payload: bytes, kernel_ns: int) -> Any | None:
        """Tell deliveries, the backend's answers and the service's errors apart."""
        body = wire.parse(payload)
        error = wire.error_of(body)
        named = wire.answered_id(body, self._api.options.id_key)
        if error is None and named not in self._unanswered and holds_message(payload):
            return self.listener.event(payload, kernel_ns)
        if self._awaited is not None:
            self._take_join_answer(self._awaited, error, kernel_ns)
        elif error is not None:
            self._take_error(error, kernel_ns)
        elif named is not None or self._unanswered:
            self._take_answer(named, kernel_ns)
        elif not self._api.options.keep_alive_action:  # Such an action may be answered, or not.
            return self.listener.event(payload, kernel_ns)
        return None

    def _take_join_answer(
        self, awaited: AsyncResult, error: wire.ErrorFrame | None, kernel_ns: int
    ) -> None:
        if error is not None:
            awaited.set_exception(JoinError("subscribe", error.message, _meaning(error)))
        else:
            self._to_join -= 1
            if self._to_join:
                return
            self.listener.confirmed(kernel_ns)
            awaited.set(kernel_ns)
        # Taken away at once: what follows in the same bytes is no answer to the same question.
        self._awaited = None

    def _take_error(self, error: wire.ErrorFrame, kernel_ns: int) -> None:
        """Fail the publish that the error is likeliest about."""
        newest_first = error.message in wire.AT_ONCE
        order = reversed(self._unanswered) if newest_first else iter(self._unanswered)
        publish_id = next(order, None)
        code, text = error.message, _meaning(error)
        if publish_id is None:
            self.listener.refused("receive", code, text)
            return
        del self._unanswered[publish_id]
        throttled = code in wire.THROTTLED
        self.listener.answered(PublishAnswer(publish_id, False, throttled, code, text, kernel_ns))

    def _take_answer(self, named: str | None, kernel_ns: int) -> None:
        """Count an answer for the publish that it names, or else for the oldest."""
        publish_id = next(iter(self._unanswered)) if named is None else named
        if publish_id not in self._unanswered:
            return  # Of a publish that has failed.
        self._unanswered[publish_id] -= 1
        if not self._unanswered[publish_id]:
            del self._unanswered[publish_id]
            self.listener.answered(PublishAnswer(publish_id, True, False, "", "", kernel_ns))

    def on_over(self, code: int, reason: str) -> bool:
        """Fail the join, if it is not done yet; it reports the end itself."""
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.set_exception(ConnectionResetError(reason or f"closed with code {code}"))
        return not self._joined

    def drop(self) -> None:
        """Close the socket at once; safe to call twice."""
        if self._keep_alive is not None:
            self._keep_alive.stop()
            self._keep_alive.close()
            self._keep_alive = None
        super().drop()


def _meaning(error: wire.ErrorFrame) -> str:
    return MEANINGS.get(error.message, NO_MORE)
