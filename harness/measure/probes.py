"""Probes of a worker's process: what the kernel and the interpreter know about it.

Each probe is read once a second; none costs the receive path anything.
"""

import contextlib
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

SCHEDSTAT = Path("/proc/self/schedstat")

_CLOCK_READINGS = 3


class CpuWait:
    """Time that this process's main thread was ready to run and had no core.

    Args:
        schedstat: The scheduler's account: time on a core, time waiting for one, both in ns.
            Source: Documentation/scheduler/sched-stats.rst in Linux.
    """

    def __init__(self, schedstat: Path = SCHEDSTAT) -> None:
        self._file: int | None = None
        # Kept open: a worker that has run out of files must still report its health.
        with contextlib.suppress(OSError):
            self._file = os.open(schedstat, os.O_RDONLY)
        self._waited_ns = self._read_ns()

    def take_ns(self) -> int | None:
        """Return the time waited since the last call; None where the platform keeps no account."""
        before_ns, self._waited_ns = self._waited_ns, self._read_ns()
        if before_ns is None or self._waited_ns is None:
            return None
        return self._waited_ns - before_ns

    def _read_ns(self) -> int | None:
        if self._file is None:
            return None
        ran_ns, waited_ns, *_ = os.pread(self._file, 100, 0).split()
        return int(waited_ns) if int(ran_ns) else None  # A kernel that does not count reports 0.

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class MachineCpu:
    """Use of the machine's cores: the idle share, and the share of other programs.

    The run's own processes are the one that started it, recognised by its command line (forked
    workers keep it), and all its descendants: workers and emulator. Time that a hypervisor took
    away counts as other programs'.
    """

    def __init__(self) -> None:
        root = psutil.Process()
        command = root.cmdline()
        with contextlib.suppress(psutil.Error):  # A parent of another user is not part of the run.
            while (parent := root.parent()) is not None and parent.cmdline() == command:
                root = parent
        self._own_s = dict.fromkeys((root, *root.children(recursive=True)), 0.0)
        self._read = self._read_s()

    def take_ratios(self) -> tuple[float, float]:
        """Return the idle share and others' share of all cores' time since the last call."""
        before, self._read = self._read, self._read_s()
        total_s, idle_s, own_s = (now - then for now, then in zip(self._read, before, strict=True))
        total_s = max(total_s, 1e-9)
        return idle_s / total_s, max(total_s - idle_s - own_s, 0.0) / total_s

    def _read_s(self) -> tuple[float, float, float]:
        """Return all cores' time, their idle time and the run's time, since they began."""
        cores = psutil.cpu_times()
        # Time of guests is part of user and nice, and would be counted twice.
        guests_s = getattr(cores, "guest", 0.0) + getattr(cores, "guest_nice", 0.0)
        for process in self._own_s:
            with contextlib.suppress(psutil.Error):  # A finished process keeps the time it used.
                times = process.cpu_times()
                self._own_s[process] = times.user + times.system
        idle_s = cores.idle + getattr(cores, "iowait", 0.0)
        return sum(cores) - guests_s, idle_s, sum(self._own_s.values())


class CollectorPauses:
    """The longest pauses of this process by Python's garbage collector."""

    def __init__(self) -> None:
        self._longest_ns = 0
        self._started_ns = time.monotonic_ns()
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: dict[str, Any]) -> None:
        if phase == "start":
            self._started_ns = time.monotonic_ns()
        else:
            self._longest_ns = max(self._longest_ns, time.monotonic_ns() - self._started_ns)

    def take_ns(self) -> int:
        """Return the longest pause since the last call."""
        taken, self._longest_ns = self._longest_ns, 0
        return taken

    def close(self) -> None:
        """Stop listening to the collector."""
        gc.callbacks.remove(self._note)


class ClockSteps:
    """Steps of the realtime clock: changes of its distance from the monotonic one.

    Slewing moves both clocks alike. Only setting the clock, or suspending the machine, moves one
    and not the other, and then kernel timestamps and intended times no longer fit together.

    Args:
        realtime_ns: Reads the realtime clock.
        monotonic_ns: Reads the monotonic clock.
    """

    def __init__(
        self,
        realtime_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._realtime_ns = realtime_ns
        self._monotonic_ns = monotonic_ns
        self._distance_ns = self._read_ns()

    def take_ns(self) -> int:
        """Return how far the clock was stepped since the last call; negative is backwards."""
        before_ns, self._distance_ns = self._distance_ns, self._read_ns()
        return self._distance_ns - before_ns

    def _read_ns(self) -> int:
        """Return the distance by the fastest reading: a preempted reading looks like a step."""
        return min(self._reading() for _ in range(_CLOCK_READINGS))[1]

    def _reading(self) -> tuple[int, int]:
        """Return how long a reading took, and the distance it found, ns."""
        before_ns = self._monotonic_ns()
        realtime_ns = self._realtime_ns()
        took_ns = self._monotonic_ns() - before_ns
        return took_ns, realtime_ns - before_ns - took_ns // 2
