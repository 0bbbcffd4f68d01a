"""The load side's API Gateway WebSocket client: join, receive, publish by route.

A join is: TCP, TLS where the address has it, the upgrade, during which $connect runs, and a frame
for each channel until the backend's route response. The service knows neither channels nor
acknowledgements: a publish is acknowledged when the route response to its frame arrives, which is
when the function behind the route returns, and with the standard broadcast that is after it has
posted to every connection. An answer is a frame that repeats the request's id, or one that the
target describes. Where the routes have no responses, join and acknowledgement mean only that the
frame was sent.
Source: docs.aws.amazon.com/apigateway/latest/developerguide, "Invoke WebSocket APIs" and "Set up
route responses for WebSocket APIs", read November 2026.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from gevent import Timeout, get_hub
from gevent.event import AsyncResult
from websockets.uri import parse_uri

from harness.core.clock import NS_PER_S
from harness.core.message_token import as_json, holds_message
from harness.core.outside_text import excerpt
from harness.net.client import (
    Access,
    JoinError,
    JoinTimes,
    Listener,
    PublishAnswer,
    Refusal,
    rejected,
)
from harness.net.frames import PING, TEXT, client_frame
from harness.net.request_fields import RequestFields, subprotocols_of
from harness.net.route import Route
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

ANSWERED_WITHIN_NS = round((wire.LONGEST_INTEGRATION_S + 1.0) * NS_PER_S)
"""After this no answer to a frame can come; 1 s is for the way there and back."""

EXAMPLES = 2
EXAMPLE_CHARACTERS = 80
"""How many frames, and how much of each, a failed join shows in place of its answer."""


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
        self.endpoint = Endpoint(
            parse_uri(fields.address),
            Route(access, access.realtime),
            subprotocols_of(self.options),
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


@dataclass(slots=True)
class _Publish:
    """A publish, one frame an event, of which some are not answered yet."""

    publish_id: str
    unanswered: int
    sent_ns: int
    refusals: dict[int, Refusal] = field(default_factory=dict)


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
        "_failed",
        "_instead",
        "_joined",
        "_joins",
        "_keep_alive",
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
        self._joins: dict[str, None] = {}
        """Ids of the joins that are not answered, in the order sent."""
        self._instead: list[str] = []
        """The first frames that came during the join and were not its answer."""
        self._unanswered: dict[str, tuple[_Publish, int]] = {}
        """Publish and place of the event by the id of each unanswered frame, in the order sent."""
        self._failed: set[str] = set()
        """Ids of frames that an error without an id was taken for."""
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
            words = wire.words_of(error.message)
            raise JoinError(
                error.stage, error.code, words, asked_wait_s=error.asked_wait_s
            ) from None

    def _join_channels(self, deadline: float) -> int:
        """Send a frame a channel and wait for the last answer; return when it arrived, ns."""
        options = self._api.options
        awaited = self._awaited = AsyncResult()
        joins = {f"join-{token_hex(6)}": channel for channel in self._channels}
        self._joins = dict.fromkeys(joins) if options.route_responses else {}
        if self._joins:
            self.read_all()
        try:
            for join_id, channel in joins.items():
                keys = {options.action_key: options.join_action, options.channel_key: channel}
                self.send_text(wire.request({**keys, options.id_key: join_id}))
            if not options.route_responses:
                now_ns = time.time_ns()
                self.listener.confirmed(now_ns)
                return now_ns
            confirmed_ns: int = awaited.get(timeout=max(deadline - time.monotonic(), 0.0))
        except Timeout:
            raise JoinError("subscribe", "timeout", self._no_answer_in_time()) from None
        except OSError as error:
            raise JoinError("subscribe", "closed", str(error)) from None
        finally:
            self._awaited = None
            self._instead = []
        return confirmed_ns

    def _no_answer_in_time(self) -> str:
        """Return what came in place of the answer to a join, and which key to look at."""
        if not self._instead:
            return "no answer in time; routes without a response need route_responses = false"
        came = ", ".join(self._instead)
        key = self._api.options.id_key
        return f"no answer that repeats {key!r} in time: see id_key and join_answer; came: {came}"

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

    @property
    def awaits_answer(self) -> bool:
        """Whether a join or a publish is not answered: a backend may send its frame to all."""
        return bool(self._joins or self._unanswered)

    def is_answer(self, payload: bytes) -> bool:
        """Return whether a frame repeats the id of a join or publish that is not answered."""
        return self.awaits_answer and self._is_awaited(self._id_in(wire.parse(payload)))

    def _id_in(self, body: Any) -> str | None:
        return wire.answered_id(body, self._api.options.id_key)

    def _is_awaited(self, named: str | None) -> bool:
        return named in self._joins or named in self._unanswered

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """Send one publish, a frame an event; the listener hears of its answer."""
        options = self._api.options
        keys = {
            options.action_key: options.publish_action,
            options.channel_key: channel,
            options.id_key: publish_id,
        }
        now_ns = time.time_ns()
        self._forget_unanswered(now_ns)
        publish = _Publish(publish_id, len(events), now_ns)
        for place, event in enumerate(events):
            frame_id = f"{publish_id}.{place}" if place else publish_id
            keys[options.id_key] = frame_id
            if options.route_responses:
                self._unanswered[frame_id] = publish, place
                self.read_all()
            try:
                self.send_text(wire.request(keys, options.data_key, as_json(event)))
            except OSError:
                self._unanswered.pop(frame_id, None)  # What was not sent has no answer.
                raise
        if not options.route_responses:
            now_ns = time.time_ns()
            self.listener.answered(PublishAnswer(publish_id, True, False, "", "", now_ns))

    def on_text(self, payload: bytes, kernel_ns: int) -> Any | None:
        """Tell deliveries, the backend's answers and the service's errors apart."""
        body = wire.parse(payload)
        error = wire.error_of(body)
        if error is not None:
            self._take_error(error, kernel_ns)
            return None
        request_id = self._answered_by(payload, body, kernel_ns)
        if request_id is None:
            return self._no_answer(payload, body, kernel_ns)
        refusal = rejected(body, self._api.options.reject)
        if request_id in self._joins:
            self._take_join_answer(request_id, refusal, kernel_ns)
        else:
            self._take_answer(request_id, refusal, kernel_ns)
        return None

    def _answered_by(self, payload: bytes, body: Any, kernel_ns: int) -> str | None:
        """Return the id of the request that a frame answers; None if it answers none."""
        options = self._api.options
        named = self._id_in(body)
        if self._is_awaited(named):
            return named
        if holds_message(payload):
            return None
        if self._joins and wire.is_answer(payload, body, options.join_answer):
            return next(iter(self._joins))
        if wire.is_answer(payload, body, options.publish_answer):
            self._forget_unanswered(kernel_ns)
            return next(iter(self._unanswered), None)
        return None

    def _forget_unanswered(self, now_ns: int) -> None:
        """Forget frames too old to be answered: the next answer without an id is not theirs.

        Younger ones keep their place, even after the workload's own timeout: their answers may
        still come, and would be taken for those of later publishes.
        """
        before_ns = now_ns - ANSWERED_WITHIN_NS
        for frame_id, (publish, _) in [*self._unanswered.items()]:
            if publish.sent_ns < before_ns:
                del self._unanswered[frame_id]

    def _no_answer(self, payload: bytes, body: Any, kernel_ns: int) -> Any | None:
        """Take a delivery, or a frame that means nothing to us."""
        options = self._api.options
        if not holds_message(payload):
            if self._awaited is not None and len(self._instead) < EXAMPLES:
                self._instead.append(excerpt(payload, EXAMPLE_CHARACTERS))
            named = self._id_in(body)
            # A sign of life may be answered, or not.
            if named in self._failed or (self._joined and options.keep_alive_action):
                return None
        return self.listener.event(payload, kernel_ns)

    def _take_join_answer(self, join_id: str, refusal: Refusal | None, kernel_ns: int) -> None:
        """Wake the join at its last answer, or at the first refusal."""
        awaited = self._awaited
        del self._joins[join_id]
        if awaited is None:
            return
        if refusal is not None:
            awaited.set_exception(JoinError("subscribe", refusal.code, refusal.message))
            self._awaited = None
        elif not self._joins:
            self.listener.confirmed(kernel_ns)
            awaited.set(kernel_ns)
            self._awaited = None

    def _take_error(self, error: wire.ErrorFrame, kernel_ns: int) -> None:
        """Fail the join, or the publish that the error is likeliest about."""
        code = error.message
        refusal = Refusal(code, MEANINGS.get(code, NO_MORE), code in wire.THROTTLED)
        newest_first = code in wire.AT_ONCE
        self._forget_unanswered(kernel_ns)
        if self._joins:
            self._take_join_answer(next(iter(self._joins)), refusal, kernel_ns)
        elif self._unanswered:
            order = reversed(self._unanswered) if newest_first else iter(self._unanswered)
            frame_id = next(order)
            self._failed.add(frame_id)
            self._take_answer(frame_id, refusal, kernel_ns)
        else:
            self.listener.refused("receive", refusal.code, refusal.message)

    def _take_answer(self, frame_id: str, refusal: Refusal | None, kernel_ns: int) -> None:
        """Count the answer to one event; the last one answers the publish."""
        publish, place = self._unanswered.pop(frame_id)
        publish.unanswered -= 1
        if refusal is not None:
            publish.refusals[place] = refusal
        if not publish.unanswered:
            answer = PublishAnswer.of(publish.publish_id, publish.refusals, kernel_ns)
            self.listener.answered(answer)

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
