"""Starts and stops the outputs of a run in progress: page, Prometheus and OpenTelemetry."""

import os
import secrets
import socket
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import gevent
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from harness.core.errors import MachineError, NotInstalledError, os_reason
from harness.live.run import LiveRun
from harness.measure.record import RUN_FILE, read_run_file

if TYPE_CHECKING:
    from gevent.pywsgi import WSGIServer

    from harness.live.otlp import OtlpSender

LAST_FIGURES_S = 6.0
"""How long the last figures stay if ``harness run`` makes the report: at least one scrape."""

LOOPBACK = "127.0.0.1"
TOKEN_VARIABLE = "HARNESS_WEB_TOKEN"  # noqa: S105  the variable, not a token
"""Holds the token of the page; left out, the run makes one."""

OTLP_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


def add_live_arguments(parser: LocustArgumentParser) -> None:
    """Add the options of the outputs; Locust's page listens on loopback by default."""
    parser.set_defaults(web_host=LOOPBACK)
    group = parser.add_argument_group(
        "Watching a run", "See docs/live.md; harness examples prints its place."
    )
    group.add_argument(
        "--metrics-port", metavar="PORT", type=int, help="serve Prometheus metrics on this port"
    )
    group.add_argument(
        "--metrics-host",
        metavar="HOST",
        default=LOOPBACK,
        help="address to serve them on; default: this machine only",
    )
    group.add_argument(
        "--otlp",
        action="store_true",
        help="send metrics to an OpenTelemetry collector, configured by the OTEL_… variables; "
        "also enabled by OTEL_EXPORTER_OTLP_ENDPOINT",
    )


def page_link(host: str, port: int, token: str, base_path: str = "") -> str:
    """Return the address of the page with the token that allows changes."""
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}{base_path}/fan-out?token={quote(token, safe='')}"


def has_outputs(environment: Environment, options: Namespace) -> bool:
    """Return whether the options ask for any output."""
    return (
        environment.web_ui is not None or options.metrics_port is not None or _wants_otlp(options)
    )


class LiveOutputs:
    """The outputs of one run.

    Raises:
        MachineError: If a port is not available.
        NotInstalledError: If a library is missing.
    """

    def __init__(
        self, environment: Environment, options: Namespace, run: LiveRun, folder: Path
    ) -> None:
        self._run = run
        self._folder = folder
        self._last_figures_s = LAST_FIGURES_S if options.plan else 0.0
        self._metrics: WSGIServer | None = None
        self._otlp: OtlpSender | None = None
        self.link: str | None = None
        """Where the page is, with the token that allows changes; None where there is no page."""
        if environment.web_ui is not None:
            _refuse_taken(environment.web_ui.host, environment.web_ui.port)
            from harness.live.page import add_page  # noqa: PLC0415 - Flask only where it serves

            token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(16)
            base = options.web_base_path or ""
            add_page(environment.web_ui, run, base, folder, token)
            port = environment.web_ui.port
            self.link = page_link(environment.web_ui.host or LOOPBACK, port, token, base)
        self._is_served = environment.web_ui is not None or options.metrics_port is not None
        try:
            self._start(options)
        except ImportError as error:
            raise NotInstalledError("metrics", error, "observability") from None

    def _start(self, options: Namespace) -> None:
        if options.metrics_port is not None:
            from harness.live.prometheus import serve  # noqa: PLC0415 - an optional library

            self._metrics = serve(self._run, options.metrics_host, options.metrics_port)
        if _wants_otlp(options):
            from harness.live.otlp import OtlpSender  # noqa: PLC0415 - an optional library

            self._otlp = OtlpSender(self._run)

    def concluded(self, exit_code: int) -> None:
        """Show the verdict of the report, and send the last figures.

        If ``harness run`` makes the report after this process, the last figures stay for a while.
        """
        if self._is_served:
            gevent.sleep(self._last_figures_s)
        self._run.concluded(_verdict(self._folder), exit_code)
        if self._otlp is not None:
            self._otlp.close()


def _refuse_taken(host: str, port: int) -> None:
    """Require a free port for Locust's page; Locust would end the run without a reason."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise MachineError(
            f"--web-port {port}",
            f"cannot be listened on ({os_reason(error)})",
            "the page needs a port of its own",
            "choose another port",
        ) from None


def _verdict(folder: Path) -> str | None:
    """Return the verdict of the report in a run's folder, None where there is no report."""
    summary = read_run_file(folder / RUN_FILE).get("summary")
    return summary and str(summary["verdict"])


def _wants_otlp(options: Namespace) -> bool:
    return bool(options.otlp or any(os.environ.get(name) for name in OTLP_VARIABLES))
