"""How the load generator itself is doing: CPU, loop lag, memory, open files, once a second."""

import time
from typing import Any

import psutil

from harness.measure.histogram import LatencyHistogram

OPEN_FILES_EVERY_S = 15
"""Counting 17,500 open files takes the kernel about 6 ms, so it is not done every second."""


class GeneratorHealth:
    """One worker's health. The caller runs the loop-lag probe, on whatever loop it has."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cpu_s = time.process_time()
        self._wall_s = time.monotonic()
        self._open_files = self._process.num_fds()
        self.loop_lag = LatencyHistogram()

    def lagged(self, lag_ns: int) -> None:
        """Note by how much a timer of the event loop fired late."""
        self.loop_lag.record(max(lag_ns, 0))

    def take(self, second: int, connections: int) -> dict[str, Any]:
        """Return one row of the record's generator table and start the next second."""
        cpu_s, wall_s = time.process_time(), time.monotonic()
        if second % OPEN_FILES_EVERY_S == 0:
            self._open_files = self._process.num_fds()
        lag = self.loop_lag.percentiles_ms()
        row = {
            "second": second,
            "cpu_ratio": round((cpu_s - self._cpu_s) / max(wall_s - self._wall_s, 1e-9), 4),
            "loop_lag_ms_p50": lag["p50"],
            "loop_lag_ms_p99": lag["p99"],
            "loop_lag_ms_max": lag["max"],
            "rss_bytes": self._process.memory_info().rss,
            "connections": connections,
            "open_files": self._open_files,
        }
        self._cpu_s, self._wall_s = cpu_s, wall_s
        self.loop_lag = LatencyHistogram()
        return row
