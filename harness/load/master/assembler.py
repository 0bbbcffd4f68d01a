"""Merges the workers' reports of one second into rows of the run record."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from operator import add
from typing import Any, Final

from harness.measure.histogram import LatencyHistogram
from harness.measure.record import (
    REQUEST_LATENCY,
    RecordWriter,
    request_tag,
)
from harness.measure.record_schema import JOURNAL_TABLES, LATENCY_METRICS, TIMELINE_COUNTERS
from harness.scenario.plan import Plan

MAX_LAG_S = 3
"""A second is written without a worker's report once another worker is this far ahead."""

_ERROR: Final = tuple(JOURNAL_TABLES["errors"])

TABLES_FROM_WORKERS = ("publishes", "arrivals")


class SecondAssembler:
    """Merges the workers' seconds and writes each once, in order.

    Args:
        watch: Receives each complete second too; see ``harness.live.run``.
    """

    def __init__(
        self,
        plan: Plan,
        writer: RecordWriter,
        workers: int,
        watch: Callable[..., None] | None = None,
    ) -> None:
        self._watch = watch
        self._planned_users = plan.planned_users
        self._user_classes = tuple(plan.workload.population.fan_out)
        self._phase_at = plan.timetable.phase_at
        self._writer = writer
        self._workers = workers
        self._lost: set[int] = set()
        self._waiting: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        self._written_second = -1
        self._connected: dict[int, dict[str, int]] = {}
        self.joins_attempted = 0
        self.joined: Counter[int] = Counter()
        """Joins that succeeded, by worker."""
        self._tried: dict[int, dict[str, int]] = {}
        self.errors: Counter[tuple[str, str, str]] = Counter()
        """Errors of the whole run by stage, code and message."""

    def add(self, report: dict[str, Any]) -> None:
        """Take one worker's second; writes every second that is now complete.

        Reports of a worker that was declared lost are ignored, since its counts are incomplete.
        """
        worker, second = report["worker"], report["second"]
        if worker in self._lost:
            return
        for table in TABLES_FROM_WORKERS:
            self._writer.append(table, report[table])
        self._writer.append("generator", [report["generator"]])
        self._count(report)
        rows = (dict(zip(_ERROR, (second, worker, *one), strict=True)) for one in report["errors"])
        self._writer.append("errors", rows)
        # A report that arrives after its second was written counts for the next one.
        self._waiting[max(second, self._written_second + 1)].append(report)
        self._write_complete(newest=second)

    @property
    def users(self) -> dict[str, dict[str, int]]:
        """How many users of each class were planned, and how many have started so far."""
        tried, planned = _summed(self._tried), self._planned_users
        return {"planned": planned, "tried": {name: tried[name] for name in planned}}

    def lose(self, worker: int) -> None:
        """Stop waiting for a worker's reports, and count its users as disconnected."""
        self._lost.add(worker)
        self._connected.pop(worker, None)

    def _count(self, report: dict[str, Any]) -> None:
        self._tried[report["worker"]] = report["tried"]
        for counters in report["counters"].values():
            self.joins_attempted += counters.get("joins_attempted", 0)
            self.joined[report["worker"]] += counters.get("joins_succeeded", 0)
        for stage, _, code, message, count in report["errors"]:
            self.errors[stage, code, message] += count

    def _write_complete(self, newest: float) -> None:
        for second in sorted(self._waiting):
            complete = len(self._waiting[second]) >= self._workers - len(self._lost)
            if not complete and second > newest - MAX_LAG_S:
                break
            self._write(second, self._waiting.pop(second))
        self._writer.flush()

    def flush(self) -> None:
        """Write every second that still waits for reports."""
        self._write_complete(newest=math.inf)

    def _write(self, second: int, reports: list[dict[str, Any]]) -> None:
        self._written_second = second
        counters: defaultdict[str, Counter[str]] = defaultdict(Counter)
        histograms: defaultdict[str, LatencyHistogram] = defaultdict(LatencyHistogram)
        for report in reports:
            self._connected[report["worker"]] = report["connected"]
            for user_class, row in report["counters"].items():
                counters[user_class].update(row)
            for tag, payload in report["histograms"].items():
                histograms[tag].add_encoded(payload)
        for tag, histogram in sorted(histograms.items()):
            self._writer.append_histogram(tag, second, histogram)
        connected = _summed(self._connected)
        self._writer.append("timeline", self._rows(second, connected, counters, histograms))
        self._writer.append("requests", _request_rows(second, reports, histograms))
        if self._watch is not None:
            self._watch(second, reports, counters, histograms, connected)

    def _rows(
        self,
        second: int,
        connected: Counter[str],
        counters: defaultdict[str, Counter[str]],
        histograms: dict[str, LatencyHistogram],
    ) -> Iterator[dict[str, object]]:
        for user_class in self._user_classes:
            row: dict[str, object] = {
                "second": second,
                "phase": self._phase_at(second),
                "user_class": user_class,
                "connected": connected[user_class],
                **{name: counters[user_class][name] for name in TIMELINE_COUNTERS},
            }
            for metric in LATENCY_METRICS:
                merged = _merged(histograms, f"{metric}.{user_class}.")
                for name, value in merged.percentiles_ms().items():
                    row[f"{metric}_ms_{name}"] = value
            yield row


def _summed(of_workers: Mapping[int, Mapping[str, int]]) -> Counter[str]:
    """Return the sums over all workers, by user class."""
    total = Counter[str]()
    for of_worker in of_workers.values():
        total.update(of_worker)
    return total


def _request_rows(
    second: int, reports: list[dict[str, Any]], histograms: dict[str, LatencyHistogram]
) -> Iterator[dict[str, object]]:
    """Yield a row for each kind of ordinary request of a second, all workers together."""
    merged: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for report in reports:
        for phase, name, *counts in report["requests"]:
            sums = merged[phase, name]
            sums[:] = map(add, sums, counts)
    for (phase, name), (count, failures, size) in sorted(merged.items()):
        found = histograms.get(f"{REQUEST_LATENCY}.{request_tag(name)}.{phase}", _NOTHING)
        percentiles = found.percentiles_ms()
        yield {
            "second": second,
            "phase": phase,
            "name": name,
            "count": count,
            "failures": failures,
            "bytes": size,
            **{f"latency_ms_{key}": value for key, value in percentiles.items()},
        }


_NOTHING: Final = LatencyHistogram()
"""Stands for a metric without values in a second; never recorded into."""


def _merged(histograms: dict[str, LatencyHistogram], prefix: str) -> LatencyHistogram:
    """Return one histogram of a metric and user class over the phases it was split by."""
    found = [histogram for tag, histogram in histograms.items() if tag.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        return _NOTHING
    merged = LatencyHistogram()
    for histogram in found:
        merged.hdr.add(histogram.hdr)
    return merged
