"""What every connection of one emulator process shares: rules, subscriptions, publishing."""

import asyncio
import hmac
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from harness.emulation.bus import Bus, Parts
from harness.emulation.counters import Counters
from harness.emulation.options import EmulatorOptions
from harness.emulation.worker import Seat
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import Segments
from harness.systems.appsync_events.emulator_broadcast import Hub, Transport
from harness.systems.appsync_events.operations import (
    checked_channel,
    checked_events,
    event_error,
)
from harness.systems.appsync_events.wire import EventResult, WireError

UNAUTHORIZED = WireError("UnauthorizedException", "You are not authorized to make this call.")
UNKNOWN_NAMESPACE = WireError("UnauthorizedException")
"""The service gives no sentence for it."""

COUNTS = (
    "connections",
    "subscriptions",
    "published_events",
    "deliveries",
    "slow_subscribers_dropped",
)
"""What the emulator counts: the first two are as of now, the others since it started."""


class Publish(NamedTuple):
    """A publish that was accepted and now waits to be broadcast.

    Attributes:
        segments: Its channel.
        events: The events to broadcast, in order.
        results: What to tell the publisher of each event it sent.
    """

    segments: Segments
    events: Sequence[str]
    results: Sequence[EventResult]


class Service:
    """One emulator process, seen from its connections; made inside the running event loop.

    Args:
        options: How the emulator is set up.
        seat: The place of this process among those that make up the emulator.
        counters: Row of ``COUNTS`` of this process.
    """

    def __init__(self, options: EmulatorOptions, seat: Seat, counters: Counters) -> None:
        self.options = options
        self.counters = counters
        self.hub = Hub(options.subscriber_buffer_bytes, self.drop)
        self._namespaces = frozenset(options.namespaces)
        self._api_keys = [key.encode() for key in options.api_keys]
        self._bus = Bus(seat.folder, seat.index, seat.processes, self._receive)
        self._loop = asyncio.get_running_loop()

    def refusal(self, authorization: Mapping[str, str]) -> WireError | None:
        """Return why these credentials do not let their bearer in; None where they do."""
        names = {name.lower(): name for name in authorization}
        offered = authorization.get(names.get(wire.API_KEY_HEADER, ""), "")
        key = offered.encode(errors="replace")
        # Each key is compared, in constant time: how long it takes tells nothing about any.
        known = [hmac.compare_digest(key, api_key) for api_key in self._api_keys]
        return None if any(known) else UNAUTHORIZED

    def channel(
        self,
        authorization: Mapping[str, str],
        body: Mapping[str, Any],
        *,
        wildcard_allowed: bool,
    ) -> Segments | WireError:
        """Return the channel that a subscribe or publish may use, or why it may not."""
        refusal = self.refusal(authorization)
        if refusal is not None:
            return refusal
        segments = checked_channel(body, wildcard_allowed=wildcard_allowed)
        if isinstance(segments, WireError):
            return segments
        return segments if segments[0] in self._namespaces else UNKNOWN_NAMESPACE

    def accept(
        self, authorization: Mapping[str, str], body: Mapping[str, Any], *, over_http: bool
    ) -> Publish | WireError:
        """Check a publish and give each event its identifier; the caller replies, then broadcasts.

        Args:
            authorization: The publisher's credentials.
            body: Holds ``channel`` and ``events``.
            over_http: Whether the publisher used HTTP, where some errors are of another type.
        """
        segments = self.channel(authorization, body, wildcard_allowed=False)
        if isinstance(segments, WireError):
            return segments
        events = checked_events(body, over_http=over_http)
        if isinstance(events, WireError):
            return events
        results = [
            EventResult(str(uuid.uuid4()), position, event_error(event))
            for position, event in enumerate(events)
        ]
        accepted = [events[result.position] for result in results if result.error is None]
        return Publish(segments, accepted, results)

    def broadcast(self, publish: Publish) -> None:
        """Hand a publish to all subscribers of all processes, soon.

        Soon and not now, because the event loop sends what was written in no certain order: the
        publisher's reply, written just before, leaves first.
        """
        if not publish.events:
            return
        self.counters.add("published_events", len(publish.events))
        encoded = [wire.encode_event(event) for event in publish.events]
        self._loop.call_soon(self._deliver, publish.segments, encoded)
        self._bus.publish([orjson.dumps(publish.segments), *encoded])

    def _receive(self, parts: Parts) -> None:
        self._deliver(tuple(orjson.loads(parts[0])), parts[1:])

    def _deliver(self, segments: Segments, encoded_events: Sequence[bytes]) -> None:
        self.counters.add("deliveries", self.hub.broadcast(segments, encoded_events))

    def drop(self, transport: Transport) -> None:
        """Cut off a client that does not read."""
        self.counters.add("slow_subscribers_dropped")
        transport.abort()

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()
