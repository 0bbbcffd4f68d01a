"""The emulator of a target: a child process for the length of the run, and its control paths."""

import contextlib
import json
import os
import secrets
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import gevent
import orjson

from harness.core.child_errors import ERROR_FILE_VARIABLE, decode_error
from harness.core.child_python import python_command
from harness.core.errors import HarnessError, MachineError, ScenarioError
from harness.core.own_requests import CONTROL_TOKEN_VARIABLE, TOKEN_HEADER
from harness.load.worker_protocol import Endpoints
from harness.scenario.emulator import FAULTS_PATH, LOG_PATH, STATS_PATH
from harness.scenario.resolved import encode_target
from harness.scenario.target import Target

START_WITHIN_S = 60.0  # On a machine with nothing else to do it takes one.
STOP_WITHIN_S = 5.0
CONTROL_ANSWER_WITHIN_S = 5.0


class EmulatorNotStartedError(MachineError):
    """The emulator of the target could not be started; the message is the emulator's own."""

    def __init__(self, found: str, hint: str | None) -> None:
        super().__init__("emulator", found, "it must accept connections", hint)

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.found}"
        return f"{sentence}\nhint: {self.hint}" if self.hint else sentence


_TOKEN = secrets.token_urlsafe()


class EmulatorProcess:
    """``harness emulate`` in a session of its own, so that Ctrl-C does not reach it.

    It ends when its standard input closes, so it never outlives this process.

    Args:
        target_file: File of the target, for error messages only.
        log_file: Where its standard error goes.

    Raises:
        EmulatorNotStartedError: If it does not accept connections in time.
        ScenarioError: If it cannot load what the target names.
    """

    def __init__(self, target_file: str, target: Target, log_file: Path) -> None:
        command = [*python_command("harness"), "emulate", "/dev/stdin"]
        command += ["--json", "--exit-with-parent"]
        # This process reports its errors, in its own error file.
        own = {name: os.environ[name] for name in os.environ.keys() - {ERROR_FILE_VARIABLE}}
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=own | {CONTROL_TOKEN_VARIABLE: _TOKEN},
                start_new_session=True,
            )
        # It may have ended already; the reason is read below.
        with contextlib.suppress(BrokenPipeError):
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
            answer = orjson.loads(line)
        except orjson.JSONDecodeError:
            self.stop()
            raise EmulatorNotStartedError(self._status(), None) from None
        return Endpoints(answer["http"], answer["realtime"], answer["ca_file"])

    def end_reason(self) -> str:
        """Return why it ended: the error that it reported, or else its exit status."""
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        error = None if self._process.stdout.closed else decode_error(self._process.stdout.read())
        return str(error).partition("\nhint: ")[0] if error else self._status()

    def _status(self) -> str:
        status = self._process.wait()
        return f"killed by signal {-status}" if status < 0 else f"ended with exit code {status}"

    def send(self, command: Mapping[str, Any]) -> None:
        """Send the emulator a command, such as to kill a process; raises OSError if it is gone."""
        self._write(orjson.dumps(command) + b"\n")

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


class EmulatorControls:
    """The control paths of one emulator, beside those of the system that it emulates."""

    def __init__(self, endpoints: Endpoints) -> None:
        parts = urlsplit(endpoints.http)
        self._base = (parts.scheme, parts.netloc)
        tls = None
        if parts.scheme == "https":
            tls = ssl.create_default_context(cafile=endpoints.ca_file)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # An emulator is never behind a proxy.
            urllib.request.HTTPSHandler(context=tls),
        )

    def set_faults(self, faults: list[dict[str, Any]]) -> None:
        """Replace the active faults; raises OSError when the emulator does not accept them."""
        self._request(FAULTS_PATH, json.dumps(faults).encode())

    def ground_truth(self) -> dict[str, Any]:
        """Return its counts and its log of injected faults; raises OSError when it cannot."""
        return {"stats": self._request(STATS_PATH), "log": self._request(LOG_PATH)}

    def _request(self, path: str, body: bytes | None = None) -> Any:
        url = urlunsplit((*self._base, path, "", ""))
        request = urllib.request.Request(url, body, {TOKEN_HEADER: _TOKEN})  # noqa: S310 - the emulator's own address
        try:
            with self._opener.open(request, timeout=CONTROL_ANSWER_WITHIN_S) as response:
                return json.load(response)
        except (HTTPException, ValueError) as error:
            raise OSError(f"{path} did not answer with JSON") from error
