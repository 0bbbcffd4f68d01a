"""The fan-out page of Locust's web interface, and its figures as JSON.

Uses what Locust documents for extensions: routes on its Flask application, and tabs, tables and
links in its own page. Source: docs.locust.io/en/stable/extending-locust.html.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson
from flask import Response, jsonify, redirect, request, send_file
from jinja2 import Environment, PackageLoader, StrictUndefined
from locust.web import WebUI
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from harness.core.metric_types import STATISTICS, percentile_name
from harness.core.outside_text import outside_text
from harness.core.own_requests import TOKEN_HEADER, is_own_host, is_own_origin, is_token
from harness.live.chart import Line, chart
from harness.live.run import LiveRun
from harness.live.snapshot import snapshot

PATH: Final = "/fan-out"
MISSING: Final = "–"
THIN: Final = "\N{NARROW NO-BREAK SPACE}"

TEMPLATES: Final = Environment(
    loader=PackageLoader("harness.live", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def add_page(web_ui: WebUI, run: LiveRun, base_path: str, folder: Path, token: str) -> None:
    """Add the page to Locust's web interface, before it starts to serve.

    Args:
        web_ui: Locust's.
        run: What to show.
        base_path: Prefix of all of Locust's addresses.
        folder: The run's, from which the report is served once it is made.
        token: Allows changes, such as to stop the run.
    """
    app = web_ui.app
    assert app is not None  # noqa: S101  made in its constructor
    path = base_path + PATH

    def add(address: str, view: Callable[[], AnyResponse], name: str) -> None:
        app.add_url_rule(address, name, web_ui.auth_required_if_enabled(view))

    add(path, lambda: Response(render(run), mimetype="text/html"), "fan_out")
    add(f"{path}.json", lambda: _json(snapshot(run)), "fan_out_json")
    add(f"{path}/report", lambda: _report(folder, path), "fan_out_report")
    _extend(web_ui, path)
    guard = _Guard(token, web_ui, base_path)
    app.before_request(guard.refusal)
    app.after_request(guard.remember)
    app.before_request(lambda: _refuse_changes(base_path))
    app.after_request(lambda response: _with_figures(response, run, path, base_path))


class _Guard:
    """Refuses requests that another web page makes a browser send, and changes without a token.

    A browser that has opened a link with the token keeps it in a cookie.
    """

    def __init__(self, token: str, web_ui: WebUI, base_path: str) -> None:
        self._token = token
        self._own = (web_ui.host,)
        self._has_login = web_ui.web_login
        self._cookie = f"harness_token_{web_ui.port}"  # Cookies do not tell ports apart.
        self._path = base_path or "/"

    def _is_known(self) -> bool:
        linked = request.args.get("token") or request.cookies.get(self._cookie)
        return is_token(request.headers.get(TOKEN_HEADER) or linked, self._token)

    def refusal(self) -> Response | None:
        known, origin = self._is_known(), request.headers.get("Origin")
        if not is_own_origin(origin, request.host):
            return _refused(f"this page is not for {origin}")
        if not (known or is_own_host(request.host, self._own)):
            return _refused(f"this page is not at {request.host}; open the link with the token")
        changes = request.method not in {"GET", "HEAD", "OPTIONS"}
        if changes and not (known or self._has_login):
            return _refused("changes need the token: open the link that the run has printed")
        return None

    def remember(self, response: Response) -> Response:
        if is_token(request.args.get("token"), self._token):
            response.set_cookie(
                self._cookie, self._token, path=self._path, httponly=True, samesite="Strict"
            )
        return response


def _refused(message: str) -> Response:
    response = jsonify({"success": False, "message": outside_text(message)})
    response.status_code = HTTPStatus.FORBIDDEN
    return response


def _json(figures: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(figures), mimetype="application/json")


def _report(folder: Path, path: str) -> AnyResponse:
    report = (folder / "report.html").resolve()
    return send_file(report) if report.is_file() else redirect(path)


def _extend(web_ui: WebUI, path: str) -> None:
    """Give Locust's own page a tab with the main figures, and links to the whole of them."""
    columns = [{"key": "name", "title": "Fan-out"}, {"key": "value", "title": "Now"}]
    web_ui.template_args |= {
        "extended_tabs": [{"title": "Fan-out", "key": "fan-out"}],
        "extended_tables": [{"key": "fan-out", "structure": columns}],
        "extended_csv_files": [
            {"href": path, "title": "Fan-out page (live)"},
            {"href": f"{path}.json", "title": "Fan-out figures (JSON)"},
        ],
    }


def _refuse_changes(base_path: str) -> Response | None:
    """Refuse to start once more or to change users: a plan fixes both, and a run is one record."""
    if request.method == "POST" and request.path in {f"{base_path}/swarm", f"{base_path}/user"}:
        message = "the workload fixes users and times; start the harness again for another run"
        return jsonify({"success": False, "message": message})
    return None


def _with_figures(response: Response, run: LiveRun, path: str, base_path: str) -> Response:
    """Add the tab's rows to the answer that Locust's page polls every two seconds."""
    if request.path == f"{base_path}/stats/requests" and response.is_json:
        rows = [{"name": name, "value": value} for name, value in main_figures(snapshot(run))]
        rows.append({"name": "everything, each second", "value": f"see {path}"})
        stats = {
            **(response.get_json() or {}),
            "extended_stats": [{"key": "fan-out", "data": rows}],
        }
        response.set_data(orjson.dumps(stats))
    return response


def main_figures(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the few figures that fit a table, as texts."""
    last, deliveries = figures["last_second"], figures["deliveries"]
    return [
        ("phase", figures["phase"] or figures["state"]),
        ("time left", seconds(figures["left_s"])),
        ("fan-out p99, last second", milliseconds(last["fan_out_latency_ms"]["p99"])),
        ("fan-out p99, so far", milliseconds(figures["fan_out_latency_ms"]["p99"])),
        ("deliveries/s offered", count(last["deliveries"]["offered_per_s"])),
        ("deliveries/s achieved", count(last["deliveries"]["achieved_per_s"])),
        ("owed", count(deliveries["owed"])),
        ("lost", count(deliveries["lost"])),
        ("joins failed", count(figures["joins"]["failed"])),
    ]


def render(run: LiveRun) -> str:
    """Return the whole page."""
    figures = snapshot(run)
    return TEMPLATES.get_template("fan_out.html.j2").render(
        css=_stylesheet(),
        f=figures,
        statistics=STATISTICS,
        latency_chart=Markup(_latency_chart(figures["history"])),  # noqa: S704 - our own drawing
        rate_chart=Markup(_rate_chart(figures["history"])),  # noqa: S704 - as above
        path=PATH.removeprefix("/"),
    )


def _latency_chart(history: Sequence[Mapping[str, Any]]) -> str:
    looks = (("p50", "p50", ""), ("p99", "p99", ""), ("max", "maximum", "1 2"))
    lines = [
        Line(name, colour, [row[f"fan_out_latency_ms_{name}"] for row in history], dashes)
        for name, colour, dashes in looks
    ]
    worst = max((value for value in lines[1].values if value is not None), default=None)
    label = f"Fan-out latency over the last {len(history)} s; highest p99 {milliseconds(worst)}"
    return chart([row["second"] for row in history], lines, "ms", label)


def _rate_chart(history: Sequence[Mapping[str, Any]]) -> str:
    achieved = [row["deliveries"] for row in history]
    offered = [row["deliveries_offered"] for row in history]
    lines = [Line("achieved", "sky", achieved, is_filled=True), Line("offered", "ink", offered)]
    most = count(max(achieved, default=0))
    label = f"Deliveries a second over the last {len(history)} s; at most {most}"
    return chart([row["second"] for row in history], lines, "deliveries/s", label)


def _stylesheet() -> Markup:
    """Return the reports' style sheet: the page and the report are one house."""
    css = resources.files("harness.report").joinpath("report.css").read_text(encoding="utf-8")
    return Markup(css)  # noqa: S704 - our own file


def count(value: float | None) -> str:
    """Return a count with grouped digits."""
    return MISSING if value is None else f"{value:,.0f}"


def milliseconds(value: float | None) -> str:
    """Return a latency with its unit, with the three figures it was measured to."""
    if value is None:
        return MISSING
    digits = 0 if value >= 100 else 1 if value >= 1 else 3  # noqa: PLR2004 - three figures
    return f"{value:,.{digits}f}{THIN}ms"


def seconds(value: float | None) -> str:
    """Return a length of time as minutes and seconds."""
    if value is None:
        return MISSING
    minutes, rest = divmod(round(value), 60)
    return f"{minutes:,}{THIN}min {rest}{THIN}s" if minutes else f"{rest}{THIN}s"


def percent(value: float | None) -> str:
    """Return a ratio in percent; 100 only if it is exactly 1."""
    if value is None:
        return MISSING
    for digits in (0, 1, 2, 3, 4, 5, 6):
        text = f"{value * 100:.{digits}f}"
        if value == 1 or float(text) < 100:  # noqa: PLR2004 - per cent
            break
    return f"{text}{THIN}%"


TEMPLATES.filters |= {
    "percentile_name": percentile_name,
    "count": count,
    "milliseconds": milliseconds,
    "seconds": seconds,
    "percent": percent,
}
