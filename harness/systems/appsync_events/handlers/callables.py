"""Python functions of the user's own that the emulator calls as AWS would call a Lambda function.

They are named ``file.py:function`` or ``package.module:function``, and take what a Lambda handler
takes: the event, and a context if they ask for one. A function may be plain or ``async``. Whatever
it does wrong is an error of its own, never of the emulator.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from harness.core.errors import HarnessError, ScenarioError, ScenarioProblem

MAX_THREADS = 64
"""Calls of one plain function that run at once in one process; an ``async`` one has no limit."""

ENDED = (Exception, SystemExit, KeyboardInterrupt)
"""What a function may raise: it may not end the emulator by ``sys.exit()`` either."""


class CallFailedError(HarnessError):
    """A user's function raised, or took too long; quotes nothing of what it was given.

    Args:
        raised: Name of the class it raised; empty where it raised nothing.
    """

    def __init__(self, where: str, found: str, required: str, *, raised: str = "") -> None:
        super().__init__(where, found, required)
        self.raised = raised


class LambdaContext(NamedTuple):
    """The context of a call, as far as libraries for Lambda need it."""

    function_name: str
    aws_request_id: str
    invoked_function_arn: str
    deadline_s: float
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "128"

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the emulator will go on waiting for the answer."""
        return max(0, round((self.deadline_s - time.monotonic()) * 1000))


class UserFunction:
    """One of the user's functions, loaded.

    Args:
        name: ``file.py:function`` or ``package.module:function``.
        key: The key of the scenario file that names it.

    Attributes:
        is_async: Whether it is ``async``, and so needs no thread.

    Raises:
        ScenarioError: If there is no such function, or loading its module fails.
    """

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        place, _, attribute = name.rpartition(":")
        module = _load(place, name, key)
        function = getattr(module, attribute, None)
        if not callable(function):
            rule = f"must name a function that {place} defines"
            raise _problem(name, key, rule, f"`def {attribute}(event):`")
        self._function: Callable[..., Any] = function
        self._file = module.__file__ or ""
        self._takes_context = _takes_context(function)
        self.is_async = inspect.iscoroutinefunction(function)
        self._threads = asyncio.Semaphore(MAX_THREADS)

    async def call(self, event: Any, *, timeout_s: float) -> Any:
        """Return what the function answers; a plain function runs in a thread of its own.

        Args:
            event: What it is called with; it may change it.
            timeout_s: Seconds to wait for the answer. A plain function that takes longer runs on
                in its thread.

        Raises:
            CallFailedError: If it raised, or did not answer in time.
        """
        arguments = (event, self._context(timeout_s)) if self._takes_context else (event,)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await self._answer(arguments)
        except ENDED as error:
            raised = "" if limit.expired() else type(error).__name__
            # Its sentence is left out: it may quote a token.
            found = f"raised {raised}{_line(error, self._file)}"
            found = found if raised else f"no answer in {timeout_s:g} s"
            required = "an answer is required"
            raise CallFailedError(self.name, found, required, raised=raised) from None

    def _context(self, timeout_s: float) -> LambdaContext:
        name = self.name.rpartition(":")[2]
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        return LambdaContext(name, str(uuid.uuid4()), arn, time.monotonic() + timeout_s)

    async def _answer(self, arguments: tuple[Any, ...]) -> Any:
        if self.is_async:
            return await self._function(*arguments)
        await self._threads.acquire()
        outcome = await _run_in_thread(self._function, arguments, self._threads.release)
        if outcome.error is not None:
            raise outcome.error
        # A decorator may hide that the function is async.
        return await outcome.answer if inspect.isawaitable(outcome.answer) else outcome.answer


class _Outcome(NamedTuple):
    answer: Any
    error: BaseException | None


def _run_in_thread(
    function: Callable[..., Any], arguments: tuple[Any, ...], at_end: Callable[[], None]
) -> asyncio.Future[_Outcome]:
    """Run a function in a new daemon thread; one of a pool would keep a stopping process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Outcome] = loop.create_future()

    def settle(outcome: _Outcome) -> None:
        at_end()
        if not future.done():
            future.set_result(outcome)

    def run() -> None:
        try:
            outcome = _Outcome(function(*arguments), None)
        except ENDED as error:
            outcome = _Outcome(None, error)
        with contextlib.suppress(RuntimeError):  # The loop is closed: no caller waits any more.
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, daemon=True, name="user function").start()
    return future


def _takes_context(function: Callable[..., Any]) -> bool:
    """Say whether a function takes a second argument, as Lambda handlers do."""
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _load(place: str, name: str, key: str) -> ModuleType:
    """Import the module or run the file that a function is in."""
    file = Path(place).resolve()
    is_file = place.endswith(".py")
    if is_file and not file.is_file():
        raise _problem(name, key, "must name a file that exists", f"{file} does not")
    try:
        if is_file:
            return _module_in(file, file.stat().st_mtime_ns)
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)  # Behind all packages: nothing here may stand in for one.
        return importlib.import_module(place)
    except ENDED as error:
        rule = "must name a module that loads"
        hint = f"{type(error).__name__}: {error}{_line(error, str(file))}"
        raise _problem(name, key, rule, hint) from error


@cache
def _module_in(file: Path, changed_ns: int) -> ModuleType:
    """Run a file as a module, once for all its functions until it changes."""
    name = f"emulator_user_{file.stem}_{changed_ns}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look their module up by its name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _line(error: BaseException, file: str) -> str:
    """Say in which line of a file an error arose: " in auth.py, line 7"."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f" in {Path(file).name}, line {lines[-1]}" if lines else ""


def _problem(name: str, key: str, rule: str, hint: str) -> ScenarioError:
    return ScenarioError([ScenarioProblem("[emulator]", key, repr(name), rule, hint)])
