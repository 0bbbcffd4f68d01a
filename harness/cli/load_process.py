"""Locust as a child process: in a session of its own, with its output in a file."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from harness.core.child_errors import ERROR_FILE_VARIABLE, read_error
from harness.core.errors import HarnessError, MachineError
from harness.measure.record import LOG_FILE, RUN_FILE

_ERROR_FILE = "error.json"
GROUP_GRACE_S = 2.0
"""How long what Locust left behind may take to end by itself."""

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signals_held() -> Iterator[Callable[[], None]]:
    """Keep the signals that are forwarded; give a function that delivers what has been kept.

    They are kept by a handler and not by a mask: a mask holds for one thread, and numerical
    libraries start threads of their own that would take the signal all the same.
    """
    kept: list[int] = []

    def keep(signum: int, _frame: FrameType | None) -> None:
        kept.append(signum)

    def deliver() -> None:
        while kept:
            signal.raise_signal(kept.pop(0))

    with _handled_by(keep):
        yield deliver
    deliver()


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # A signal that was ignored from the start, as under nohup, stays ignored.
    caught = [each for each in FORWARDED if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, handler) for each in caught}
    try:
        yield
    finally:
        for each, former in before.items():
            signal.signal(each, former)


class LoadProcess:
    """A running Locust, with whatever it started itself.

    Its session is its own so that Ctrl-C in the terminal reaches it once, through ``forward``,
    and so that nothing of it survives ``end_group``.

    Args:
        command: Program and arguments.
        folder: The run's folder, which the process makes; its output moves there once it holds
            a record.

    Attributes:
        error: What it reported to be wrong, once it has ended; None where it reported nothing.

    Raises:
        MachineError: If the place for the run's folder cannot be written.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._log = folder.parent / f".{folder.name}.log"
        self._signals = 0
        self._private = tempfile.TemporaryDirectory(prefix="harness-run-")
        self._is_new = not folder.exists()
        self._made = _missing_folders(folder.parent)
        self.error: HarnessError | None = None
        error_file = {ERROR_FILE_VARIABLE: str(Path(self._private.name, _ERROR_FILE))}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("wb") as output:
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
                f"cannot be written ({(error.strerror or str(error)).lower()})",
                "the run's folder is made here",
                "point --out at a place you can write",
            ) from None

    @property
    def interrupted(self) -> bool:
        """Whether a signal has been passed on to the process."""
        return self._signals > 0

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit status once the process has ended, None while it runs.

        Args:
            timeout_s: How long to wait for the end at most.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        # Renaming keeps the open file: what is printed later lands in the folder too.
        with contextlib.suppress(OSError):
            if self._log.parent != self._folder and (self._folder / RUN_FILE).is_file():
                self._log = self._log.rename(self._folder / LOG_FILE)
        if self._process.returncode is not None:
            self._settle()
        return self._process.returncode

    def _settle(self) -> None:
        """Take what the ended process reported, and remove what only this run needed."""
        self.error = self.error or read_error(Path(self._private.name, _ERROR_FILE))
        self._private.cleanup()

    def forward(self, signum: int, _frame: FrameType | None = None) -> None:
        """Pass the first signal on, so that the run ends in order; the second ends it at once."""
        self._signals += 1
        if self._signals == 1:
            stop = signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM
            self._process.send_signal(stop)
        else:
            self._signal_group(signal.SIGKILL)

    def kill(self) -> None:
        """End every process of the session at once, and wait until its first one is gone."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    @contextlib.contextmanager
    def forwarding(self) -> Iterator[None]:
        """Pass signals on inside the block, and leave nothing running behind it."""
        with _handled_by(self.forward):
            try:
                yield
            finally:
                self.end_group()

    def end_group(self) -> None:
        """End every process of the session that is still there."""
        self._end_group()
        self._settle()

    def _end_group(self) -> None:
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

    @property
    def log(self) -> Path:
        """The file that holds its output."""
        return self._log

    def discard(self) -> None:
        """Remove all that a process left which made no record: its folder, its output."""
        if self._is_new:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._discard_log()

    def _discard_log(self) -> None:
        self._log.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Something else is in it by now.
            for made in self._made:
                made.rmdir()

    def keep_log(self) -> None:
        """Move the output of a process that made no record out of sight, where it can be read."""
        handle, kept = tempfile.mkstemp(prefix="harness-load-", suffix=".log")
        os.close(handle)
        shutil.copyfile(self._log, kept)
        self._discard_log()
        self._log = Path(kept)

    def _signal_group(self, signum: int) -> bool:
        try:
            os.killpg(self._process.pid, signum)
        except ProcessLookupError:
            return False
        return True


def _missing_folders(folder: Path) -> list[Path]:
    """Return the folders that do not exist yet on the way to one, innermost first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]
