"""A running emulator and peers to drive it, none of which uses our own client."""

import contextlib
import logging

import pytest

from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import connect
from tests.support.handler_runner import Stand

__all__ = ["connect"]


@pytest.fixture(scope="session")
def options():
    """Options every emulator of these tests shares unless it says otherwise."""
    return {"api_keys": ("da2-other", "da2-test"), "namespaces": ("default", "second")}


@pytest.fixture(scope="session")
def shared_emulator(options):
    """One emulator of one process for all tests that leave nothing behind in it."""
    with AppSyncEventsEmulator.start(Options(**options)) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def impatient_emulator(options):
    """An emulator whose keep-alive is due soon."""
    with AppSyncEventsEmulator.start(Options(**options, keep_alive_s=0.8)) as emulator:
        yield emulator


@pytest.fixture
def peer(connect, shared_emulator):
    """One connection to the shared emulator."""
    return connect(shared_emulator)


@pytest.fixture
def handlers_of():
    """Make the handlers of a namespace with these keys; they are closed after the test."""
    with contextlib.ExitStack() as made:
        yield lambda **namespace: made.enter_context(Stand(**namespace))


@pytest.fixture
def javascript(handlers_of, write):
    """Make handlers of JavaScript code."""
    return lambda code, **keys: handlers_of(code=str(write("handlers.js", code)), **keys)


@pytest.fixture
def python(handlers_of, write):
    """Make handlers of Python code; `publish` and `subscribe` are what it may define."""

    def make(code, **keys):
        file = write("handlers.py", code)
        found = [name for name in ("publish", "subscribe") if f"def {name}" in code]
        return handlers_of(**keys, **{f"on_{name}": f"{file}:{name}" for name in found})

    return make


@pytest.fixture
def evaluate(javascript):
    """Return the value that an expression has in a handler."""

    def value_of(expression, **context):
        (value,) = javascript(f"""
            export const onPublish = (ctx) =>
                ctx.events.map(({{ id }}) => ({{ id, payload: {expression} }}))
        """).broadcast(None, **context)
        return value

    return value_of


@pytest.fixture
def handlers_said(caplog):
    """Return what handlers have told the log, as levels and texts."""
    caplog.set_level(logging.INFO, logger="harness.handlers")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]
