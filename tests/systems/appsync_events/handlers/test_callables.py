import asyncio
import sys
import threading
from functools import partial

import pytest

from harness.core.errors import ScenarioError
from harness.systems.appsync_events.handlers.callables import CallFailedError, UserFunction
from tests.support.waiting import PATIENCE_S

MODULE = """
import asyncio, functools, sys, threading, time

calls = []

def plain(event):
    calls.append(event)
    return {"plain": event, "calls": len(calls)}

def handler(event, context):
    return [event, context.function_name, context.get_remaining_time_in_millis() > 9000]

async def gentle(event):
    await asyncio.sleep(0)
    return {"async": event}

@functools.lru_cache
def hidden(event):
    return gentle(event)

def count(event):
    return len(calls)

def fails(event):
    raise ValueError(f"bad token {event}")

def leaves(event):
    sys.exit(3)

async def leaves_async(event):
    raise SystemExit(3)

def stops(event):
    raise StopIteration

together = threading.Barrier(20)

def meets(event):
    together.wait(event)
    return "met"

def sleeps(event):
    time.sleep(event)
    return "slept"

async def hangs(event):
    await asyncio.sleep(3600)

no_function = 5
"""


@pytest.fixture
def user_file(folder, write):
    """A module of the user's in the working directory."""
    return write("mine.py", MODULE)


def load(name):
    return UserFunction(name, "lambda_authorizer.function")


def call(function, event, timeout_s=PATIENCE_S):
    return asyncio.run(function.call(event, timeout_s=timeout_s))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("plain", {"plain": "e", "calls": 1}),
        ("handler", ["e", "handler", True]),
        ("gentle", {"async": "e"}),
        ("hidden", {"async": "e"}),
    ],
)
def test_function_of_a_file_is_called_plain_async_and_with_a_context(user_file, name, answer):
    """Functions as users write them for Lambda work unchanged."""
    assert answer == call(load(f"mine.py:{name}"), "e")


def test_function_of_a_module_is_called():
    """A dotted name is imported as any module is."""
    assert '{"a": 1}' == call(load("json:dumps"), {"a": 1})


def test_functions_of_one_file_share_its_module_until_it_changes(user_file):
    """State is shared between the functions, and a file that changed is loaded anew."""
    call(load("mine.py:plain"), "e")
    assert 1 == call(load("mine.py:count"), "e")
    user_file.write_text(MODULE + "\ncalls = [1, 2, 3]\n")
    assert 3 == call(load("mine.py:count"), "e")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("absent.py:f", "", ["must name a file that exists", "absent.py does not"]),
        ("no.such.module:f", "", ["must name a module that loads", "No module named 'no'"]),
        ("mine.py:absent", "", ["must name a function that mine.py defines", "def absent(event):"]),
        ("mine.py:no_function", "", ["must name a function that mine.py defines"]),
        ("mine.py:f", "x = 1\ny = z", ["must name a module that loads", "NameError", "line 2"]),
        ("mine.py:f", "x = (", ["must name a module that loads", "SyntaxError", "line 1"]),
        ("mine.py:f", "raise SystemExit(4)", ["must name a module that loads", "SystemExit"]),
    ],
)
def test_what_cannot_be_loaded_is_a_scenario_error_with_a_hint(user_file, name, text, said):
    """The key, the name and the reason are told, in two lines."""
    if text:
        user_file.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(name)
    sentence = str(caught.value)
    assert sentence.startswith("[emulator]: lambda_authorizer.function must name a ")
    assert all(part in sentence for part in [repr(name), "\nhint: ", *said]), sentence


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fails", "mine.py:fails: raised ValueError in mine.py, line 25, an answer is required"),
        ("leaves", "mine.py:leaves: raised SystemExit in mine.py"),
        ("leaves_async", "mine.py:leaves_async: raised SystemExit in mine.py"),
        ("stops", "mine.py:stops: raised "),
    ],
)
def test_function_that_raises_is_an_error_that_quotes_nothing(user_file, name, said):
    """Not even sys.exit() ends more than the call; what it was given is not told."""
    with pytest.raises(CallFailedError) as caught:
        call(load(f"mine.py:{name}"), "the-secret-token")
    assert str(caught.value).startswith(said)
    assert "the-secret-token" not in str(caught.value)


@pytest.mark.parametrize(("name", "event"), [("sleeps", 1.0), ("hangs", None)])
def test_function_that_does_not_answer_in_time_is_given_up(user_file, name, event):
    """The caller does not wait longer than it said."""
    with pytest.raises(CallFailedError, match=r"no answer in 0\.05 s"):
        call(load(f"mine.py:{name}"), event, timeout_s=0.05)


def test_slow_plain_function_does_not_block_the_event_loop(user_file):
    """While it waits, the loop goes on and other calls of it run at the same time."""

    async def together():
        call = partial(load("mine.py:meets").call, PATIENCE_S, timeout_s=PATIENCE_S)
        first = asyncio.create_task(call())
        await asyncio.sleep(0.05)
        assert not first.done()
        return await asyncio.gather(first, *(call() for _ in range(19)))

    assert ["met"] * 20 == asyncio.run(together())


def test_thread_of_a_hanging_function_does_not_keep_the_process(user_file):
    """It is a daemon: the emulator may stop while the user's function sleeps."""
    with pytest.raises(CallFailedError):
        call(load("mine.py:sleeps"), 5.0, timeout_s=0.01)
    left = [thread for thread in threading.enumerate() if thread.name == "user function"]
    assert left
    assert all(thread.daemon for thread in left)
    for thread in left:
        thread.join(PATIENCE_S)


def test_module_of_the_working_directory_is_found(tmp_path, monkeypatch):
    """Behind all packages: a file there called like one is not taken for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    (tmp_path / "handlers_of_mine.py").write_text("def answer(event):\n    return 1\n", "utf-8")
    UserFunction("handlers_of_mine:answer", "credentials")
    assert str(tmp_path) == sys.path[-1]
