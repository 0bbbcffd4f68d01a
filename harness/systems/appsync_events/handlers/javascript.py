"""Handlers in JavaScript: ``onPublish`` and ``onSubscribe`` of APPSYNC_JS, in QuickJS.

The engine is quickjs-ng, by the Python package of that name. Measured beside the others that have
wheels and are newer than 2020, where a call filters and rewrites a batch of five events:

============  =========  ==========  ==========  ==================================================
package       start, ms  memory, MB  a call, µs  stops a loop, and one that eats memory
============  =========  ==========  ==========  ==================================================
quickjs-ng          0.3           3          28  both, also inside a regular expression
quickjs             1.1           3          35  both, but not inside a regular expression; archived
mini-racer          173          57         224  both, also inside a regular expression
jsrun               137          36          23  not from outside the thread that loops
============  =========  ==========  ==========  ==================================================

With the way to the thread and back, a publish of one to five events costs 50 to 160 µs of a core.

The engine has no module loader that Python could serve, so imports and exports are translated, by
tree-sitter's parser. All code runs in one thread of each process, beside the event loop: a handler
that loops delays other handlers for ``TIME_LIMIT_S``, and nothing else. That limit is the
emulator's own; the service gives a request 30 s, which include its data source.

What one call may leave behind for another: nothing. Every call runs the file from its first line,
so its variables start afresh, and the objects of the language are read-only. What the service does
is undocumented; code that works here cannot depend on it.

A handler of the form ``{request, response}`` has a data source: the Python function of the
namespace that gets what ``request`` returned, and returns ``ctx.result``. Without one it is as
with a data source of the type NONE: ``ctx.result`` is the ``payload`` of what ``request`` returned.
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import orjson
import quickjs

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.systems.appsync_events.handlers.callables import CallFailedError, UserFunction
from harness.systems.appsync_events.handlers.javascript_source import Source, read_source
from harness.systems.appsync_events.handlers.rules import (
    LOGGER,
    Answered,
    BrokenHandlerError,
    Context,
    Incoming,
    Operation,
    context_body,
    custom_error,
    unauthorized,
)
from harness.systems.appsync_events.operations import Refusal

TIME_LIMIT_S = 1.0
"""CPU time of this process that one call may take."""

MEMORY_LIMIT_BYTES = 128 * 1024 * 1024
"""Memory of the engine of one file: five events at their largest, taken apart and copied."""

DATA_SOURCE_LIMIT_S = 30.0
"""Source: Service Quotas, request execution time 30 s."""

Step = Literal["kinds", "run", "request", "response"]

_FOLDER = Path(__file__).parent
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_LINE = re.compile(r"<input>:(\d+)")


class Engine:
    """One QuickJS runtime that holds the handlers of one file; for one thread only.

    Raises:
        quickjs.JSException: If the engine does not take the code.
    """

    def __init__(self, source: Source) -> None:
        context = quickjs.Context()
        context.set_memory_limit(MEMORY_LIMIT_BYTES)
        context.set_time_limit(TIME_LIMIT_S)
        # The code's own lines keep their numbers, and all others get higher ones.
        handlers = context.eval(
            f'(function (util, runtime, console, JSON) {{"use strict"; {source.body}\n}})'
        )
        util, time, runtime = (
            context.eval("\n" * source.lines + (_FOLDER / name).read_text(encoding="utf-8"))
            for name in ("util.js", "time.js", "runtime.js")
        )
        self._call = runtime(handlers, util, time)

    def call(self, name: str, step: Step, context: bytes) -> dict[str, Any]:
        """Return what ``runtime.js`` answers to one call.

        Args:
            name: ``onPublish`` or ``onSubscribe``.
            step: Which function of the handler.
            context: JSON text of ``ctx``.

        Raises:
            quickjs.JSException: If time or memory ran out; the engine is of no more use.
        """
        answer: dict[str, Any] = orjson.loads(self._call(name, step, context.decode()))
        return answer


class JavaScriptHandler:
    """The handlers in one file of a namespace; made inside the running event loop.

    Args:
        key: The key of the scenario file that names it.
        thread: Runs all JavaScript of this process, one call at a time.
        data_source: What ``request`` asks and ``response`` hears, where there is one.

    Raises:
        ScenarioError: If the file cannot be read, or its code is not taken.
    """

    def __init__(
        self, file: Path, key: str, thread: Executor, data_source: UserFunction | None
    ) -> None:
        self._file = file
        self._source = read_source(file, key)
        self._thread = thread
        self._data_source = data_source
        self._engine: Engine | None = None
        self._kinds = thread.submit(self._load).result()
        self.publishes = "onPublish" in self._kinds
        self.subscribes = "onSubscribe" in self._kinds

    async def on_publish(
        self, context: Context, events: Sequence[Incoming]
    ) -> list[Answered] | Refusal:
        """Return the events as the handler returned them; see ``Handler``."""
        body = context_body(context, "PUBLISH")
        body["events"] = [
            {"id": event.id, "payload": orjson.Fragment(event.text)} for event in events
        ]
        reply = await self._ask("onPublish", body)
        if "refusal" in reply:
            return _refusal("PUBLISH", **reply["refusal"])
        return [Answered(**event) for event in reply["events"]]

    async def on_subscribe(self, context: Context) -> Refusal | None:
        """Return why a subscribe is refused; see ``Handler``."""
        reply = await self._ask("onSubscribe", context_body(context, "SUBSCRIBE"))
        return _refusal("SUBSCRIBE", **reply["refusal"]) if "refusal" in reply else None

    async def _ask(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Run a handler, with its data source if it has one; return the last answer."""
        if self._kinds[name] == "function":
            return await self._run(name, "run", body)
        asked = await self._run(name, "request", body)
        if "request" not in asked:
            return asked
        data = await self._data(asked["request"])
        return await self._run(name, "response", {**body, "stash": asked["stash"], **data})

    async def _data(self, request: Any) -> dict[str, Any]:
        """Return what the data source adds to ``ctx``: a result, or an error."""
        if self._data_source is None:
            return {"result": request.get("payload") if isinstance(request, dict) else None}
        try:
            result = await self._data_source.call(request, timeout_s=DATA_SOURCE_LIMIT_S)
            return {"result": orjson.Fragment(orjson.dumps(result))}
        except (CallFailedError, orjson.JSONEncodeError) as error:
            return {"error": {"message": str(error), "type": "DataSourceError"}}

    async def _run(self, name: str, step: Step, body: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            context = orjson.dumps(body)
        except orjson.JSONEncodeError as error:  # A token may claim a huge number.
            raise BrokenHandlerError(f"{self._file}: ctx cannot be passed on: {error}") from None
        reply = await loop.run_in_executor(self._thread, self._call, name, step, context)
        for level, text in reply["said"]:
            LOGGER.log(_LEVELS[level], "%s: %s", self._file, text)
        if "failure" in reply:
            raise BrokenHandlerError(f"{self._place(reply['stack'])}: {reply['failure']}")
        return reply

    def _call(self, name: str, step: Step, context: bytes) -> dict[str, Any]:
        """Call the engine, in its thread; one that reached a limit gives way to a new one."""
        try:
            if self._engine is None:
                self._engine = Engine(self._source)
            return self._engine.call(name, step, context)
        except quickjs.JSException as error:
            self._engine = None
            reason, _, stack = str(error).partition("\n")
            if reason == "null":
                reason = "InternalError: out of memory"
            limits = f"{TIME_LIMIT_S:g} s of CPU, {MEMORY_LIMIT_BYTES // 1024**2} MB of memory"
            found = f"{self._place(stack)}: {reason} (a call may take {limits})"
            raise BrokenHandlerError(found) from None

    def _load(self) -> dict[str, str]:
        """Return the form of each handler, in the engine's thread: function or object."""
        try:
            self._engine = Engine(self._source)
            reply = self._engine.call("", "kinds", b"null")
        except quickjs.JSException as error:
            reason, _, stack = str(error).partition("\n")
            reply = {"failure": reason, "stack": stack}
        if "failure" in reply:
            problem = ScenarioProblem(self._place(reply["stack"]), "", reply["failure"], "must run")
            raise ScenarioError([problem])
        kinds: dict[str, str] = reply["kinds"]
        for name, kind in kinds.items():
            if kind not in {"function", "object"}:
                rule = f"must export {name} as a function, or an object of request and response"
                raise ScenarioError([ScenarioProblem(str(self._file), "", kind, rule)])
        return kinds

    def _place(self, stack: str) -> str:
        """Return the file, and its line that comes first in a stack of calls."""
        lines = (int(line) for line in _LINE.findall(stack))
        own = [line for line in lines if line <= self._source.lines]
        return f"{self._file}:{own[0]}" if own else str(self._file)


def _refusal(operation: Operation, kind: str, message: str, error_type: str) -> Refusal:
    if kind == "unauthorized":
        return unauthorized(operation)
    return custom_error(operation, message, error_type)
