import html
import json
import re
import socket
from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from harness.core.errors import MachineError
from harness.live.outputs import LiveOutputs, has_outputs
from harness.live.page import (
    add_page,
    count,
    main_figures,
    milliseconds,
    percent,
    render,
    seconds,
)
from harness.live.snapshot import snapshot
from tests.support.page_checks import CHROMIUM, open_in_browser

PHONE_WIDTH = 390
PROBE = """
<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{width}px;height:800px" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const wide = [...page.querySelectorAll("body *")].filter((one) =>
    one.closest(".scroll, svg") === null && one.getBoundingClientRect().right > {width} + 0.5);
  document.body.dataset.found = JSON.stringify(wide.map((one) => one.tagName + "#" + one.id));
}});
</script>
"""


def test_page_needs_nothing_from_elsewhere(played):
    """No address but its own in it, so that it works on a machine without a network."""
    page = render(played)
    assert [] == re.findall(r"https?://[^\"' <)]*", page)
    assert {"data:,", "./", "fan-out.json"} == set(re.findall(r'(?:src|href)="([^"]*)"', page))


def test_page_shows_the_texts_of_strangers_as_text(played):
    """What a system says in its errors is no markup."""
    played.errors["upgrade", "<b>", "<script>alert(1)</script>"] = 2
    page = render(played)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_figures_on_the_page_are_those_of_the_snapshot(played):
    """Each element that names a metric shows its value."""
    shown = dict(re.findall(r'data-metric="([^"]*)"[^>]*>([^<]*)<', html.unescape(render(played))))
    figures = snapshot(played)
    assert str(figures["deliveries"]["owed"]) == shown["deliveries.owed"] == "6"
    assert milliseconds(figures["fan_out_latency_ms"]["p99"]) == shown["fan_out_latency_ms.p99"]
    assert str(figures["joins"]["failed"]) == shown["joins.failed"] == "1"


def test_main_figures_are_texts(played):
    """Locust's table shows them as they are."""
    found = dict(main_figures(snapshot(played)))
    assert ("6", "1") == (found["owed"], found["lost"])
    assert "reporting" == found["phase"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (count(1234.0), "1,234"),
        (count(None), "–"),
        (milliseconds(0.1234), "0.123\u202fms"),
        (milliseconds(12.34), "12.3\u202fms"),
        (milliseconds(1234.4), "1,234\u202fms"),
        (seconds(59.4), "59\u202fs"),
        (seconds(125), "2\u202fmin 5\u202fs"),
        (percent(1.0), "100\u202f%"),
        (percent(0.99999), "99.999\u202f%"),
        (percent(0.07), "7\u202f%"),
        (percent(None), "–"),
    ],
)
def test_figures_are_written_as_people_read_them(text, expected):
    """Grouped digits, units, and no loss rounded away."""
    assert expected == text


@pytest.mark.parametrize(
    ("page", "port", "otlp", "variable", "expected"),
    [
        (None, None, False, "", False),
        ("page", None, False, "", True),
        (None, 9646, False, "", True),
        (None, None, True, "", True),
        (None, None, False, "http://127.0.0.1:4318", True),
    ],
)
def test_account_is_kept_only_where_somebody_looks(
    page, port, otlp, variable, expected, monkeypatch
):
    """A plain run in a pipeline does none of this work."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", variable)
    options = Namespace(metrics_port=port, otlp=otlp)
    environment: Any = SimpleNamespace(web_ui=page)
    assert expected == has_outputs(environment, options)


def test_port_of_the_page_in_use_is_named(played, tmp_path):
    """In words, and before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment: Any = SimpleNamespace(web_ui=SimpleNamespace(host="127.0.0.1", port=port))
        with pytest.raises(MachineError, match=f"--web-port {port}: cannot be listened on"):
            LiveOutputs(environment, Namespace(plan=None), played, tmp_path)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_nothing_overflows_a_phone(played, tmp_path):
    """At 390 px only tables scroll sideways, in their own frames."""
    frame = tmp_path / "frame.html"
    frame.write_text(PROBE.format(width=PHONE_WIDTH, page=html.escape(render(played))), "utf-8")
    dom, _ = open_in_browser(frame, tmp_path)
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found is not None
    assert [] == json.loads(html.unescape(found[1]))


@pytest.fixture
def browser(played, tmp_path):
    """A client of Locust's page, whose only route is the one that stops a run."""
    app = Flask("page")
    app.add_url_rule("/stop", "stop", lambda: "stopped", methods=["POST"])
    web_ui: Any = SimpleNamespace(app=app, host="127.0.0.1", port=8089, web_login=False)
    web_ui.auth_required_if_enabled = lambda view: view
    web_ui.template_args = {}
    add_page(web_ui, played, "", tmp_path, "the-token")
    return app.test_client()


HERE = "http://127.0.0.1:8089"


def test_run_is_stopped_only_with_the_token(browser):
    """From a header, or from the cookie of a browser that has opened the printed link."""
    assert browser.post("/stop", base_url=HERE).status_code == 403
    header = {"X-Harness-Token": "the-token"}
    assert browser.post("/stop", base_url=HERE, headers=header).status_code == 200
    assert browser.get("/fan-out?token=another", base_url=HERE).status_code == 200
    assert browser.post("/stop", base_url=HERE).status_code == 403
    assert browser.get("/fan-out?token=the-token", base_url=HERE).status_code == 200
    assert browser.post("/stop", base_url=HERE).status_code == 200


def test_page_is_for_no_other_host_and_no_other_origin(browser):
    """DNS rebinding has another host; another page has another origin, whatever cookie it sends."""
    browser.get("/fan-out?token=the-token", base_url=HERE)
    origin = {"Origin": "http://127.0.0.1:9000"}
    assert browser.post("/stop", base_url=HERE, headers=origin).status_code == 403
    rebound = "http://evil.example.org:8089"
    assert browser.get("/fan-out.json", base_url=rebound).status_code == 403
    assert browser.get("/fan-out.json?token=the-token", base_url=rebound).status_code == 200
