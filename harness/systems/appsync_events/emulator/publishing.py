"""What becomes of a publish or a subscribe, from its credentials to its handler.

In this order: authorisation, channel and namespace, limits of the request, rates, the handler, the
size of each event as the handler left it. The order of the service's own checks is undocumented.
"""

import random
import uuid
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from typing import NamedTuple

from harness.emulation.quotas import ConnectionRate
from harness.systems.appsync_events.channels import Segments
from harness.systems.appsync_events.emulator.access import Identity, Request
from harness.systems.appsync_events.emulator.service import Service
from harness.systems.appsync_events.handlers.handlers import Context, Handlers, Incoming, Outcome
from harness.systems.appsync_events.operations import (
    UNAUTHORIZED,
    UNKNOWN_NAMESPACE,
    Refusal,
    checked_channel,
    checked_events,
    event_error,
    refusal,
    size_bytes,
)
from harness.systems.appsync_events.options import Namespace
from harness.systems.appsync_events.wire import EventResult, WireError

_rng = random.Random()


class Publish(NamedTuple):
    """A publish that was accepted and now waits to be broadcast.

    Attributes:
        results: The result for each event, for the publisher.
    """

    segments: Segments
    events: list[str]
    results: list[EventResult]


_Place = tuple[Context, Handlers]
"""What a caller may use, and the handlers at the time of the request."""

Authorise = Callable[[Namespace, str, Request], Awaitable[Identity | WireError]]


async def accept_subscribe(
    service: Service, request: Request, subscriptions: Collection[str]
) -> Segments | Refusal:
    """Return what a caller may subscribe to, or why not; refusals are counted."""
    accepted = await _checked_subscribe(service, request, subscriptions)
    if isinstance(accepted, Refusal):
        service.counters.add(f"subscribes.refused.{accepted.cause}")
    else:
        service.counters.add("subscribes.accepted")
        service.metering.subscribed()
    return accepted


async def _checked_subscribe(
    service: Service, request: Request, subscriptions: Collection[str]
) -> Segments | Refusal:
    place = await _place(service, request, service.access.subscribe, wildcard_allowed=True)
    if isinstance(place, Refusal):
        return place
    context, handlers = place
    operation_id = request.body["id"]
    if operation_id in subscriptions:
        taken = WireError("DuplicatedOperationError", f"Duplicated operation id {operation_id}")
        return Refusal(taken, HTTPStatus.BAD_REQUEST, "duplicate")
    too_many = service.admission.subscribe(len(subscriptions))
    if too_many is not None:
        return Refusal(too_many, HTTPStatus.BAD_REQUEST, "too_many")
    if handlers.has_subscribe(context.namespace.name):
        service.metering.handled()
        refused = await handlers.on_subscribe(context)
        if refused is not None:
            return refused
    return context.segments


async def accept_publish(
    service: Service, request: Request, rate: ConnectionRate | None = None
) -> Publish | Refusal:
    """Check a publish and give each event its identifier; the caller replies, then broadcasts."""
    checked = await _checked_publish(service, request)
    if isinstance(checked, Refusal):
        service.counters.add(f"publishes.refused.{checked.cause}")
        return checked
    (context, handlers), events = checked
    throttled = service.admission.publish(len(events), rate)
    if throttled is not None:
        return refusal(throttled)
    identified = [Incoming(_identifier(), event) for event in events]
    if handlers.has_publish(context.namespace.name):
        service.metering.handled(len(events))
        outcome = await handlers.on_publish(context, identified)
    else:
        outcome = Outcome([(event.id, event.text) for event in identified], {})
    if isinstance(outcome, Refusal):
        service.counters.add("publishes.refused.handler")
        return outcome
    service.counters.add("publishes.accepted")
    service.metering.published(list(map(size_bytes, events)))
    return _sized(service, context.segments, identified, outcome)


async def _checked_publish(
    service: Service, request: Request
) -> tuple[_Place, list[str]] | Refusal:
    options = service.options
    wildcard_allowed = options.undocumented.publish_to_wildcard
    authorise = service.access.publish
    place = await _place(service, request, authorise, wildcard_allowed=wildcard_allowed)
    if isinstance(place, Refusal):
        return place
    limit_bytes = options.quotas.request_bytes
    events = checked_events(request.body, over_http=request.over_http, request_bytes=limit_bytes)
    return refusal(events) if isinstance(events, WireError) else (place, events)


async def _place(
    service: Service, request: Request, authorise: Authorise, *, wildcard_allowed: bool
) -> _Place | Refusal:
    """Return the place that a request is about, or why its sender may not use it."""
    if service.faults.on_credentials():
        return refusal(UNAUTHORIZED)
    channel = request.body.get("channel")
    text = channel if isinstance(channel, str) else ""
    segments = checked_channel(request.body, wildcard_allowed=wildcard_allowed)
    named = text.strip("/").partition("/")[0] if isinstance(segments, WireError) else segments[0]
    namespace, handlers = service.namespaces.get(named), service.handlers
    # A request for what does not exist must be authorised all the same, by the rules of the API.
    judged_by = namespace or Namespace.model_construct(name=named)
    identity = await authorise(judged_by, text, request)
    if isinstance(identity, WireError):
        return refusal(identity)
    if isinstance(segments, WireError):
        return refusal(segments)
    if namespace is None:
        return refusal(UNKNOWN_NAMESPACE)
    caller = request.caller
    return Context(namespace, segments, identity, caller.headers, caller.host), handlers


def _sized(
    service: Service, segments: Segments, events: list[Incoming], outcome: Outcome
) -> Publish:
    """Leave out what is too large after its handler, and say what became of each event."""
    limit_bytes = service.options.quotas.event_bytes
    failed = dict(outcome.failed)
    kept = []
    for identifier, text in outcome.broadcast:
        error = event_error(text, limit_bytes)
        if error is None:
            kept.append(text)
        else:
            failed[identifier] = error
    too_large = len(outcome.broadcast) - len(kept)
    left_out = len(events) - len(outcome.broadcast) - len(outcome.failed)
    service.counters.add("events.failed.handler", len(outcome.failed))
    service.counters.add("events.failed.too_large", too_large)
    service.counters.add("events.filtered", left_out)
    results = [
        EventResult(event.id, position, failed.get(event.id))
        for position, event in enumerate(events)
    ]
    return Publish(segments, kept, results)


def _identifier() -> str:
    """Return a random UUID, without asking the system for each of them as ``uuid4`` does."""
    return str(uuid.UUID(int=_rng.getrandbits(128), version=4))
