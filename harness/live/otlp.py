"""Sends the metrics of a run to an OpenTelemetry collector; loaded only when it is enabled.

Endpoint, headers, timeout and compression come from the standard ``OTEL_EXPORTER_OTLP_*``
variables, which the library reads itself; the interval from ``OTEL_METRIC_EXPORT_INTERVAL``.
Sources, on opentelemetry.io: docs/specs/otel/protocol/exporter and
docs/specs/otel/configuration/sdk-environment-variables.
"""

import os
import time
from typing import Any, Final

import gevent
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as OtelMetric
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from harness.core.distribution import VERSION
from harness.live.metrics import LATENCY_BOUNDS_S, Buckets, Metric, metrics
from harness.live.run import LiveRun

DEFAULT_INTERVAL_MS: Final = 10_000
"""Shorter than the library's minute, since runs are short."""

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


class OtlpSender:
    """Sends the metrics of a run now and then, and once more at its end."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._exporter = OTLPMetricExporter()
        name = {SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", "fanout-harness")}
        self._resource = Resource.create(name)
        interval_ms = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or DEFAULT_INTERVAL_MS
        self._interval_s = float(interval_ms) / 1000
        self._greenlet = gevent.spawn(self._send_now_and_then)

    def _send_now_and_then(self) -> None:
        while True:
            gevent.sleep(self._interval_s)
            self.send()

    def send(self) -> bool:
        """Send everything as it stands; return whether it was taken.

        The library logs what went wrong. A collector that is away must not disturb a run.
        """
        result = self._exporter.export(self._data())
        return result is MetricExportResult.SUCCESS

    def close(self) -> None:
        """Send the final figures and stop."""
        self._greenlet.kill()
        self.send()
        self._exporter.shutdown()

    def _data(self) -> MetricsData:
        now_ns = time.time_ns()
        start_ns = self._run.epoch_ns or now_ns
        found = [_metric(metric, start_ns, now_ns) for metric in metrics(self._run)]
        scope = ScopeMetrics(InstrumentationScope("harness.live", VERSION), found, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])


def _metric(metric: Metric, start_ns: int, now_ns: int) -> OtelMetric:
    points: list[Any] = [
        _point(dict(labels), value, start_ns, now_ns) for labels, value in metric.points
    ]
    data: Sum | Gauge | Histogram = Gauge(points)
    if metric.kind == "histogram":
        data = Histogram(points, _CUMULATIVE)
    elif metric.kind == "counter":
        data = Sum(points, _CUMULATIVE, is_monotonic=True)
    return OtelMetric(f"fanout.{metric.name}", metric.text, metric.unit, data)


def _point(
    labels: dict[str, str], value: float | Buckets, start_ns: int, now_ns: int
) -> NumberDataPoint | HistogramDataPoint:
    if not isinstance(value, Buckets):
        return NumberDataPoint(labels, start_ns, now_ns, value)
    return HistogramDataPoint(
        attributes=labels,
        start_time_unix_nano=start_ns,
        time_unix_nano=now_ns,
        count=sum(value.counts),
        sum=value.total_s,
        bucket_counts=value.counts,
        explicit_bounds=LATENCY_BOUNDS_S,
        min=value.least_s or 0.0,
        max=value.most_s or 0.0,
    )
