"""Start the emulator of a target as a process of its own, and end it with the run."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
import orjson

from harness.core.errors import MachineError
from harness.load.order import Endpoints

START_WITHIN_S = 20.0
STOP_WITHIN_S = 5.0

_ERROR, _HINT = "error: ", "hint: "  # How `harness emulate` begins what it tells the user.


class EmulatorNotStartedError(MachineError):
    """The emulator of the target could not be started; the sentence is its own."""

    def __init__(self, found: str, hint: str | None) -> None:
        super().__init__("emulator", found, "it must accept connections", hint)

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.found}"
        return f"{sentence}\nhint: {self.hint}" if self.hint else sentence


class EmulatorProcess:
    """``harness emulate`` in a session of its own, which Ctrl-C does not reach.

    It ends when its standard input closes, so it cannot outlive this process, however that ends.

    Args:
        target_file: The target whose emulator to start.
        overrides: ``target.…`` overrides, as given to the run.
        log_file: Where its standard error goes.

    Raises:
        EmulatorNotStartedError: If it does not accept connections in time.
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
        line: bytes | None = None
        with gevent.Timeout(START_WITHIN_S, exception=False):
            line = self._process.stdout.readline()
        try:
            told = orjson.loads(line or b"")
        except orjson.JSONDecodeError:
            self.stop()
            raise self._not_started(in_time=line is not None) from None
        return Endpoints(told["http"], told["realtime"], told["ca_file"])

    def _not_started(self, *, in_time: bool) -> EmulatorNotStartedError:
        late = f"not accepting connections after {START_WITHIN_S:.0f} s"
        hints = [line.removeprefix(_HINT) for line in self._said() if line.startswith(_HINT)]
        found = self.last_words() if in_time else late
        return EmulatorNotStartedError(found, hints[-1] if hints else None)

    def last_words(self) -> str:
        """Return the last error it told, or how it ended where it told none."""
        told = [line.removeprefix(_ERROR) for line in self._said() if line.startswith(_ERROR)]
        if told:
            return told[-1]
        status = self._process.wait()
        return f"killed by signal {-status}" if status < 0 else f"ended with exit code {status}"

    def _said(self) -> list[str]:
        return self._log_file.read_text(encoding="utf-8", errors="replace").splitlines()

    def tell(self, order: Mapping[str, Any]) -> None:
        """Give the running emulator an order, such as to kill one of its processes.

        Raises:
            OSError: If it is gone.
        """
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        self._process.stdin.write(orjson.dumps(order) + b"\n")
        self._process.stdin.flush()

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
