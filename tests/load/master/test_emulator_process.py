import sys

import pytest

from harness.core.child_errors import ERROR_FILE_VARIABLE, encode_error
from harness.core.errors import MachineError, ScenarioError, ScenarioProblem
from harness.core.exit_codes import ExitCode
from harness.load.master.emulator_process import (
    EmulatorControls,
    EmulatorNotStartedError,
    EmulatorProcess,
)
from harness.load.worker_protocol import Endpoints
from harness.scenario.resolved import decode_target
from tests.support.plans import EMULATED as TARGET
from tests.support.servers import answering_posts

PROGRAM = """#!/bin/sh
{script}
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a shell script in place of the emulator; it is stopped after the test."""
    started = []

    def begin(script):
        program = tmp_path / "program"
        program.write_text(PROGRAM.format(script=script), encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        started.append(EmulatorProcess("target.toml", TARGET, tmp_path / "log"))
        return started[0]

    yield begin
    for emulator in started:
        emulator.stop()


def reports(error):
    """Return the script of an emulator that reports an error and ends."""
    return f"printf '%s\\n' '{encode_error(error).decode()}'; exit 2"


SERVES = """echo '{"http": "http://h", "realtime": "ws://r", "ca_file": null}'"""


def test_own_sentence_of_an_emulator_that_cannot_start(start):
    """Its words and its hint stand as they are, and the user is at fault."""
    with pytest.raises(EmulatorNotStartedError) as caught:
        start(reports(MachineError("port", "taken", "a free one is needed", "wait")))
    assert "emulator: port: taken, a free one is needed\nhint: wait" == str(caught.value)
    assert ExitCode.BAD_USAGE == caught.value.exit_code


def test_emulator_that_says_nothing_is_told_by_its_end(start):
    """Without a sentence of its own, how it ended is all there is."""
    with pytest.raises(EmulatorNotStartedError, match=r"^emulator: ended with exit code 3$"):
        start("exit 3")


def test_every_problem_of_a_target_that_an_emulator_cannot_load(start):
    """They are the user's to repair, so they come as those of any scenario file."""
    error = ScenarioError([ScenarioProblem("t.toml", key, "1", "must be 2") for key in "ab"])
    with pytest.raises(ScenarioError) as caught:
        start(reports(error))
    assert str(error) == str(caught.value)


def test_error_of_an_emulator_that_died(start):
    """It reported why it ended; what it wrote to its log is not read."""
    lost = MachineError("emulator", "ended by itself", "it must not", "look")
    emulator = start(f"{SERVES}; echo 'error: another' >&2; {reports(lost)}")
    emulator._process.wait()
    reason = "emulator: ended by itself, it must not"
    assert (reason, False) == (emulator.end_reason(), emulator.alive)


def test_emulator_takes_its_target_from_standard_input(start, tmp_path):
    """The first line is the whole resolved target; no file of the user's is read again."""
    start(f"read -r line; {SERVES}; printf '%s' \"$line\" >&2")._process.wait()
    file, target = decode_target((tmp_path / "log").read_bytes())
    assert ("target.toml", TARGET) == (file, target)


def test_killed_emulator_is_told_by_the_signal(start):
    """A kill leaves no words."""
    assert "killed by signal 9" == start(f"{SERVES}; kill -9 $$").end_reason()


def test_emulator_does_not_report_past_us(start, tmp_path, monkeypatch):
    """The file for the errors of a run holds the run's sentence, not the emulator's own."""
    monkeypatch.setenv(ERROR_FILE_VARIABLE, str(tmp_path / "error.json"))
    start(f'echo "$HARNESS_ERROR_FILE." >&2; {SERVES}')._process.wait()
    assert ".\n" == (tmp_path / "log").read_text(encoding="utf-8")


def test_emulator_is_controlled_without_the_proxy_of_the_environment(monkeypatch):
    """It runs on this machine, or beside it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    received = []

    def answer(_request, body):
        received.append(body)
        return 200, b"{}"

    with answering_posts(answer) as port:
        address = f"http://127.0.0.1:{port}/event"
        EmulatorControls(Endpoints(address, address)).set_faults([])
    assert [b"[]"] == received
