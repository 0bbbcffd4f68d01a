"""The load generator's own health, once a second.

The probes read the kernel and the interpreter; none costs the receive path anything.
"""

import contextlib
import gc
import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.measure.histogram import Int64Array, LatencyHistogram
from harness.measure.record_schema import HealthRow

SCHEDSTAT = Path("/proc/self/schedstat")

OPEN_FILES_EVERY_S = 15
"""Counting 17,500 open files takes the kernel about 6 ms, so it is not done every second."""

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


class GeneratorHealth:
    """One worker's health. The caller runs the loop-lag probe, on whatever loop it has.

    Args:
        late_after_ms: A publish sent this much after its intended time has missed its slot.

    Attributes:
        loop_lag: By how much timers of the event loop fired late in the second last taken.
    """

    def __init__(self, late_after_ms: float) -> None:
        self._late_after_ns = round(late_after_ms * NS_PER_MS)
        self._late_slots = 0
        self._send_delay_ns: int | None = None
        self._receive_delays: list[Int64Array] = []
        self._looked_ns: int | None = None
        self._backlog = 0
        self._process = psutil.Process()
        self._cpu_s = time.process_time()
        self._wall_s = time.monotonic()
        self._cpu_wait = CpuWait()
        self._machine = MachineCpu()
        self._pauses = CollectorPauses()
        self._clock = ClockSteps()
        self._rss_bytes = 0
        self._open_files = 0
        self._look_at_process(count_files=True)
        self._lags_ns = array("q")
        self.loop_lag = LatencyHistogram()

    def lagged(self, lag_ns: int) -> None:
        """Note by how much a timer of the event loop fired late."""
        self._lags_ns.append(max(lag_ns, 0))

    def sent(self, delay_ns: int) -> None:
        """Note how long after its intended time a message was sent."""
        self._late_slots += delay_ns > self._late_after_ns
        self._send_delay_ns = max(delay_ns, self._send_delay_ns or 0)

    def received(self, delays_ns: Int64Array) -> None:
        """Note how long deliveries waited between the kernel and this worker, shape (n,)."""
        self._receive_delays.append(delays_ns)

    def arrived(self, arrived_ns: Int64Array) -> None:
        """Note when the kernel had deliveries that were read since the last look, shape (n,).

        Those that it had by then waited for this worker at that moment: a receive backlog that
        is exact whatever reads the sockets, and that nothing on the way of a message counts.
        """
        if self._looked_ns is not None:
            self._backlog += int(np.count_nonzero(arrived_ns <= self._looked_ns))

    def take(
        self, second: int, connections: int, unstamped_receives: int, now_ns: int
    ) -> HealthRow:
        """Return one row of the record's generator table and start the next second.

        Args:
            second: Second of the run that ends now.
            connections: Connections held now.
            unstamped_receives: Reads of this second without the kernel's time of arrival.
            now_ns: The clock that stamped the deliveries; from now on what is read is the next
                second's.
        """
        cpu_s, wall_s = time.process_time(), time.monotonic()
        elapsed_s = max(wall_s - self._wall_s, 1e-9)
        idle_ratio, others_ratio = self._look_at_machine()
        waited_ns = self._cpu_wait.take_ns()
        self._look_at_process(count_files=second % OPEN_FILES_EVERY_S == 0)
        self.loop_lag.clear()
        self.loop_lag.record_many(np.frombuffer(self._lags_ns, np.int64))
        self._lags_ns = array("q")
        lag = self.loop_lag.percentiles_ms()
        row: HealthRow = {
            "second": second,
            "cpu_ratio": round((cpu_s - self._cpu_s) / elapsed_s, 4),
            "cpu_wait_ratio": _rounded(waited_ns and waited_ns / NS_PER_S / elapsed_s),
            "machine_idle_ratio": _rounded(idle_ratio),
            "machine_others_ratio": _rounded(others_ratio),
            "loop_lag_ms_p50": lag["p50"],
            "loop_lag_ms_p99": lag["p99"],
            "loop_lag_ms_max": lag["max"],
            "send_delay_ms_max": self._take_send_delay_ms(),
            "receive_delay_ms_p99": self._take_receive_delay_p99_ms(),
            "receive_backlog": None if self._looked_ns is None else self._backlog,
            "gc_pause_ms_max": self._pauses.take_ns() / NS_PER_MS,
            "clock_step_ms": self._clock.take_ns() / NS_PER_MS,
            "late_slots": self._late_slots,
            "unstamped_receives": unstamped_receives,
            "rss_bytes": self._rss_bytes,
            "connections": connections,
            "open_files": self._open_files,
        }
        self._cpu_s, self._wall_s = cpu_s, wall_s
        self._late_slots = self._backlog = 0
        self._looked_ns = now_ns
        return row

    def _look_at_process(self, *, count_files: bool) -> None:
        """Read memory and open files; keep what was known where no file is left to read them."""
        with contextlib.suppress(OSError):
            self._rss_bytes = self._process.memory_info().rss
            if count_files:
                self._open_files = self._process.num_fds()

    def _look_at_machine(self) -> tuple[float, float] | tuple[None, None]:
        with contextlib.suppress(OSError):
            return self._machine.take_ratios()
        return None, None

    def _take_send_delay_ms(self) -> float | None:
        taken_ns, self._send_delay_ns = self._send_delay_ns, None
        return None if taken_ns is None else taken_ns / NS_PER_MS

    def _take_receive_delay_p99_ms(self) -> float | None:
        taken, self._receive_delays = self._receive_delays, []
        if not taken:
            return None
        p99_ns = np.percentile(np.concatenate(taken), 99, method="inverted_cdf")
        return float(p99_ns) / NS_PER_MS

    def close(self) -> None:
        """Close the probes."""
        self._cpu_wait.close()
        self._pauses.close()


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)
