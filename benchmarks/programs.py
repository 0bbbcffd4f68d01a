"""Programs that the benchmark starts, and their use of CPU and memory by the kernel's account."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

STOP_WITHIN_S = 3.0


class ProgramError(Exception):
    """A program that did not do what it was started for; the text says what it was."""


class Program:
    """A running program in a session of its own, with its output in a file.

    Args:
        command: Program and arguments.
        log: Where its output goes.
        environment: Variables it gets besides ours.
    """

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # Never written to; its end tells an emulator to stop.
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative where a signal ended it; None while it runs."""
        return self._process.poll()

    def pids(self) -> list[int]:
        """Return the program's processes: itself and what it started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children(recursive=True)
            return [self.pid, *(child.pid for child in children)]
        return []

    def wait_for(self, word: str, within_s: float) -> str:
        """Return its output as soon as that holds ``word``.

        Raises:
            ProgramError: If it ended or time ran out before.
        """
        deadline = time.monotonic() + within_s
        while True:
            output = self.log.read_text(encoding="utf-8", errors="replace")
            if word in output:
                return output
            if not self.running or time.monotonic() > deadline:
                raise ProgramError(self.last_output())
            time.sleep(0.02)

    def wait(self, within_s: float) -> None:
        """Wait until it has ended.

        Raises:
            ProgramError: If it had not by then.
        """
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"had not ended after {within_s:.0f} s") from None

    def last_output(self) -> str:
        """Return why it may have failed: its state and the last line it printed."""
        state = "did not get ready" if self.running else f"ended with {self._process.returncode}"
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{state}: {lines[-1][:120]}" if lines else state

    def stop(self) -> None:
        """End it and what it started: politely, then for good."""
        group = self.pid
        for signum in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + STOP_WITHIN_S
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signum)
            while self.running and time.monotonic() < deadline:
                time.sleep(0.02)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it and what it started at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.stop()


def cpu_ns(pids: Sequence[int]) -> int:
    """Return the CPU time that processes have used so far, user and system, in ns.

    The scheduler's own account is exact to the ns; where a kernel has none, the clock ticks of
    ``/proc/<pid>/stat`` must do.
    """
    return sum(_process_cpu_ns(pid) for pid in pids)


def _process_cpu_ns(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task")
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in tasks.iterdir():
            total += int((task / "schedstat").read_bytes().split()[0])
        return total
    with contextlib.suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return round((times.user + times.system) * 1e9)
    return 0


def rss_bytes(pids: Sequence[int]) -> int:
    """Return the resident memory of processes."""
    return sum(psutil.Process(pid).memory_info().rss for pid in pids)


def pin(pids: Sequence[int], cpus: set[int]) -> None:
    """Let every thread of the processes run on these CPUs only."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(task.name), cpus)
