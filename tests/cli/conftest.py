"""What the tests of all verbs have in common."""

import contextlib
import json
import subprocess
import sys

import pytest

from harness.cli.output import OUTPUT, Output, print_json


@pytest.fixture(autouse=True)
def _unexported(unexported, outside_of_github):
    """Look at what is printed and at which files are there, not at drawings."""


@pytest.fixture(autouse=True)
def output():
    """Return what decides how a subcommand prints, as it is when a process starts."""
    vars(OUTPUT).update(vars(Output()))
    return OUTPUT


@pytest.fixture
def printed_json(output, capsys):
    """Return a function that ends a subcommand as ``main`` does, and reads its JSON."""

    def read(code=0):
        print_json(code)
        return json.loads(capsys.readouterr().out)

    return read


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
