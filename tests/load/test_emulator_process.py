import pytest

from harness.core.exit_codes import ExitCode
from harness.load import emulator_process
from harness.load.emulator_process import EmulatorNotStartedError, EmulatorProcess

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
        monkeypatch.setattr(emulator_process.sys, "executable", str(program))
        started.append(EmulatorProcess("target.toml", [], tmp_path / "log"))
        return started[0]

    yield begin
    for emulator in started:
        emulator.stop()


SERVES = """echo '{"http": "http://h", "realtime": "ws://r", "ca_file": null}'"""


def test_own_sentence_of_an_emulator_that_cannot_start(start):
    """Its words and its hint stand as they are, and the user is at fault."""
    with pytest.raises(EmulatorNotStartedError) as caught:
        start("echo 'error: port: taken, a free one is needed' >&2; echo 'hint: wait' >&2; exit 2")
    assert "emulator: port: taken, a free one is needed\nhint: wait" == str(caught.value)
    assert ExitCode.BAD_USAGE == caught.value.exit_code


def test_emulator_that_says_nothing_is_told_by_its_end(start):
    """Without a sentence of its own, how it ended is all there is."""
    with pytest.raises(EmulatorNotStartedError, match=r"^emulator: ended with exit code 3$"):
        start("exit 3")


def test_last_error_of_a_dead_emulator(start):
    """The last of several is why it ended."""
    emulator = start(f"{SERVES}; echo 'error: a' >&2; echo noise >&2; echo 'error: b' >&2")
    emulator._process.wait()
    assert ("b", False) == (emulator.last_words(), emulator.alive)


def test_killed_emulator_is_told_by_the_signal(start):
    """A kill leaves no words."""
    emulator = start(f"{SERVES}; kill -9 $$")
    assert "killed by signal 9" == emulator.last_words()
