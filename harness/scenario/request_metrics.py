"""Figures of the requests of ordinary Locust users, as SLOs name them.

Which requests there will be no scenario knows, so any name will do:
``requests.GET /history.latency_ms.p99``. ``Aggregated`` stands for all of them, as in Locust.
"""

import re
from typing import Final

PREFIX: Final = "requests."
AGGREGATED: Final = "Aggregated"

REQUEST_FIGURES: Final = (
    *("count", "failures", "failure_ratio", "per_s", "bytes"),
    *(f"latency_ms.{name}" for name in ("p50", "p90", "p95", "p99", "max")),
)
"""What the summary has of each kind of request."""

EXAMPLE: Final = "requests.GET /history.latency_ms.p99"

PATTERN: Final = rf"^requests\..+\.({'|'.join(map(re.escape, REQUEST_FIGURES))})$"
"""What such a metric looks like."""


def request_path(metric: str) -> tuple[str, ...] | None:
    """Return the keys of the summary that lead to a request's figure; None for another metric.

    The name may have dots of its own: its figure is what the metric ends with.
    """
    found = re.match(PATTERN, metric)
    if found is None:
        return None
    figure = found[1]
    name = metric.removeprefix(PREFIX).removesuffix(f".{figure}")
    return ("requests", name, *figure.split("."))
