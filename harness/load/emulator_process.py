"""Start the emulator of a target as a process of its own, and end it with the run."""

import subprocess
import sys
import time
from pathlib import Path

import gevent
import orjson

from harness.core.errors import TargetUnreachableError
from harness.core.exit_codes import ExitCode
from harness.load.order import Endpoints

START_WITHIN_S = 20.0
STOP_WITHIN_S = 5.0


class EmulatorProcess:
    """``harness emulate`` in a session of its own, which Ctrl-C does not reach.

    It ends when its standard input closes, so it cannot outlive this process, however that ends.

    Args:
        target_file: The target whose emulator to start.
        overrides: ``target.…`` overrides, as given to the run.
        log_file: Where its standard error goes.

    Raises:
        TargetUnreachableError: If it does not accept connections in time.
    """

    def __init__(self, target_file: str, overrides: list[str], log_file: Path) -> None:
        command = [sys.executable, "-m", "harness", "emulate", target_file]
        command += ["--json", "--exit-with-parent"]
        for override in overrides:
            if override.startswith("target."):
                command += ["--set", override]
        self._log_file = log_file
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.endpoints = self._wait_until_accepting()

    def _wait_until_accepting(self) -> Endpoints:
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        line = b""
        with gevent.Timeout(START_WITHIN_S, exception=False):
            line = self._process.stdout.readline()
        try:
            told = orjson.loads(line)
        except orjson.JSONDecodeError:
            self.stop()
            raise self._did_not_start() from None
        return Endpoints(told["http"], told["realtime"], told["ca_file"])

    def _did_not_start(self) -> TargetUnreachableError:
        said = self.last_words()
        error = TargetUnreachableError(
            "emulator", f"did not start ({said or 'it said nothing'})", "it must accept connections"
        )
        if self._process.returncode == ExitCode.BAD_USAGE:
            # Its own sentence already has place and hint; the run cannot be started as asked.
            error.hint = "check the [emulator] table of the target file"
        return error

    def last_words(self) -> str:
        """Return the last thing it wrote to standard error, on one line."""
        lines = self._log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " ".join(lines[-2:])

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Close its standard input and wait for it to end; kill it if it does not."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        deadline_s = time.monotonic() + STOP_WITHIN_S
        while self.alive and time.monotonic() < deadline_s:
            gevent.sleep(0.02)
        if self.alive:
            self._process.kill()
            self._process.wait()
