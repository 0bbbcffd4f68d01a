"""How the load generator itself is doing, once a second."""

import contextlib
import time
from array import array

import numpy as np
import psutil

from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.measure.histogram import Int64Array, LatencyHistogram
from harness.measure.probes import ClockSteps, CollectorPauses, CpuWait, MachineCpu
from harness.measure.record_schema import HealthRow

OPEN_FILES_EVERY_S = 15
"""Counting 17,500 open files takes the kernel about 6 ms, so it is not done every second."""


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
        """Let go of what the probes hold."""
        self._cpu_wait.close()
        self._pauses.close()


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)
