"""Serves the metrics of a run to Prometheus; loaded only when this output is enabled."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, Final

from gevent import socket
from gevent.pywsgi import WSGIServer
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from harness.core.errors import MachineError, os_reason
from harness.live.metrics import LATENCY_BOUNDS_S, Buckets, Metric, metrics
from harness.live.run import LiveRun

_FAMILIES: Final = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class RunCollector(Collector):
    """Computes the metrics of a run when they are scraped."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run

    def collect(self) -> Iterable[Family]:
        """Return every metric as Prometheus's library knows it."""
        return map(_family, metrics(self._run))


def serve(run: LiveRun, host: str, port: int) -> WSGIServer:
    """Serve ``/metrics`` from a greenlet of this process; port 0 takes any free one.

    Raises:
        MachineError: If the port cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(RunCollector(run))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise MachineError(
            f"--metrics-port {port}",
            f"cannot be listened on ({os_reason(error)})",
            "the metrics endpoint needs a port of its own",
            "choose another port",
        ) from None
    server = WSGIServer(listener, make_wsgi_app(registry), log=None)
    server.start()
    return server


def _family(metric: Metric) -> Any:
    keys = list(metric.points[0][0]) if metric.points else []
    family: Any = _FAMILIES[metric.kind](metric.prometheus_name, metric.text, labels=keys)
    for labels, value in metric.points:
        if isinstance(value, Buckets):
            family.add_metric(list(labels.values()), list(_edges(value)), value.total_s)
        else:
            family.add_metric(list(labels.values()), value)
    return family


def _edges(value: Buckets) -> Iterator[tuple[str, float]]:
    """Yield each bucket's upper edge and how many values lie up to it."""
    edges = [*(str(bound) for bound in LATENCY_BOUNDS_S), "+Inf"]
    yield from zip(edges, map(float, accumulate(value.counts)), strict=True)
