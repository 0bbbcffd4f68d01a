import json
import re
import urllib.request

import gevent
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.core.errors import MachineError
from harness.live.metrics import LATENCY_BOUNDS_S, metrics
from harness.live.prometheus import serve
from tests.support.paths import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "fan-out.json"
FUNCTIONS = {"histogram_quantile", "rate", "sum", "max", "min", "by", "clamp_max", "increase"}


def scrape(port):
    """Return what an independent reader finds at /metrics."""

    def read():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return answer.read().decode()

    # In a thread: the server is a greenlet of this one.
    return list(text_string_to_metric_families(gevent.get_hub().threadpool.apply(read)))


def samples_of(families):
    return {
        (one.name, frozenset(one.labels.items())): one.value for f in families for one in f.samples
    }


@pytest.fixture(name="families")
def _families(played):
    server = serve(played, "127.0.0.1", 0)
    yield scrape(server.server_port)
    server.stop()


def value(families, name, **labels):
    return samples_of(families)[name, frozenset(labels.items())]


def test_scraped_counters_are_those_of_the_run(families):
    """Prometheus's own parser reads them back."""
    ledger = {
        name: value(families, f"fanout_deliveries_{name}", phase="measure")
        for name in ("owed_total", "received_total", "lost", "duplicated_total")
    }
    assert {"owed_total": 6, "received_total": 5, "lost": 1, "duplicated_total": 1} == ledger
    assert 3 == value(families, "fanout_joins_succeeded_total", user_class="subscriber")
    assert 1 == value(families, "fanout_errors_total", stage="upgrade", code="429")
    assert 2 == value(families, "fanout_publishes_sent_total", phase="measure")
    assert 0.25 == value(families, "fanout_worker_cpu_ratio", worker="0")
    assert 0.003 == value(families, "fanout_worker_send_delay_max_seconds", worker="0")
    assert 40 == value(families, "fanout_worker_receive_backlog", worker="0")
    assert 1 == value(families, "fanout_run_ended")


def test_scraped_histogram_has_cumulative_buckets_in_seconds(families):
    """4, 6, 12, 80 and 90 ms: one up to 5 ms, two up to 10, three up to 50, five up to 100."""
    name = "fanout_fan_out_latency_seconds"
    found = {
        le: value(families, f"{name}_bucket", phase="measure", le=le)
        for le in ("0.002", "0.005", "0.01", "0.05", "0.1", "+Inf")
    }
    assert {"0.002": 0, "0.005": 1, "0.01": 2, "0.05": 3, "0.1": 5, "+Inf": 5} == found
    assert 5 == value(families, f"{name}_count", phase="measure")
    assert value(families, f"{name}_sum", phase="measure") == pytest.approx(0.192, rel=1e-3)


def test_names_follow_the_conventions(families):
    """Prefix, base unit, _total for counters and for nothing else, a sentence for each."""
    for family in families:
        assert re.fullmatch(r"fanout_[a-z_]+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert not re.search(r"_(ms|ns|milliseconds|total)$", family.name), family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds"), family.name
        for sample in family.samples:
            assert ("_total" in sample.name) == (family.type == "counter"), sample.name


def test_buckets_hold_what_an_objective_may_ask_for():
    """The edges ascend, and one second is among them."""
    assert sorted(set(LATENCY_BOUNDS_S)) == list(LATENCY_BOUNDS_S)
    assert {0.1, 0.2, 0.5, 1.0, 2.0} <= set(LATENCY_BOUNDS_S)


def test_port_in_use_is_named(played):
    """A second endpoint on the same port is refused in words."""
    server = serve(played, "127.0.0.1", 0)
    try:
        with pytest.raises(MachineError, match=f"--metrics-port {server.server_port}: cannot be"):
            serve(played, "127.0.0.1", server.server_port)
    finally:
        server.stop()


def expressions():
    """Return every query of the dashboard with the title of its panel."""
    return [
        (panel["title"], target["expr"])
        for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
        for target in panel.get("targets", ())
    ]


def test_dashboard_asks_only_for_what_is_served(played, families):
    """Every metric and label in a query exists."""
    names = {name for name, _ in samples_of(families)}
    labels = {key for _, pairs in samples_of(families) for key, _ in pairs} | {"instance"}
    assert expressions()
    for title, expression in expressions():
        bare = re.sub(r'"[^"]*"|\$\w+|\[[^]]*\]', "", expression)
        asked = set(re.findall(r"\bfanout_\w+", bare))
        assert asked, title
        assert asked <= names, title
        assert set(re.findall(r"[a-zA-Z_]\w*", bare)) - asked - FUNCTIONS <= labels, title


def test_dashboard_shows_every_metric_that_people_watch(played):
    """Nothing that is served is forgotten but what other panels are made of."""
    shown = " ".join(expression for _, expression in expressions())
    left_out = {"run_info", "run_elapsed", "run_planned", "run_ended", "received", "workers"}
    left_out |= {"connections_planned", "service_latency", "publish_latency", "join_stage"}
    assert {m.name for m in metrics(played) if m.prometheus_name not in shown} <= left_out


def test_dashboard_has_what_grafana_needs_to_import_it():
    """Keys of the dashboard's JSON model; panels have unique ids and do not overlap."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    needed = {"title", "uid", "schemaVersion", "panels", "time", "templating", "tags", "timezone"}
    assert needed <= dashboard.keys()
    panels = dashboard["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        assert {"id", "type", "title", "gridPos", "datasource", "targets"} <= panel.keys()
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        here = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & here, panel["title"]
        cells |= here
