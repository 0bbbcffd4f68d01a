"""Begins and ends whatever of the page, Prometheus and OpenTelemetry a run is asked for."""

import json
import os
import socket
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from harness.core.errors import MachineError, NotInstalledError
from harness.live.run import LiveRun
from harness.measure.record import RUN_FILE

if TYPE_CHECKING:
    from gevent.pywsgi import WSGIServer

    from harness.live.otlp import OtlpSender

LAST_LOOK_S = 6.0
"""How long the last figures stay where the report is made elsewhere: one scrape at least."""

LOOPBACK = "127.0.0.1"
OTLP_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


def add_live_arguments(parser: LocustArgumentParser) -> None:
    """Add the options of what can be watched; Locust's page keeps to this machine by default."""
    parser.set_defaults(web_host=LOOPBACK)
    group = parser.add_argument_group(
        "Watching a run", "See docs/live.md, where harness examples says."
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
        help="send metrics to an OpenTelemetry collector, as the OTEL_… variables say; "
        "asked for by OTEL_EXPORTER_OTLP_ENDPOINT as well",
    )


def has_outputs(environment: Environment, options: Namespace) -> bool:
    """Say whether anybody is going to look at the run as it goes."""
    return (
        environment.web_ui is not None or options.metrics_port is not None or _wants_otlp(options)
    )


class LiveOutputs:
    """What serves and sends the account of one run.

    Args:
        environment: Locust's environment.
        options: Locust's parsed options, ours included.
        run: The account.
        folder: The run's folder.

    Raises:
        MachineError: If a library or a port that was asked for cannot be had.
    """

    def __init__(
        self, environment: Environment, options: Namespace, run: LiveRun, folder: Path
    ) -> None:
        self._run = run
        self._folder = folder
        self._last_look_s = LAST_LOOK_S if options.plan else 0.0
        self._metrics: WSGIServer | None = None
        self._otlp: OtlpSender | None = None
        if environment.web_ui is not None:
            _refuse_taken(environment.web_ui.host, environment.web_ui.port)
            from harness.live.page import add_page  # noqa: PLC0415 - Flask only where it serves

            add_page(environment.web_ui, run, options.web_base_path or "", folder)
        self._is_looked_at = environment.web_ui is not None or options.metrics_port is not None
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
        """Show how the report judges the run, and send the last figures.

        Where ``harness run`` makes the report after this process, its figures stay to be seen.
        """
        if self._is_looked_at:
            gevent.sleep(self._last_look_s)
        self._run.concluded(_verdict(self._folder), exit_code)
        if self._otlp is not None:
            self._otlp.close()


def _refuse_taken(host: str, port: int) -> None:
    """See that Locust's page can listen; by itself it ends the run without a word on why."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise MachineError(
            f"--web-port {port}",
            f"cannot be listened on ({(error.strerror or str(error)).lower()})",
            "the page needs a port of its own",
            "choose another port",
        ) from None


def _verdict(folder: Path) -> str | None:
    """Return the verdict of the report in a run's folder, None where there is no report."""
    try:
        summary = json.loads((folder / RUN_FILE).read_bytes())["summary"]
    except (OSError, ValueError, KeyError):
        return None
    return str(summary["verdict"])


def _wants_otlp(options: Namespace) -> bool:
    return bool(options.otlp or any(os.environ.get(name) for name in OTLP_VARIABLES))
