import contextlib
import html
import http.client
import json
import re
import signal
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.page_checks import CHROMIUM, open_in_browser
from tests.support.ports import free_port
from tests.support.runs import (
    EMULATED,
    LOCUSTFILE,
    LONG,
    SHORT,
    SMOKE,
    Outcome,
    RunningCommand,
    after,
    apart,
    lenient,
    sets,
)
from tests.support.waiting import PATIENCE_S, wait_for


@dataclass
class Watched:
    """What was seen of a run, and how it ended."""

    outcome: Outcome
    seen: dict[str, Any] = field(default_factory=dict)


TOKEN = "the-token-of-a-test"


def get(port, path):
    """Return what is served, None where nobody serves any more."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.read().decode()
    except OSError:
        return None


def post(port, path, body=b""):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {"X-Harness-Token": TOKEN})
        return json.loads(connection.getresponse().read())


def figures(port):
    text = get(port, "/fan-out.json")
    return json.loads(text) if text else None


def browse(address, folder):
    """Return a page as the browser built it, and what it logged to its console."""
    return open_in_browser(address, folder) if CHROMIUM else None


def listening(pid, port):
    """Return the addresses on which a process listens on a port."""
    held = psutil.Process(pid).net_connections("tcp")
    return [c.laddr.ip for c in held if c.status == "LISTEN" and c.laddr.port == port]


def watched_run(launcher):
    """``harness run`` with page and metrics, scraped until they are gone."""
    web, metrics = free_port(), free_port()
    arguments = ("--workers", 2, "--web-port", web, f"--locust-arg=--metrics-port={metrics}")
    running = launcher.run(SHORT, *arguments)
    seen: dict[str, Any] = {}

    def over():
        seen["metrics"] = get(metrics, "/metrics") or seen.get("metrics")
        seen["json"] = figures(web) or seen.get("json")
        return running.process.poll() is not None

    wait_for(over, "the end of the run", sleep=lambda _: time.sleep(0.1))
    return Watched(running.outcome(), seen)


def stopped_in_the_page(launcher):
    """Plain Locust with its page: looked at in a browser, then stopped by its button."""
    web = free_port()
    folder = launcher.new_folder()
    command = ("-m", "locust", "-f", LOCUSTFILE, "--autostart", "--web-port", web)
    files = ("--workload", SMOKE, "--target", EMULATED, "--out", "RECORD")
    words = (*command, *files, *sets(lenient() | LONG), *apart(2))
    running = RunningCommand(folder, sys.executable, *words, HARNESS_WEB_TOKEN=TOKEN)
    try:  # Its page stays until it is told to go, whatever fails here.
        running.until_second(5)
        address = f"http://127.0.0.1:{web}"
        seen = {
            "running": figures(web),
            "page": browse(f"{address}/fan-out", folder / "profile"),
            "locust": browse(f"{address}/?tab=fan-out", folder / "profile-2"),
            "swarm": post(web, "/swarm", b"user_count=5&spawn_rate=5"),
            "listening": listening(running.master(), web),
            "stop": post(web, "/stop"),
        }
        wait_for(lambda: (figures(web) or {}).get("state") == "ended", "the report")
        seen["ended"] = figures(web)
        seen["report"] = get(web, "/fan-out/report")
        running.send(signal.SIGINT)
        return Watched(running.outcome(), seen)
    finally:
        running.end()


@after(watched_run)
def test_watched_run_ends_as_any_other(outcome):
    """The page goes with the run, whose exit code is the verdict's."""
    assert (0, []) == (outcome.outcome.exit_code, outcome.outcome.left)
    assert "Traceback" not in outcome.outcome.said


@after(watched_run)
def test_last_figures_are_those_of_the_summary(outcome):
    """All that the page and the summary both name is equal once the accounts are in."""
    summary, shown = outcome.outcome.summary, outcome.seen["json"]
    assert shown["state"] in {"reporting", "ended"}
    for block in ("joins", "publishes", "deliveries", "fan_out_latency_ms", "receive_delay_ms"):
        both = summary[block].keys() & shown[block].keys()
        assert {k: summary[block][k] for k in both} == {k: shown[block][k] for k in both}
    assert summary["deliveries"]["received"] > 0


@after(watched_run)
def test_last_scrape_is_the_summary(outcome):
    """Prometheus's own parser reads the counts that the report gives."""
    summary = outcome.outcome.summary
    found = {
        (one.name, one.labels.get("phase"), one.labels.get("user_class"), one.labels.get("le")): (
            one.value
        )
        for family in text_string_to_metric_families(outcome.seen["metrics"])
        for one in family.samples
    }
    assert 1 == found["fanout_run_ended", None, None, None]
    for name in ("owed", "received", "duplicated", "reordered", "late", "unexpected"):
        sample = (f"fanout_deliveries_{name}_total", "measure", None, None)
        assert summary["deliveries"][name] == found[sample], name
    for name in ("offered", "sent", "acknowledged", "failed", "throttled"):
        sample = (f"fanout_publishes_{name}_total", "measure", None, None)
        assert summary["publishes"][name] == found[sample], name
    joined = sum(
        found["fanout_joins_succeeded_total", None, user_class, None]
        for user_class in ("subscriber", "chatter")
    )
    assert summary["joins"]["succeeded"] == joined
    latency = "fanout_fan_out_latency_seconds"
    assert (
        summary["fan_out_latency_ms"]["count"] == found[f"{latency}_count", "measure", None, None]
    )
    below_s = found[f"{latency}_bucket", "measure", None, "120.0"]
    assert summary["fan_out_latency_ms"]["count"] == below_s


@after(stopped_in_the_page)
def test_stop_button_ends_the_run_in_order(outcome):
    """Accounts are taken, the report is made and served, the exit code is an interrupted run's."""
    assert (130, []) == (outcome.outcome.exit_code, outcome.outcome.left)
    assert "Traceback" not in outcome.outcome.said
    assert ("interrupted", "interrupted") == (
        outcome.outcome.run["status"],
        outcome.outcome.run["cause"]["code"],
    )
    deliveries = outcome.outcome.summary["deliveries"]
    assert deliveries["owed"] == deliveries["received"] > 0
    assert 130 == outcome.seen["ended"]["exit_code"]
    assert (outcome.outcome.folder / "report.html").read_text("utf-8") == outcome.seen["report"]


@after(stopped_in_the_page)
def test_page_listens_on_this_machine_only(outcome):
    """Nobody asked for more."""
    assert ["127.0.0.1"] == outcome.seen["listening"]


@after(stopped_in_the_page)
def test_page_refuses_to_change_the_users(outcome):
    """A plan fixes them; the run goes on."""
    assert outcome.seen["swarm"]["success"] is False
    assert "the workload fixes users" in outcome.seen["swarm"]["message"]


@after(stopped_in_the_page)
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_page_shows_the_run_in_a_browser(outcome):
    """It renews itself without a word on the console, and shows what the run has measured."""
    dom, console = outcome.seen["page"]
    assert [] == console
    shown = dict(re.findall(r'data-metric="([^"]*)"[^>]*>([^<]*)<', html.unescape(dom)))
    assert "100" == shown["joins.succeeded"]
    assert "0" == shown["joins.failed"]
    assert re.fullmatch(r"[\d.]+\Wms", shown["last_second.fan_out_latency_ms.p99"])
    seconds = [int(number) for number in re.findall(r"second (\d+) of", dom)]
    assert seconds[0] >= outcome.seen["running"]["second"]
    assert "Phase: measure" in " ".join(dom.split())


@after(stopped_in_the_page)
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_locusts_own_page_has_a_tab_with_the_main_figures(outcome):
    """Locust's page still works, and leads to ours."""
    dom, console = outcome.seen["locust"]
    assert [] == console
    assert ">Fan-out<" in dom
    assert "fan-out p99, last second" in dom
    assert "see /fan-out" in dom
