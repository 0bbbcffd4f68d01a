"""Locust as a child process, with its own session and its output in a file."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from harness.core.child_errors import ERROR_FILE_VARIABLE, read_error
from harness.core.clock import NS_PER_S
from harness.core.errors import HarnessError, MachineError, os_reason
from harness.core.exit_codes import ExitCode
from harness.measure.record import LOG_FILE, RUN_FILE, read_run_file

if TYPE_CHECKING:
    from harness.load.master.abort_reason import AbortReason

_ERROR_FILE = "error.json"
GROUP_GRACE_S = 2.0
"""Time for processes that Locust left behind to exit by themselves."""

OVERRUN_S = 120.0
"""After the end of the timetable; closing connections and ``on_stop`` take less at their limits."""

_OVERRUN_MESSAGE = (
    f"the load process had not ended {OVERRUN_S:g} s after the timetable and was killed"
)
_OVERRUN_HINT = (
    "code of a user class most likely computes without a pause (let it call gevent.sleep(0)) "
    "or exits (let it raise StopUser)"
)

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signals_held() -> Iterator[Callable[[], None]]:
    """Hold back the forwarded signals; yield a function that delivers those held back.

    A handler holds them, not a mask: a mask applies to one thread, and numerical libraries start
    threads that would still receive the signal.
    """
    kept: list[int] = []

    def keep(signum: int, _frame: FrameType | None) -> None:
        kept.append(signum)

    def deliver() -> None:
        while kept:
            signal.raise_signal(kept.pop(0))

    with handled_by(keep):
        yield deliver
    deliver()


@contextlib.contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have the forwarded signals handled inside the block."""
    # A signal that was ignored from the start, as under nohup, stays ignored.
    caught = [each for each in FORWARDED if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, handler) for each in caught}
    try:
        yield
    finally:
        for each, former in before.items():
            signal.signal(each, former)


class LoadProcess:
    """A running Locust and its child processes.

    It has its own session so that Ctrl-C in the terminal reaches it once, through ``forward``,
    and so that no child survives the block of ``forwarding``.

    Args:
        folder: The run's folder, made for this run by ``new_folder`` or by the process; its output
            moves there with the record.

    Attributes:
        error: The error that it reported, once it has ended; None if it reported none.
        log: The file that holds its output.

    Raises:
        MachineError: If the parent of the run's folder cannot be written.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self.log = folder.parent / f".{folder.name}.log"
        self._signals = 0
        self._private = tempfile.TemporaryDirectory(prefix="harness-run-")
        self._made = _missing_folders(folder.parent)
        self.error: HarnessError | None = None
        error_file = {ERROR_FILE_VARIABLE: str(Path(self._private.name, _ERROR_FILE))}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("wb") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | error_file,
                    start_new_session=True,
                )
        except OSError as error:
            self._private.cleanup()
            raise MachineError(
                str(folder.parent),
                f"cannot be written ({os_reason(error)})",
                "the run's folder is created here",
                "choose another --out",
            ) from None

    @property
    def interrupted(self) -> bool:
        """Whether a signal has been forwarded to the process."""
        return self._signals > 0

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit status once the process has ended, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        # Renaming keeps the open file: what is printed later lands in the folder too.
        with contextlib.suppress(OSError):
            if self.log.parent != self._folder and (self._folder / RUN_FILE).is_file():
                self.log = self.log.rename(self._folder / LOG_FILE)
        if self._process.returncode is not None:
            self._settle()
        return self._process.returncode

    def _settle(self) -> None:
        """Read the error that the ended process reported, and remove temporary files."""
        self.error = self.error or read_error(Path(self._private.name, _ERROR_FILE))
        self._private.cleanup()

    def forward(self, signum: int, _frame: FrameType | None = None) -> None:
        """Forward the first signal, for a graceful end; kill the process on the second."""
        self._signals += 1
        if self._signals == 1:
            stop = signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM
            self._process.send_signal(stop)
        else:
            self._signal_group(signal.SIGKILL)

    def kill(self) -> None:
        """Kill every process of the session, and wait for the first one."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    @contextlib.contextmanager
    def forwarding(self) -> Iterator[None]:
        """Forward signals inside the block, and end every process of the session after it."""
        with handled_by(self.forward):
            try:
                yield
            finally:
                self._end_group()
                self._settle()

    def _end_group(self) -> None:
        """End every process of the session that still runs."""
        if self._process.poll() is None:
            self._signal_group(signal.SIGTERM)
        deadline = time.monotonic() + GROUP_GRACE_S
        while self._signal_group(0):
            if time.monotonic() > deadline:
                self._signal_group(signal.SIGKILL)
                self._process.wait()
                return
            self._process.poll()
            time.sleep(0.02)

    def discard(self) -> None:
        """Remove folder and output of a process that wrote no record."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._discard_log()

    def _discard_log(self) -> None:
        self.log.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # It is no longer empty.
            for made in self._made:
                made.rmdir()

    def keep_log(self) -> None:
        """Move the output of a process that wrote no record to the temporary folder."""
        handle, kept = tempfile.mkstemp(prefix="harness-load-", suffix=".log")
        os.close(handle)
        shutil.copyfile(self.log, kept)
        self._discard_log()
        self.log = Path(kept)

    def _signal_group(self, signum: int) -> bool:
        try:
            os.killpg(self._process.pid, signum)
        except ProcessLookupError:
            return False
        return True


def _missing_folders(folder: Path) -> list[Path]:
    """Return a folder and those of its parents that do not exist yet, innermost first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


class OverrunWatch:
    """Detects a load process that does not exit by itself after its timetable."""

    def __init__(self, folder: Path, total_s: float) -> None:
        self._file = folder / RUN_FILE
        self._total_s = total_s
        # The record, which holds the epoch, need not be read before.
        self._look_s = time.monotonic() + total_s + OVERRUN_S

    def overran(self) -> bool:
        """Return whether the process must be killed, because the run has been over for too long."""
        if time.monotonic() < self._look_s:
            return False
        run = read_run_file(self._file)
        if run.get("status") != "running":  # Still waiting for workers, or already finished.
            return False
        end_s: float = run["epoch_ns"] / NS_PER_S + self._total_s
        return time.time() > end_s + OVERRUN_S

    def note(self) -> ExitCode:
        """Write into the record why the process was killed; return the exit code."""
        from harness.load.master.abort_reason import AbortReason

        cause = AbortReason("load_overran", ExitCode.RUN_INVALID, _OVERRUN_MESSAGE, _OVERRUN_HINT)
        note_cause(self._file, "running", cause)
        return cause.exit_code


def note_cause(file: Path, status: str, cause: "AbortReason") -> None:
    """Write into a record of this status why its load process ended as it did."""
    if (run := read_run_file(file)).get("status") == status:
        noted = run | {"status": "aborted", "cause": cause.to_json()}
        half = file.with_name(f"{RUN_FILE}.new")
        half.write_text(json.dumps(noted, indent=2), encoding="utf-8")
        half.replace(file)
