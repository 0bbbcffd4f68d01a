"""A running emulator and peers to drive it, none of which uses our own client."""

import contextlib
import logging
from functools import partial

import pytest

from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import open_peer
from tests.support.handler_runner import Stand


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
def connect():
    """Open connections to an emulator; they are closed after the test."""
    with contextlib.ExitStack() as opened:
        yield partial(open_peer, opened)


@pytest.fixture
def peer(connect, shared_emulator):
    """One connection to the shared emulator."""
    return connect(shared_emulator)


@pytest.fixture
def now_s(monkeypatch):
    """A clock that a test sets, in a list of one."""
    now_s = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    return now_s


@pytest.fixture
def handlers_of():
    """Make the handlers of a namespace with these keys; they are closed after the test."""
    with contextlib.ExitStack() as made:
        yield lambda **namespace: made.enter_context(Stand(**namespace))


@pytest.fixture
def javascript(handlers_of, tmp_path):
    """Make handlers of JavaScript code."""

    def make(code, **namespace):
        file = tmp_path / "handlers.js"
        file.write_text(code, encoding="utf-8")
        return handlers_of(code=str(file), **namespace)

    return make


@pytest.fixture
def python(handlers_of, tmp_path):
    """Make handlers of Python code; `publish` and `subscribe` are what it may define."""

    def make(code, **namespace):
        file = tmp_path / "handlers.py"
        file.write_text(code, encoding="utf-8")
        for operation in ("publish", "subscribe"):
            if f"def {operation}" in code:
                namespace[f"on_{operation}"] = f"{file}:{operation}"
        return handlers_of(**namespace)

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
