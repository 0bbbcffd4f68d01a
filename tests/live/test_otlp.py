import gzip
from http.server import BaseHTTPRequestHandler

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from harness.core.errors import MachineError
from harness.live.metrics import metrics
from harness.live.otlp import OtlpSender
from tests.support.servers import serving_http


class Receiver(BaseHTTPRequestHandler):
    """An OTLP receiver over HTTP that keeps what it is sent."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.taken.append(
            (self.path, self.headers, ExportMetricsServiceRequest.FromString(body))
        )
        answer = ExportMetricsServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(name="collector")
def _collector(monkeypatch):
    with serving_http(Receiver) as server:
        server.taken = []
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server


def received(collector):
    """Return the path, the resource's attributes and the metrics by name of the last request."""
    path, _, request = collector.taken[-1]
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
    return path, attributes, {metric.name: metric for metric in scope.metrics}


def labels_of(point):
    return {one.key: one.value.string_value for one in point.attributes}


def test_collector_gets_every_metric_at_the_end(played, collector, monkeypatch):
    """Names, units, kinds and figures arrive as they are in the run."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=lab")
    OtlpSender(played).close()
    path, attributes, found = received(collector)
    assert "/v1/metrics" == path
    assert ("fanout-harness", "lab") == (
        attributes["service.name"],
        attributes["deployment.environment.name"],
    )
    assert {f"fanout.{metric.name}" for metric in metrics(played)} == set(found)
    owed = found["fanout.deliveries_owed"].sum
    assert (True, 2) == (owed.is_monotonic, owed.aggregation_temporality)  # 2 is cumulative
    assert [({"phase": "measure"}, 6.0)] == [
        (labels_of(point), point.as_double) for point in owed.data_points
    ]
    latency = found["fanout.fan_out_latency"]
    (point,) = latency.histogram.data_points
    assert ("s", 5) == (latency.unit, point.count)
    by_edge = dict(zip(point.explicit_bounds, point.bucket_counts, strict=False))
    assert {0.005: 1, 0.01: 1, 0.02: 1, 0.1: 2} == {k: n for k, n in by_edge.items() if n}
    assert point.sum == pytest.approx(0.192, rel=1e-3)
    assert point.max == pytest.approx(0.090, rel=1e-3)
    assert point.start_time_unix_nano == played.epoch_ns


def test_standard_variables_are_heeded(played, collector, monkeypatch):
    """Headers, service name and compression as the specification names them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=chat")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "friday")
    OtlpSender(played).close()
    _, attributes, _ = received(collector)
    headers = collector.taken[-1][1]
    assert "friday" == attributes["service.name"]
    assert ("chat", "gzip") == (headers["x-team"], headers["Content-Encoding"])


def test_collector_that_is_away_is_no_error_of_the_run(played, collector, monkeypatch):
    """The run goes on; whoever asks hears that nothing was taken."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sender = OtlpSender(played)
    assert not sender.send()
    sender.close()


def test_whatever_the_library_raises_is_told_once_and_ends_nothing(played, monkeypatch, caplog):
    """An output must not disturb a run, nor take its verdict at the end."""
    sender = OtlpSender(played)

    def fail(_):
        raise UnicodeError("planted")

    monkeypatch.setattr(sender._exporter, "export", fail)
    assert not sender.send()
    sender.close()
    assert ["OpenTelemetry: not sent: UnicodeError: planted"] == caplog.messages


@pytest.mark.parametrize("interval", ["soon", "0", "-1", "inf", "nan"])
def test_interval_that_is_none_is_refused(played, monkeypatch, interval):
    """In one sentence, before the run."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", interval)
    with pytest.raises(MachineError, match=f"^OTEL_METRIC_EXPORT_INTERVAL: '{interval}' was"):
        OtlpSender(played)
