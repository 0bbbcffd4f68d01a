"""The metrics of a run in progress, for monitoring systems.

Names and units follow OpenTelemetry; ``Metric.prometheus_name`` is what its documented mapping to
Prometheus makes of them. Sources: prometheus.io/docs/practices/naming and, on opentelemetry.io,
docs/specs/otel/compatibility/prometheus_and_openmetrics.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from harness.core.clock import NS_PER_S
from harness.core.join_stages import JOIN_STAGES
from harness.live.run import LiveRun
from harness.live.snapshot import publish_counts
from harness.measure.histogram import LatencyHistogram

LATENCY_BOUNDS_S: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
    *(0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0),
)
"""Upper edges of the buckets of every latency, in seconds."""

_SUFFIXES = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}
Kind = Literal["counter", "gauge", "histogram"]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram: how many values lie in each bucket, the last without an upper edge.

    Attributes:
        counts: One more than ``LATENCY_BOUNDS_S``; not added up.
        total_s: Sum of all values, within the three figures that are kept of each.
        least_s: The smallest value, None without any.
        most_s: The largest.
    """

    counts: tuple[int, ...]
    total_s: float
    least_s: float | None
    most_s: float | None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with its points.

    Attributes:
        name: Without prefix and unit.
        unit: In UCUM, as OpenTelemetry has it: "s", "By", "1" for ratios, "{…}" for counts.
    """

    name: str
    kind: Kind
    unit: str
    text: str
    points: tuple[tuple[Labels, float | Buckets], ...]

    @property
    def prometheus_name(self) -> str:
        """The name of its family in Prometheus; samples of a counter end in ``_total``."""
        return f"fanout_{self.name}{_SUFFIXES.get(self.unit, '')}"


def metrics(run: LiveRun) -> Iterator[Metric]:
    """Yield every metric of a run as it stands."""
    yield from _progress(run)
    yield from _users(run)
    yield from _publishes(run)
    yield from _deliveries(run)
    yield from _latencies(run)
    yield from _generator(run)


def _progress(run: LiveRun) -> Iterator[Metric]:
    names = {"run_id": run.run_id, "workload": run.plan.workload.name}
    labels = {**names, "target": run.plan.target.name}
    yield _one("run_info", "gauge", "", "The run that is shown; always 1.", 1, labels)
    yield _one("run_elapsed", "gauge", "s", "Time of the run that is over.", run.elapsed_s)
    yield _one("run_planned", "gauge", "s", "Planned length of the run.", run.timetable.total_s)
    now = None if run.ended_s is not None else run.timetable.phase_at(run.elapsed_s)
    points = tuple(
        ({"phase": phase.name}, float(phase.name == now)) for phase in run.timetable.phases
    )
    yield Metric("run_phase", "gauge", "", "1 for the phase the run is in, 0 for others.", points)
    ended = float(run.ended_s is not None)
    yield _one("run_ended", "gauge", "", "1 once every account is in.", ended)
    active = sum(_active(row, run.elapsed_s) for row in run.disturbances)
    yield _one("disturbances_active", "gauge", "", "Disturbances that last just now.", active)


def _active(row: Mapping[str, Any], now_s: float) -> bool:
    return row["start_s"] is not None and row["start_s"] <= now_s < row["end_s"]


def _users(run: LiveRun) -> Iterator[Metric]:
    planned = run.plan.workload.population.fan_out
    connected = {user_class: run.connected.get(user_class, 0) for user_class in planned}
    yield _by("user_class", "connections", "gauge", "Connections open now.", connected)
    yield _by("user_class", "connections_planned", "gauge", "Connections planned.", planned)
    for name, text in {
        "joins_attempted": "Attempts to connect and subscribe.",
        "joins_succeeded": "Attempts that ended in a confirmed subscription.",
        "joins_failed": "Attempts that failed.",
        "disconnects": "Connections that the system, or the network, ended.",
    }.items():
        values = {user_class: run.counters[user_class][name] for user_class in planned}
        yield _by("user_class", name, "counter", text, values)
    errors: Counter[tuple[str, str]] = Counter()
    for (stage, code, _), count in run.errors.items():
        errors[stage, code] += count
    points = tuple(({"stage": s, "code": c}, float(n)) for (s, c), n in errors.items())
    yield Metric("errors", "counter", "", "Errors, by stage and by the system's code.", points)


def _publishes(run: LiveRun) -> Iterator[Metric]:
    by_phase = {phase: publish_counts(counts) for phase, counts in run.publishes.items()}
    for name, text in {
        "offered": "Messages of the schedule whose fate is known.",
        "sent": "Messages that were sent.",
        "acknowledged": "Messages that the system acknowledged.",
        "failed": "Messages refused or left without an answer.",
        "throttled": "Messages refused because of a quota.",
    }.items():
        values = {phase: counts[name] for phase, counts in by_phase.items()}
        yield _by("phase", f"publishes_{name}", "counter", text, values)


def _deliveries(run: LiveRun) -> Iterator[Metric]:
    totals = run.ledger.totals
    for name, counted, text in (
        ("owed", "owed", "Deliveries owed by messages that have had time to arrive."),
        ("received", "delivered", "Distinct owed deliveries that arrived."),
        ("duplicated", "duplicated", "Deliveries of a message that had already arrived."),
        ("reordered", "reordered", "Deliveries that arrived after a later one of their stream."),
        ("late", "late", "Owed deliveries that arrived after the drain."),
        ("unexpected", "unexpected", "Deliveries to a subscription that was not owed them."),
    ):
        values = {phase: counts[counted] for phase, counts in totals.items()}
        yield _by("phase", f"deliveries_{name}", "counter", text, values)
    lost = {phase: run.ledger.lost(phase) for phase in totals}
    text = "Owed deliveries that have not arrived; a late arrival is subtracted again."
    yield _by("phase", "deliveries_lost", "gauge", text, lost)
    arrived = sum(counters["deliveries"] for counters in run.counters.values())
    yield _one("deliveries_arrived", "counter", "", "Deliveries as they arrive.", arrived)
    text = "Deliveries scheduled for the last second, for the subscriptions open then."
    yield _one("deliveries_offered", "gauge", "", text, run.last.deliveries_offered)
    size = sum(counters["bytes_received"] for counters in run.counters.values())
    yield _one("received", "counter", "By", "Payload of the deliveries that arrived.", size)


def _latencies(run: LiveRun) -> Iterator[Metric]:
    for name, text in {
        "fan_out_latency": "From the time a message was due to its arrival at a subscriber.",
        "service_latency": "From the time a message was sent to its arrival at a subscriber.",
        "receive_delay": "Time that deliveries waited between the kernel and the harness.",
        "publish_latency": "From sending a message to its acknowledgement.",
        "send_delay": "How long after its due time a message was sent.",
        "join_latency": "From the start of a connection to the confirmed subscription.",
        "loop_lag": "How late the timers of the workers' event loops fired.",
    }.items():
        points = tuple(
            ({"phase": phase}, buckets(histogram))
            for (metric, phase), histogram in sorted(run.histograms.items())
            if metric == name
        )
        yield Metric(name, "histogram", "s", text, points)
    points = tuple(
        ({"stage": stage}, buckets(run.histogram(f"join_{stage}", phase=None)))
        for stage in JOIN_STAGES
    )
    yield Metric("join_stage", "histogram", "s", "The stages of joining, one by one.", points)


def _generator(run: LiveRun) -> Iterator[Metric]:
    yield _one("workers", "gauge", "", "Workers of the run.", run.workers)
    for name, column, unit, factor, text in (
        ("worker_cpu", "cpu_ratio", "1", 1.0, "Share of a core that a worker used."),
        ("worker_cpu_wait", "cpu_wait_ratio", "1", 1.0, "Share of time it waited for a core."),
        ("worker_loop_lag_max", "loop_lag_ms_max", "s", 1e-3, "Its worst loop lag of a second."),
        (
            *("worker_send_delay_max", "send_delay_ms_max", "s", 1e-3),
            "Its worst send delay of a second.",
        ),
        (
            *("worker_receive_backlog", "receive_backlog", "", 1.0),
            "Deliveries that waited for it in the kernel as the second began.",
        ),
        ("worker_memory", "rss_bytes", "By", 1.0, "Its resident memory."),
    ):
        points = tuple(
            ({"worker": str(worker)}, row[column] * factor)
            for worker, row in sorted(run.health.items())
            if row.get(column) is not None
        )
        yield Metric(name, "gauge", unit, text, points)


def _one(
    name: str, kind: Kind, unit: str, text: str, value: float, labels: Labels | None = None
) -> Metric:
    return Metric(name, kind, unit, text, ((labels or {}, float(value)),))


def _by(label: str, name: str, kind: Kind, text: str, values: Mapping[str, float]) -> Metric:
    points = tuple(({label: key}, float(value)) for key, value in values.items())
    return Metric(name, kind, "", text, points)


def buckets(histogram: LatencyHistogram) -> Buckets:
    """Return a histogram in the buckets of ``LATENCY_BOUNDS_S``; an edge belongs below itself."""
    counts = histogram.counts()
    recorded = np.flatnonzero(counts)
    hdr = histogram.hdr
    values_ns = np.array([hdr.get_value_from_index(int(place)) for place in recorded], np.int64)
    amounts = counts[recorded].astype(np.int64)
    bounds_ns = np.array([round(bound * NS_PER_S) for bound in LATENCY_BOUNDS_S])
    places = np.searchsorted(bounds_ns, values_ns, side="left")
    sums = np.bincount(places, weights=amounts, minlength=len(bounds_ns) + 1)
    has_any = histogram.count > 0
    return Buckets(
        counts=tuple(int(amount) for amount in sums),
        total_s=float((values_ns * amounts).sum()) / NS_PER_S,
        least_s=hdr.get_min_value() / NS_PER_S if has_any else None,
        most_s=hdr.get_max_value() / NS_PER_S if has_any else None,
    )
