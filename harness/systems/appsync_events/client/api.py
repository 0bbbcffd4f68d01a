"""The load side's AppSync Events client: join, receive, publish over WebSocket or HTTP.

A join is: TCP, TLS where the endpoint has it, upgrade with the credentials in a subprotocol,
``connection_init`` until ``connection_ack``, ``subscribe`` until ``subscribe_success``.
Ids of subscriptions are unique within a connection, as the protocol asks, and the same on all
connections, which makes the frames of one event equal on all of them: a client's only subscription
is "s", and where it has several each is called by a number that the worker gave its channel.
Source: the event-api-websocket-protocol page of the AppSync Events documentation, November 2026.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from gevent import Timeout
from gevent.event import AsyncResult
from websockets.uri import parse_uri

from harness.core.errors import RemoteProtocolError
from harness.core.json_rules import text_at
from harness.core.message_token import as_json
from harness.core.outside_text import outside_text
from harness.net.client import Access, JoinError, JoinTimes, Listener, PublishAnswer, Refusal
from harness.net.http_publishing import Poster
from harness.net.request_fields import RequestFields, subprotocols_of
from harness.net.route import Route
from harness.net.upgrade import Upgrade
from harness.net.websocket import Endpoint, WebSocketConnection
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.client.credentials import (
    CONNECT_BODY,
    credentials_for,
    subscribe_body,
)
from harness.systems.appsync_events.client.tokens import CredentialsError

SUBSCRIPTION_ID = "s"

_ANSWERS = frozenset(
    ("connection_ack", "connection_error", "subscribe_success", "subscribe_error", "error")
)
"""Messages that end a wait of the join; anything else may come in between."""

_THROTTLED = frozenset(("LimitExceededError", "LimitExceededException", "TooManyRequestsException"))
"""Error types that mean "too much"; the service documents none (reference, section 7)."""


class AppSyncEventsApi:
    """One API as a worker uses it: endpoints resolved, credentials encoded, once for all users.

    Args:
        access: Addresses, key, TLS context and source address.

    Raises:
        TargetUnreachableError: If a host name does not resolve.
        CredentialsError: If the credentials that the target asks for cannot be had.
    """

    def __init__(self, access: Access) -> None:
        self._fields = RequestFields(access.realtime, access.options)
        self._publish_fields = RequestFields(access.http, access.options)
        self._fields.headers()  # Raises now rather than at the first join.
        self._subprotocols = subprotocols_of(access.options)
        uri = parse_uri(self._fields.address)
        self.credentials = credentials_for(access, self._publish_fields.address)
        self.credentials.ready(0)  # Raises now rather than at every join.
        self._shown: Mapping[str, str] = {}
        self.endpoint = Endpoint(
            uri,
            Route(access, access.realtime),
            [wire.SUBPROTOCOL],
            cookies=self._fields.cookies,
        )
        self._ids: dict[str, str] = {}
        self._subscriptions: dict[tuple[str, ...], dict[str, str]] = {}
        self._poster = Poster(access)

    def client(
        self, channels: Sequence[str], frame_cache: dict[bytes, Any], listener: Listener
    ) -> "AppSyncEventsClient":
        """Return a client for one user, not yet connected."""
        return AppSyncEventsClient(
            self, self._subscriptions_to(tuple(channels)), frame_cache, listener
        )

    def _subscriptions_to(self, channels: tuple[str, ...]) -> Mapping[str, str]:
        """Return channel by subscription id; one mapping for all clients of the same channels."""
        found = self._subscriptions.get(channels)
        if found is None:
            if len(channels) == 1:
                found = {SUBSCRIPTION_ID: channels[0]}
            else:
                ids = self._ids
                found = {ids.setdefault(each, f"s{len(ids)}"): each for each in channels}
            self._subscriptions[channels] = found
        return found

    def publish_over_http(
        self, publish_id: str, channel: str, events: list[bytes]
    ) -> PublishAnswer:
        """POST one publish and wait for its answer, in the calling greenlet; raises OSError."""
        body = wire.http_publish_body(channel, [*map(as_json, events)])
        own = {"Content-Type": "application/json", **self.credentials.headers(body)}
        headers = self._publish_fields.headers_of_no_user(own)
        answer = self._poster.post(self._publish_fields.address, body, headers)
        now_ns = time.time_ns()
        try:
            message = wire.parse_http_reply(answer.status, answer.body)
        except RemoteProtocolError as error:
            return PublishAnswer(publish_id, False, False, "protocol_error", str(error), now_ns)
        throttled = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        refused = _answer(publish_id, message, throttled=throttled, now_ns=now_ns)
        return replace(refused, asked_wait_s=answer.asked_wait_s)

    def upgrade_of(self, user: int) -> Upgrade:
        """Return the upgrade with a user's credentials; made once where users show the same."""
        shown = self.credentials.authorization(user, CONNECT_BODY, reusable=True)
        if shown is not self._shown:
            self._shown = shown
            subprotocols = [wire.SUBPROTOCOL, wire.auth_subprotocol(shown), *self._subprotocols]
            self._upgrade = Upgrade(
                self.endpoint.uri, subprotocols, self._fields.headers(), [wire.SUBPROTOCOL]
            )
        return self._upgrade

    def close(self) -> None:
        """Close the connections kept for publishing over HTTP."""
        self.credentials.close()
        self._poster.close()


class AppSyncEventsClient(WebSocketConnection):
    """One user's connection.

    Args:
        api: The API to join.
        subscriptions: Channel to subscribe to by the subscription's id; none for a user that only
            publishes.
        frame_cache: Frames already understood, see ``WebSocketConnection``.
        listener: Receives deliveries, answers and the end of the connection.
    """

    __slots__ = ("_api", "_awaited", "_joined", "_subscriptions", "_unconfirmed", "_user")

    def __init__(
        self,
        api: AppSyncEventsApi,
        subscriptions: Mapping[str, str],
        frame_cache: dict[bytes, Any],
        listener: Listener,
    ) -> None:
        super().__init__(api.endpoint, frame_cache, listener)
        self._api = api
        self._subscriptions = subscriptions
        self._unconfirmed = set(subscriptions)
        self._awaited: AsyncResult | None = None
        self._joined = False
        # Whose credentials to show; a listener that has no number is the only user there is.
        self._user: int = getattr(listener, "number", 0)

    def upgrade(self) -> Upgrade:
        """Return the upgrade with this user's credentials."""
        return self._api.upgrade_of(self._user)

    def join(self, deadline: float) -> JoinTimes:
        """Connect, initialise and subscribe; see ``net.client.Client.join``.

        To get credentials, by signing in for example, is no part of the times of a join.
        """
        credentials = self._api.credentials
        try:
            credentials.ready(self._user)
        except CredentialsError as error:
            raise JoinError("init", "NoCredentials", f"{error.where}: {error.found}") from None
        times = JoinTimes(time.time_ns())
        try:
            self.connect(times, deadline)
            before = time.monotonic_ns()
            asks = [wire.CONNECTION_INIT]
            times.confirmed_ns = self._request("init", asks, "connection_ack", deadline)
            times.stages_ns["init"] = time.monotonic_ns() - before
            if self._subscriptions:
                before = time.monotonic_ns()
                asks = [
                    wire.subscribe(
                        subscription_id,
                        channel,
                        credentials.authorization(
                            self._user, subscribe_body(channel), reusable=True
                        ),
                    )
                    for subscription_id, channel in self._subscriptions.items()
                ]
                times.confirmed_ns = self._request("subscribe", asks, "subscribe_success", deadline)
                times.stages_ns["subscribe"] = time.monotonic_ns() - before
        except BaseException:
            self.drop()
            raise
        if not self.open:  # It ended in the same breath as it was confirmed.
            raise JoinError("subscribe", "closed", "the connection ended at once")
        self._joined = True
        return times

    def _request(
        self, stage: str, asks: Sequence[bytes], expected_type: str, deadline: float
    ) -> int:
        """Send and wait for the last answer, or the first refusal; return when it came, ns."""
        awaited = self._awaited = AsyncResult()
        try:
            for ask in asks:
                self.send_text(ask)
            answer, kernel_ns = awaited.get(timeout=max(deadline - time.monotonic(), 0.0))
        except Timeout:
            raise JoinError(stage, "timeout", f"no {expected_type} in time") from None
        except OSError as error:
            raise JoinError(stage, "closed", str(error)) from None
        finally:
            self._awaited = None
        if answer.type != expected_type:
            reason = answer.errors[0] if answer.errors else wire.WireError(answer.type)
            raise JoinError(stage, reason.error_type, _told(reason) or "no message given")
        arrived_ns: int = kernel_ns
        return arrived_ns

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """Send one publish over this connection; the listener hears of its answer."""
        events = [*map(as_json, events)]
        signed = wire.http_publish_body(channel, events)
        shown = self._api.credentials.authorization(self._user, signed, reusable=False)
        self.send_text(wire.publish(publish_id, channel, events, shown))

    def on_text(self, payload: bytes, kernel_ns: int) -> Any | None:
        """Tell deliveries, answers and errors apart."""
        if payload == wire.KEEP_ALIVE:
            return None
        try:
            message = wire.parse_server_message(payload)
        except RemoteProtocolError:
            if not self._joined:
                raise  # It stands where the join waits for an answer.
            return self.listener.event(payload, kernel_ns)
        if message.type == "data":
            if message.id in self._subscriptions and message.event is not None:
                return self.listener.event(message.event.encode(), kernel_ns)
        elif message.type in ("publish_success", "publish_error"):
            self.listener.answered(_answer(message.id, message, throttled=False, now_ns=kernel_ns))
        elif self._awaited is not None and message.type in _ANSWERS:
            self._take_answer(self._awaited, message, kernel_ns)
        elif message.errors:
            error = message.errors[0]
            self.listener.refused("receive", error.error_type, _told(error))
        return None

    def _take_answer(
        self, awaited: AsyncResult, message: wire.ServerMessage, kernel_ns: int
    ) -> None:
        """Wake the join at its answer; of several subscriptions, at the last."""
        if message.type == "connection_ack":
            self.silence_limit_s = _silence_limit_s(message.body)
        elif message.type == "subscribe_success":
            if message.id not in self._unconfirmed:
                return
            self._unconfirmed.remove(message.id)
            if self._unconfirmed:
                return
            self.listener.confirmed(kernel_ns)
        # Taken away at once: what follows in the same bytes is no answer to the same question.
        self._awaited = None
        awaited.set((message, kernel_ns))

    def on_over(self, code: int, reason: str) -> bool:
        """Fail the join, if it is not done yet; it reports the end itself."""
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.set_exception(ConnectionResetError(reason or f"closed with code {code}"))
        return not self._joined


def _silence_limit_s(ack: Mapping[str, Any]) -> float | None:
    """Return the time without any message after which the service wants to be given up."""
    limit_ms = ack.get("connectionTimeoutMs")
    if isinstance(limit_ms, bool) or not isinstance(limit_ms, int | float):
        return None
    return limit_ms / 1000 if 0 < limit_ms < math.inf else None


def _told(error: wire.WireError) -> str:
    """Return the first line of what the service says.

    Where a signature is wrong, further lines repeat what was signed, a session token included.
    """
    return error.message.partition("\n")[0]


def _answer(
    publish_id: str, message: wire.ServerMessage, *, throttled: bool, now_ns: int
) -> PublishAnswer:
    """Read the outcome of a publish, event by event."""
    if message.errors:
        error = message.errors[0]
        throttled = throttled or error.error_type in _THROTTLED
        return PublishAnswer(publish_id, False, throttled, error.error_type, _told(error), now_ns)
    if message.type == "publish_error":
        text = outside_text(json.dumps(message.body), 200)
        return PublishAnswer(publish_id, False, throttled, message.type, text, now_ns)
    failed = message.body.get("failed")
    if failed:
        entries = failed if isinstance(failed, list) else [failed]
        refusals = dict(_refused(entry, throttled=throttled) for entry in entries)
        return PublishAnswer.of(publish_id, refusals, now_ns)
    return PublishAnswer(publish_id, True, False, "", "", now_ns)


def _refused(entry: Any, *, throttled: bool) -> tuple[int, Refusal]:
    """Return the place of a failed event, -1 where it is not given, and why it failed."""
    entry = entry if isinstance(entry, dict) else {"message": entry}
    code, text = (text_at(entry, key) if key in entry else "" for key in ("code", "message"))
    place = entry.get("index")
    refusal = Refusal(code, text, throttled or code in _THROTTLED)
    return place if type(place) is int else -1, refusal
