"""Adds the run to Locust's own statistics: joins and publishes singly, deliveries in batches."""

import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from locust.env import Environment
from locust.stats import (
    RequestStats,
    StatsCSVFileWriter,
    StatsEntry,
    StatsError,
    bucket_response_time,
)

from harness.core.clock import NS_PER_MS
from harness.measure.histogram import Int64Array

OF_THE_HARNESS: Final[Mapping[str, object]] = MappingProxyType({"harness": True})
"""Context of the operations that the harness itself logs; listeners do not count them."""


class LocustTable:
    """Locust's request table of this process."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def request(
        self,
        kind: str,
        name: str,
        latency_ms: float | None,
        size_bytes: int,
        problem: Exception | None,
    ) -> None:
        """Log one operation that has an answer."""
        self._environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=latency_ms,
            response_length=size_bytes,
            exception=problem,
            context=OF_THE_HARNESS,
        )

    def deliveries(self, name: str, latencies_ns: Int64Array) -> None:
        """Log a second's deliveries at once, shape (n,); one event each would cost 20 µs."""
        stats = self._environment.stats
        batch = _batch(stats, name, latencies_ns)
        for entry in (stats.get(name, "DELIVER"), stats.total):
            entry.extend(batch)

    def irregular(self, name: str, kind: str, count: int) -> None:
        """Log a second's bytes that were no intact delivery, all of one kind, as errors."""
        stats = self._environment.stats
        error = f"{kind} delivery"
        key = StatsError.create_key("DELIVER", name, error)
        found = stats.errors.setdefault(key, StatsError("DELIVER", name, error))
        found.occurrences += count
        now_s = int(time.time())
        for entry in (stats.get(name, "DELIVER"), stats.total):
            entry.num_failures += count
            entry.num_fail_per_sec[now_s] = entry.num_fail_per_sec.get(now_s, 0) + count


def let_csv_writer_end(writer: type[StatsCSVFileWriter]) -> None:
    """Make Locust's CSV writer end without an exception once its files are closed.

    At exit Locust 2.47 closes them while the writer's greenlet may still be asleep; when it wakes
    during the shutdown it writes to a closed file, and prints a traceback.
    """
    write = writer.stats_writer

    def stats_writer(self: StatsCSVFileWriter) -> None:
        try:
            write(self)
        except ValueError:
            if not self.requests_csv_filehandle.closed:
                raise

    writer.stats_writer = stats_writer  # type: ignore[method-assign]  # the very point


def _batch(stats: RequestStats, name: str, latencies_ns: Int64Array) -> StatsEntry:
    """Return a table entry that holds only these latencies, in whole milliseconds."""
    entry = StatsEntry(stats, name, "DELIVER")
    milliseconds, counts = np.unique(latencies_ns // NS_PER_MS, return_counts=True)
    buckets: Counter[int] = Counter()
    for value, count in zip(milliseconds.tolist(), counts.tolist(), strict=True):
        buckets[bucket_response_time(value)] += count
    now_s = time.time()
    entry.num_requests = int(latencies_ns.size)
    entry.total_response_time = round(latencies_ns.sum() / NS_PER_MS)
    entry.min_response_time = round(latencies_ns.min() / NS_PER_MS)
    entry.max_response_time = round(latencies_ns.max() / NS_PER_MS)
    entry.response_times = dict(buckets)
    entry.num_reqs_per_sec = {int(now_s): entry.num_requests}
    entry.last_request_timestamp = now_s
    return entry
