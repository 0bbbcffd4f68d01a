"""The handlers of an emulated API: who has one, and what comes of calling it.

A handler runs after authorisation. Whatever is wrong with it refuses the request and is told to
the log; the client learns nothing of it.
"""

from asyncio import Lock
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.core.errors import NotInstalledError
from harness.systems.appsync_events.handlers.callables import UserFunction
from harness.systems.appsync_events.handlers.python import PythonHandler
from harness.systems.appsync_events.handlers.rules import (
    LOGGER,
    BrokenHandlerError,
    Context,
    Handler,
    Incoming,
    Operation,
    Outcome,
    failure,
    outcome_of,
)
from harness.systems.appsync_events.operations import Refusal
from harness.systems.appsync_events.options import Namespace, Options

__all__ = ["Context", "Handlers", "Incoming", "Outcome"]


class Handlers:
    """The handlers of all namespaces; made inside the running event loop.

    Raises:
        ScenarioError: If code or a function that the options name cannot be loaded.
        NotInstalledError: If there is code, and nothing to run it with.
    """

    def __init__(self, options: Options) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="javascript")
        self._locks: dict[str, Lock] = {}
        try:
            self._handlers = {
                namespace.name: self._handler(namespace, f"namespaces[{position}]")
                for position, namespace in enumerate(options.namespaces)
            }
        except BaseException:
            self.close()
            raise

    def has_publish(self, namespace: str) -> bool:
        """Say whether ``on_publish`` has anything to do."""
        return self._handlers[namespace].publishes

    def has_subscribe(self, namespace: str) -> bool:
        """Say whether ``on_subscribe`` has anything to do."""
        return self._handlers[namespace].subscribes

    async def on_publish(self, context: Context, events: Sequence[Incoming]) -> Outcome | Refusal:
        """Return what a namespace's handler makes of the events of one publish."""
        try:
            answer = await self._handlers[context.namespace.name].on_publish(context, events)
            if isinstance(answer, Refusal):
                return answer
            if answer is None:
                return Outcome([(event.id, event.text) for event in events], {})
            return outcome_of(events, answer)
        except BrokenHandlerError as error:
            return _broken(context, "PUBLISH", error)

    async def on_subscribe(self, context: Context) -> Refusal | None:
        """Return why a namespace's handler refuses a subscribe; None where it lets it pass."""
        try:
            return await self._handlers[context.namespace.name].on_subscribe(context)
        except BrokenHandlerError as error:
            return _broken(context, "SUBSCRIBE", error)

    def close(self) -> None:
        """End the thread; calls that still wait are dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _handler(self, namespace: Namespace, key: str) -> Handler:
        if namespace.code is None:
            return PythonHandler(namespace, key, self._locks)
        data_source = (
            UserFunction(namespace.data_source, f"{key}.data_source")
            if namespace.data_source is not None
            else None
        )
        try:
            from harness.systems.appsync_events.handlers.javascript import (  # noqa: PLC0415 - its engine and parser are optional
                JavaScriptHandler,
            )
        except ImportError as error:
            raise NotInstalledError(f"{key}.code", error, "handlers") from None
        return JavaScriptHandler(Path(namespace.code), f"{key}.code", self._thread, data_source)


def _broken(context: Context, operation: Operation, error: BrokenHandlerError) -> Refusal:
    """Log what went wrong with a handler, and return the error for the client."""
    LOGGER.error("%s in namespace %s failed: %s", operation, context.namespace.name, error)
    return failure(operation)
