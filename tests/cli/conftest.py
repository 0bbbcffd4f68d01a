"""What the tests of all verbs have in common."""

import contextlib
import subprocess
import sys

import pytest


@pytest.fixture(autouse=True)
def _unexported(unexported, outside_of_github):
    """Look at what is printed and at which files are there, not at drawings."""


@pytest.fixture
def start_emulate():
    """Return a function that starts ``harness emulate``, which is ended after the test."""
    with contextlib.ExitStack() as started:

        def start(*arguments, **pipes):
            command = [sys.executable, "-m", "harness", "emulate", *map(str, arguments)]
            pipes |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = started.enter_context(subprocess.Popen(command, text=True, **pipes))
            started.callback(process.terminate)
            return process

        yield start
