"""The context of handlers and the rules for their results, whether JavaScript or Python.

Source: docs.aws.amazon.com/appsync/latest/eventapi, pages context-reference,
channel-namespace-handlers, writing-event-handlers and direct-lambda-integrations, read November
2026. Undocumented and decided here: the error type of an event or a request that a handler fails
without naming one, of a handler that breaks, and that an event without payload breaks it.
"""

import ipaddress
import logging
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, NamedTuple, Protocol

from harness.systems.appsync_events.channels import Segments, path
from harness.systems.appsync_events.emulator.access import Identity
from harness.systems.appsync_events.operations import UNAUTHORIZED, Refusal
from harness.systems.appsync_events.options import Namespace
from harness.systems.appsync_events.wire import WireError

LOGGER = logging.getLogger("harness.handlers")
"""Where handlers speak: what they say to ``console``, and why they broke."""
LOGGER.setLevel(logging.INFO)

Operation = Literal["PUBLISH", "SUBSCRIBE"]

ERROR_TYPES: dict[Operation, str] = {
    "PUBLISH": "MessageProcessingError",
    "SUBSCRIBE": "SubscriptionProcessingError",
}
"""Operation -> type of an error that has no other; both occur in the documentation."""

HIDDEN_HEADERS = frozenset({"cookie"})
"""Headers of the request that handlers do not get. Source: page context-reference."""


class Incoming(NamedTuple):
    """One event of a publish."""

    id: str
    text: str


class Outcome(NamedTuple):
    """What a handler made of the events of a publish; those in neither part it left out.

    Attributes:
        broadcast: Id and JSON text of each event to broadcast, in the handler's order.
        failed: Why an event is not broadcast, by its id.
    """

    broadcast: list[tuple[str, str]]
    failed: dict[str, WireError]


class Context(NamedTuple):
    """The request that a handler judges.

    Attributes:
        headers: Of the HTTP request: of the publish, or of the connection's upgrade.
        domain: The ``Host`` of that request.
    """

    namespace: Namespace
    segments: Segments
    identity: Identity
    headers: Mapping[str, str]
    domain: str


class Answered(NamedTuple):
    """One event as a handler returned it.

    Attributes:
        id: The event it claims to be; anything, while it is not checked.
        text: JSON text of its payload; None where it has none.
        error: Why it must not be broadcast; None where it may.
    """

    id: Any
    text: str | None
    error: str | None


class BrokenHandlerError(Exception):
    """A handler broke, or broke a rule; its sentence is for the log, never for a client."""


class Handler(Protocol):
    """The handlers of one namespace.

    Attributes:
        publishes: Whether it has one for publishes.
        subscribes: Whether it has one for subscribes.
    """

    publishes: bool
    subscribes: bool

    async def on_publish(
        self, context: Context, events: Sequence[Incoming]
    ) -> list[Answered] | Refusal | None:
        """Return the events as the handler returned them; None broadcasts all unchanged.

        Raises:
            BrokenHandlerError: If it broke.
        """

    async def on_subscribe(self, context: Context) -> Refusal | None:
        """Return why a subscribe is refused; None lets it pass.

        Raises:
            BrokenHandlerError: If it broke.
        """


def context_body(context: Context, operation: Operation) -> dict[str, Any]:
    """Return ``ctx`` of JavaScript, which is the event of a Lambda function, without its events."""
    channel = {"path": path(context.segments), "segments": list(context.segments)}
    return {
        "identity": context.identity.claims,
        "result": None,
        "request": {
            "headers": _headers(context.headers),
            "domainName": _custom_domain(context.domain),
        },
        "info": {
            "channel": channel,
            "channelNamespace": {"name": context.namespace.name},
            "operation": operation,
        },
        "error": None,
        "prev": None,
        "stash": {},
        "outErrors": [],
        "events": None,
    }


def _headers(headers: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return headers by their lower-case names; one that was sent twice is a list."""
    grouped: dict[str, list[str]] = {}
    for name, value in headers.items():
        grouped.setdefault(name.lower(), []).append(_text(value))
    return {
        name: values[0] if len(values) == 1 else values
        for name, values in grouped.items()
        if name not in HIDDEN_HEADERS
    }


def _custom_domain(host: str) -> str | None:
    """Return the domain in a ``Host`` header; None for what no custom domain can be."""
    name = _text(host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host)
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None if name in {"", "localhost"} else name
    return None


def _text(value: str) -> str:
    """Return a header as text: its bytes that are none stand in it as lone surrogates."""
    return value.encode(errors="surrogateescape").decode(errors="replace")


def outcome_of(events: Sequence[Incoming], answered: Iterable[Answered]) -> Outcome:
    """Return what becomes of the events of a publish once its handler has answered.

    Raises:
        BrokenHandlerError: If an answer names no event of the publish, names one twice, or has
            neither payload nor error.
    """
    waiting = [event.id for event in events]
    outcome = Outcome([], {})
    for event_id, text, error in answered:
        if event_id not in waiting:
            raise BrokenHandlerError(
                f"an event in its answer has the id {event_id!r}: "
                "each must have that of one incoming event, and no two the same"
            )
        waiting.remove(event_id)
        if error is not None:
            outcome.failed[event_id] = WireError(ERROR_TYPES["PUBLISH"], error)
        elif text is None:
            raise BrokenHandlerError("an event in its answer has neither payload nor error")
        else:
            outcome.broadcast.append((event_id, text))
    return outcome


def handler_refusal(error: WireError, status: int) -> Refusal:
    """Return the refusal of an operation that a handler refuses, or fails at."""
    return Refusal(error, HTTPStatus(status), "handler")


def failure(operation: Operation) -> Refusal:
    """Return the error for a handler that failed, without the reason."""
    error = WireError(ERROR_TYPES[operation], "There was an error processing the operation.")
    return handler_refusal(error, HTTPStatus.INTERNAL_SERVER_ERROR)


def unauthorized(operation: Operation) -> Refusal:
    """Return the error for a handler that refuses the client."""
    error_type = "Unauthorized" if operation == "SUBSCRIBE" else UNAUTHORIZED.error_type
    error = UNAUTHORIZED._replace(error_type=error_type)
    return handler_refusal(error, HTTPStatus.UNAUTHORIZED)


def custom_error(operation: Operation, message: str, error_type: str) -> Refusal:
    """Return the error that a handler chose itself."""
    error = WireError(error_type or ERROR_TYPES[operation], message)
    return handler_refusal(error, HTTPStatus.FORBIDDEN)
