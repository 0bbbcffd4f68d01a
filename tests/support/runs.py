"""Starts the real tool as a user would, and finds every process it leaves behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import psutil
import pytest

from harness.cli.options import PACKAGED_LOCUSTFILE as LOCUSTFILE
from harness.scenario.workload import Generator
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S, wait_for

SMOKE = ROOT / "scenarios" / "workloads" / "ci-smoke.toml"
EMULATED = ROOT / "scenarios" / "targets" / "appsync-events-emulated.toml"

TIMEOUT_S = 4 * PATIENCE_S
"""A whole run, beside others."""
LEFT_WITHIN_S = PATIENCE_S
"""What a killed process leaves behind notices by itself; this is how long that may take."""

SHORT = {
    "joins.rate_per_s": 200.0,
    "publishing.rate_per_s": 20.0,
    "phases.settle_s": 1.5,  # Room for joins that a busy machine delays.
    "phases.warm_up_s": 0.5,
    "phases.measure_s": 2.0,
    "phases.drain_s": 1.0,
}
NO_AWS_SETTINGS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
"""Variables that keep the AWS settings of this machine away."""
TOKEN = r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\."
"""What a JSON Web Token looks like; its first three letters alone are in any picture's base64."""

WITHOUT_CHARTS = {"PYTHONPATH": str(ROOT / "tests/support/without_charts")}
WITH_CHARTS = {"PYTHONPATH": ""}
"""Variables that say whether reports write their charts, which takes a second each."""

LONG = SHORT | {"phases.measure_s": 600.0}
"""Never ends by itself before the test gives up."""


def lenient() -> dict[str, object]:
    """Limits of the generator so wide that a busy machine does not make a run invalid."""
    return {
        f"generator.{name}": 1.0 if name.endswith("_ratio") else 60_000.0
        for name in Generator.model_fields
    }


def patient(settings: dict[str, object]) -> dict[str, object]:
    """Add to settings of the smoke workload a latency SLO that a busy machine meets."""
    if any(key.startswith("slos") for key in settings):
        return settings
    return {"slos.2.limit": 60_000.0} | settings


def sets(settings: Mapping[str, object]) -> list[str]:
    """Return the flags that override these fields."""
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def elsewhere(http: str) -> str:
    """Return the text of a target that others run at this address; its key is END_TO_END_KEY."""
    return (
        'name = "elsewhere"\nsystem = "appsync-events"\n'
        f'[endpoints]\nhttp = "{http}"\nrealtime = "{http.replace("http", "ws", 1)}/realtime"\n'
        '[auth]\napi_key_env = "END_TO_END_KEY"\n'
    )


def apart(workers: int) -> list[str]:
    """Return the flags for that many workers that meet where no other run's do."""
    port = str(free_port())
    return ["--processes", str(workers), "--master-bind-port", port, "--master-port", port]


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and all that is left of it."""

    exit_code: int
    seconds: float
    stdout: str
    stderr: str
    folder: Path
    left: list[str]

    @property
    def run(self):
        """The record's run.json."""
        return json.loads((self.folder / "run.json").read_bytes())

    @property
    def summary(self):
        """What the report says of the run."""
        return self.run["summary"]

    @property
    def truth(self):
        """What the emulator itself counted and did: ``stats`` and ``log``."""
        return json.loads((self.folder / "emulator.json").read_bytes())

    def table(self, name):
        """Return a table of the record."""
        return pd.read_parquet(self.folder / f"{name}.parquet")

    @property
    def said(self) -> str:
        """Everything anybody printed: to the user, and into the log."""
        log = self.folder / "locust.log"
        return self.stdout + self.stderr + (log.read_text("utf-8") if log.is_file() else "")

    @property
    def everything(self) -> bytes:
        """What is in any file of the record, and everything that was said."""
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        assert "run.json" in {file.name for file in files}
        return b"".join(file.read_bytes() for file in files) + self.said.encode()

    @property
    def errors(self) -> list[str]:
        """The lines that tell the user of an error."""
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


def _ours() -> dict[str, str]:
    """Return the environment without what only test processes need: the tool must patch itself."""
    return {k: v for k, v in os.environ.items() if k != "LOCUST_SKIP_MONKEY_PATCH"}


class RunningCommand:
    """One command under way, in a session of its own.

    Args:
        folder: An empty folder, for what it prints and for its record.
        command: What the user types.
        limits: Shell commands that come before it, such as ``ulimit -n 64``.
        variables: Environment variables to set.
    """

    def __init__(self, folder: Path, *command: object, limits: str = "", **variables: str) -> None:
        self.folder = folder / "record"
        self._place = folder
        self._mark = f"END_TO_END_COMMAND={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        words = [str(word).replace("RECORD", str(self.folder)) for word in command]
        if limits:
            words = ["bash", "-c", f'{limits}; exec "$@"', "bash", *words]
        self._began_s = time.monotonic()
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                words,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_ours() | WITHOUT_CHARTS | {name: value} | variables,
                start_new_session=True,
            )

    def pids(self, *words: str) -> list[int]:
        """Return its processes, oldest first, whose command line holds all of ``words``."""
        found = self._processes().items()
        return [pid for pid, command in found if all(word in command for word in words)]

    def workers(self) -> list[int]:
        """Return the processes that hold the users' connections."""
        locusts = self.pids("-f", LOCUSTFILE.name)
        return [pid for pid in locusts if psutil.Process(pid).ppid() in locusts]

    def master(self) -> int:
        """Return Locust's first process."""
        return self.pids("-f", LOCUSTFILE.name)[0]

    def emulator(self) -> int:
        """Return the process that serves."""
        return self.pids("harness.systems.appsync_events.emulator.process")[0]

    def _processes(self) -> dict[int, str]:
        """Return the command lines of what has our mark and is no zombie, oldest first."""
        found = []
        for process in psutil.process_iter():
            try:
                environment = Path(f"/proc/{process.pid}/environ").read_bytes()
                if self._mark.encode() in environment and (command := process.cmdline()):
                    found.append((process.create_time(), process.pid, " ".join(command)))
            except (OSError, psutil.Error):
                continue
        return {pid: command for _, pid, command in sorted(found)}

    def until_second(self, second: int) -> Self:
        """Wait until the record holds a second of the run; fail if the run ends before."""
        wait_for(lambda: second in {row["second"] for row in self._timeline()}, f"second {second}")
        return self

    def until_delivering(self, users: int) -> Self:
        """Wait until, by the record, all users are connected and messages arrive."""

        def delivering() -> bool:
            rows = self._timeline()
            last = [row for row in rows if row["second"] == rows[-1]["second"]]
            connected, deliveries = (
                sum(row[name] for row in last) for name in ("connected", "deliveries")
            )
            return bool(connected == users and deliveries > 0)

        wait_for(delivering, "deliveries to everybody")
        return self

    def _timeline(self) -> list[dict[str, Any]]:
        """Return the rows on record so far; fail if the run has ended."""
        if self.process.poll() is not None:
            pytest.fail(f"ended with {self.process.returncode}: {self.read('stderr')}")
        timeline = self.folder / "journal" / "timeline.jsonl"
        text = timeline.read_text("utf-8") if timeline.is_file() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def send(self, signum: signal.Signals, pid: int | None = None) -> None:
        """Signal one process, by default the one that was started."""
        os.kill(pid or self.process.pid, signum)

    def send_to_all(self, signum: signal.Signals) -> None:
        """Signal the whole process group, as a terminal does."""
        os.killpg(self.process.pid, signum)

    def outcome(self, within_s: float = TIMEOUT_S) -> Outcome:
        """Wait for the end, and for what is left to go."""
        try:
            exit_code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.end()
            pytest.fail(f"still runs after {within_s:g} s: {self.read('stderr')}")
        seconds = time.monotonic() - self._began_s
        deadline_s = time.monotonic() + LEFT_WITHIN_S
        while (left := self._processes()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        self.end()
        return Outcome(
            exit_code,
            seconds,
            self.read("stdout"),
            self.read("stderr"),
            self.folder,
            [*left.values()],
        )

    def end(self) -> None:
        """Kill what is left of the command."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_S)

    def read(self, name: str) -> str:
        """Return what has come so far on ``stdout`` or ``stderr``."""
        return (self._place / name).read_text("utf-8", "replace")


class Launcher:
    """Starts commands, each in a new folder of its own inside ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new_folder(self) -> Path:
        """Return a new folder."""
        room = self.folder / uuid.uuid4().hex[:8]
        room.mkdir()
        return room

    def harness(self, *arguments: object, limits: str = "", **variables: str) -> RunningCommand:
        """Start the command; RECORD stands for the folder of its record."""
        command = (sys.executable, "-m", "harness", *arguments)
        return RunningCommand(self.new_folder(), *command, limits=limits, **variables)

    def run(
        self,
        settings: dict[str, object],
        *arguments: object,
        workload: Path = SMOKE,
        target: Path = EMULATED,
        limits: str = "",
        **variables: str,
    ) -> RunningCommand:
        """Start ``harness run`` on a workload changed by ``settings``."""
        command = ("run", workload, "--target", target, "--out", "RECORD")
        if workload == SMOKE:
            settings = patient(settings)
        flags = sets(lenient() | settings)
        return self.harness(*command, *flags, *arguments, limits=limits, **variables)

    def locust(
        self,
        settings: dict[str, object],
        *arguments: object,
        locustfile: Path = LOCUSTFILE,
        limits: str = "",
    ) -> RunningCommand:
        """Start plain Locust on the smoke workload, changed by ``settings``."""
        command = (sys.executable, "-m", "locust", "-f", locustfile, "--headless")
        files = ("--workload", SMOKE, "--target", EMULATED, "--out", "RECORD")
        flags = sets(lenient() | patient(settings))
        return RunningCommand(
            self.new_folder(), *command, *files, *flags, *arguments, limits=limits
        )


def after(command):
    """Tie a test to a command: the ``outcome`` fixture is then how that command ended."""

    def tie(test):
        test.command = command
        return test

    return tie


def after_each(commands, *, smoke=()):
    """Tie a test to several commands by name; the fast suite keeps those named in ``smoke``."""
    outcomes = [
        pytest.param(command, id=name, marks=[pytest.mark.smoke] if name in smoke else [])
        for name, command in commands.items()
    ]
    return pytest.mark.parametrize("outcome", outcomes, indirect=True)


def command_of(item):
    """Return the command that a collected test is tied to; None for a test of its own."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return params.get("outcome") or getattr(item.obj, "command", None)
