"""Handlers in Python: what AWS calls a direct Lambda integration, without Lambda.

The function gets the event that a Lambda function would get, and answers what that would answer,
so a handler written for Lambda runs here as it is. A plain function is called from a thread, one
call at a time for all functions of its file in each process, as in one Lambda environment; an
``async`` one is called as often as there is need.

Source: docs.aws.amazon.com/appsync/latest/eventapi/direct-lambda-integrations and
docs.powertools.aws.dev/lambda/python, page appsync_events, read November 2026. Undocumented and
decided here: an answer of null broadcasts nothing, and a subscriber does not see the text of an
error either.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus
from typing import Any

import orjson

from harness.systems.appsync_events.handlers.callables import CallFailedError, UserFunction
from harness.systems.appsync_events.handlers.rules import (
    LOGGER,
    Answered,
    BrokenHandlerError,
    Context,
    Incoming,
    Operation,
    context_body,
    failure,
    unauthorized,
)
from harness.systems.appsync_events.operations import Refusal
from harness.systems.appsync_events.options import Namespace

CALL_LIMIT_S = 30.0
"""Source: Service Quotas, request execution time 30 s."""

UNAUTHORIZED_EXCEPTION = "UnauthorizedException"
"""Name of the class that refuses when it is raised. Source: Powertools for AWS Lambda."""


class PythonHandler:
    """The Python functions of a namespace; made inside the running event loop.

    Args:
        key: The key of the scenario file at which the namespace is.
        locks: File or module -> lock for one call at a time; shared by all namespaces.

    Raises:
        ScenarioError: If a function cannot be loaded.
    """

    def __init__(self, namespace: Namespace, key: str, locks: dict[str, asyncio.Lock]) -> None:
        names: dict[Operation, str | None] = {
            "PUBLISH": namespace.on_publish,
            "SUBSCRIBE": namespace.on_subscribe,
        }
        self._functions = {
            operation: UserFunction(name, f"{key}.on_{operation.lower()}")
            for operation, name in names.items()
            if name is not None
        }
        self._is_awaited = namespace.invoke_type == "request_response"
        self._locks = locks
        self._unawaited: set[asyncio.Task[Any]] = set()
        self.publishes = "PUBLISH" in self._functions
        self.subscribes = "SUBSCRIBE" in self._functions

    async def on_publish(
        self, context: Context, events: Sequence[Incoming]
    ) -> list[Answered] | Refusal | None:
        """Return the events as the function returned them; see ``Handler``."""
        body = context_body(context, "PUBLISH")
        body["events"] = [{"id": event.id, "payload": orjson.loads(event.text)} for event in events]
        if not self._is_awaited:
            self._call_unawaited(body)
            return None
        answer = await self._call("PUBLISH", body)
        return answer if isinstance(answer, Refusal) else _answered(answer.get("events"))

    async def on_subscribe(self, context: Context) -> Refusal | None:
        """Return why a subscribe is refused; see ``Handler``."""
        answer = await self._call("SUBSCRIBE", context_body(context, "SUBSCRIBE"))
        return answer if isinstance(answer, Refusal) else None

    def _call_unawaited(self, body: dict[str, Any]) -> None:
        """Call the function for publishes as an event: what comes of it is logged, no more."""

        async def call() -> None:
            try:
                await self._call("PUBLISH", body)
            except BrokenHandlerError as error:
                LOGGER.error("%s", error)

        task = asyncio.create_task(call())
        self._unawaited.add(task)
        task.add_done_callback(self._unawaited.discard)

    async def _call(self, operation: Operation, body: dict[str, Any]) -> Any:
        """Return a function's answer, or the refusal that it comes to.

        Raises:
            BrokenHandlerError: If it raised, did not answer in time, or answered no object.
        """
        function = self._functions[operation]
        try:
            async with self._turn(function):
                answer = await function.call(body, timeout_s=CALL_LIMIT_S)
        except CallFailedError as error:
            if error.raised == UNAUTHORIZED_EXCEPTION:
                return unauthorized(operation)._replace(status=HTTPStatus.FORBIDDEN)
            raise BrokenHandlerError(str(error)) from None
        if not isinstance(answer, dict | None):
            rule = "an object or null is required"
            raise BrokenHandlerError(f"{function.name}: answered {type(answer).__name__}, {rule}")
        answer = answer or {}
        if answer.get("error") is None:
            return answer
        LOGGER.error("%s: %s", function.name, answer["error"])
        return failure(operation)

    def _turn(self, function: UserFunction) -> AbstractAsyncContextManager[None]:
        """Return what lets one plain function of a file run at a time, as Lambda does."""
        if function.is_async:
            return nullcontext()
        file = function.name.rpartition(":")[0]
        return self._locks.setdefault(file, asyncio.Lock())


def _answered(events: Any) -> list[Answered]:
    """Return the events of an answer, their payloads as JSON text.

    Raises:
        BrokenHandlerError: If they are no list of objects, or hold what JSON cannot.
    """
    if events is None:
        return []
    if not isinstance(events, list) or not all(isinstance(event, dict | None) for event in events):
        raise BrokenHandlerError("the events in its answer are no list of objects")
    return [
        Answered(
            event.get("id"),
            _json(event["payload"]) if "payload" in event else None,
            None if event.get("error") is None else _readable(str(event["error"])),
        )
        for event in events
        if event is not None
    ]


def _readable(text: str) -> str:
    """Return a text without halves of pairs of surrogates, which no client can read."""
    return text.encode(errors="replace").decode()


def _json(payload: Any) -> str:
    try:
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()  # Refuses half of a pair of surrogates.
    except (TypeError, ValueError, RecursionError) as error:
        raise BrokenHandlerError(f"a payload in its answer is not JSON: {error}") from None
    return text
