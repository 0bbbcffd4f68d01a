"""Start the emulator of a target as a process of its own, and end it with the run."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
import orjson

from harness.core.child_errors import ERROR_FILE_VARIABLE, decode_error
from harness.core.child_python import python_command
from harness.core.errors import HarnessError, MachineError, ScenarioError
from harness.load.worker_protocol import Endpoints
from harness.scenario.resolved import encode_target
from harness.scenario.target import Target

START_WITHIN_S = 20.0
STOP_WITHIN_S = 5.0


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
        target_file: File of the target, for messages; it is not read.
        target: The resolved target whose emulator to start.
        log_file: Where its standard error goes.

    Raises:
        EmulatorNotStartedError: If it does not accept connections in time.
        ScenarioError: If it cannot load what the target names.
    """

    def __init__(self, target_file: str, target: Target, log_file: Path) -> None:
        command = [*python_command("harness"), "emulate", "/dev/stdin"]
        command += ["--json", "--exit-with-parent"]
        # Its errors are for us, who tell whoever asked for ours.
        own = {name: value for name, value in os.environ.items() if name != ERROR_FILE_VARIABLE}
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=own,
                start_new_session=True,
            )
        with contextlib.suppress(BrokenPipeError):  # It ended already; why is read below.
            self._write(encode_target(target_file, target))
        self.endpoints = self._wait_until_accepting()

    def _wait_until_accepting(self) -> Endpoints:
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        line: bytes | None = gevent.with_timeout(
            START_WITHIN_S, self._process.stdout.readline, timeout_value=None
        )
        if line is None:
            self.stop()
            late = f"not accepting connections after {START_WITHIN_S:.0f} s"
            raise EmulatorNotStartedError(late, None)
        if (error := decode_error(line)) is not None:
            self.stop()
            raise error if isinstance(error, ScenarioError) else _not_started(error)
        try:
            told = orjson.loads(line)
        except orjson.JSONDecodeError:
            self.stop()
            raise EmulatorNotStartedError(self._status(), None) from None
        return Endpoints(told["http"], told["realtime"], told["ca_file"])

    def end_reason(self) -> str:
        """Return why it ended: the error that it reported, or else its exit status."""
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        error = None if self._process.stdout.closed else decode_error(self._process.stdout.read())
        return str(error).partition("\nhint: ")[0] if error else self._status()

    def _status(self) -> str:
        status = self._process.wait()
        return f"killed by signal {-status}" if status < 0 else f"ended with exit code {status}"

    def tell(self, order: Mapping[str, Any]) -> None:
        """Give the running emulator an order, such as to kill one of its processes.

        Raises:
            OSError: If it is gone.
        """
        self._write(orjson.dumps(order) + b"\n")

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        self._process.stdin.write(line)
        self._process.stdin.flush()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Close its standard input and wait for it to end; kill it if it does not."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # What it never read is still buffered.
                    pipe.close()
        deadline_s = time.monotonic() + STOP_WITHIN_S
        while self.alive and time.monotonic() < deadline_s:
            gevent.sleep(0.02)
        if self.alive:
            self._process.kill()
            self._process.wait()


def _not_started(error: HarnessError) -> EmulatorNotStartedError:
    return EmulatorNotStartedError(str(error).partition("\nhint: ")[0], error.hint)
