"""Sends the metrics of a run to an OpenTelemetry collector; loaded only when it is enabled.

Endpoint, headers, timeout and compression come from the standard ``OTEL_EXPORTER_OTLP_*``
variables, which the library reads itself; the interval from ``OTEL_METRIC_EXPORT_INTERVAL``.
Sources, on opentelemetry.io: docs/specs/otel/protocol/exporter and
docs/specs/otel/configuration/sdk-environment-variables.
"""

import logging
import math
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
from harness.core.errors import MachineError
from harness.core.outside_text import outside_text
from harness.live.metrics import LATENCY_BOUNDS_S, Buckets, Metric, metrics
from harness.live.run import LiveRun

DEFAULT_INTERVAL_MS: Final = 10_000
"""Shorter than the library's minute, since runs are short."""

INTERVAL_VARIABLE: Final = "OTEL_METRIC_EXPORT_INTERVAL"

_LOG = logging.getLogger(__name__)

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


class OtlpSender:
    """Sends the metrics of a run now and then, and once more at its end.

    Raises:
        MachineError: If ``OTEL_METRIC_EXPORT_INTERVAL`` is no number above 0.
    """

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._exporter = OTLPMetricExporter()
        name = {SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", "fanout-harness")}
        self._resource = Resource.create(name)
        interval_ms = os.environ.get(INTERVAL_VARIABLE) or str(DEFAULT_INTERVAL_MS)
        self._interval_s = _seconds(interval_ms)
        self._has_failed = False
        self._greenlet = gevent.spawn(self._send_now_and_then)

    def _send_now_and_then(self) -> None:
        while True:
            gevent.sleep(self._interval_s)
            self.send()

    def send(self) -> bool:
        """Send everything as it stands; return whether it was taken.

        The library logs what it expects to go wrong. Nothing here may disturb a run.
        """
        try:
            return self._exporter.export(self._data()) is MetricExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            if not self._has_failed:
                said = outside_text(str(error))
                _LOG.warning("OpenTelemetry: not sent: %s: %s", type(error).__name__, said)
            self._has_failed = True
            return False

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


def _seconds(interval_ms: str) -> float:
    try:
        seconds = float(interval_ms) / 1000
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        found = f"{outside_text(interval_ms)!r} was found"
        raise MachineError(INTERVAL_VARIABLE, found, "milliseconds above 0 are required")
    return seconds


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
