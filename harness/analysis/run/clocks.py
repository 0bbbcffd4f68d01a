"""How far the workers' clocks were from the run clock, and how wrong that may make a latency."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from harness.analysis.run.record import Record
from harness.core.metrics import LATENCIES

MEASURED: Final = "measured"
"""Value in run.json for a worker whose clock is not the run clock itself."""


def clock_error_ms(seconds: pd.DataFrame) -> float | None:
    """Return the most that a latency between two workers may be wrong; None where unknown.

    It begins on the one's clock and ends on the other's, so it is the sum of the two largest bounds
    of a second of the generator table, at the worst second.
    """
    known = seconds[seconds["clock_error_ms"].notna()]
    if known.empty:
        return None
    largest = known.sort_values("clock_error_ms").groupby("second")["clock_error_ms"].tail(2)
    worst = largest.groupby(known["second"]).sum().max()
    return round(float(worst), 4)


def below_clock_error(metric: str, value: float | None, summary: Mapping[str, Any]) -> float | None:
    """Return the clocks' error where a latency is shorter than it; None where it may be quoted.

    ``metric`` names the figure in the summary, with or without its percentile.
    """
    error_ms = error_of(metric, summary)
    return error_ms if value is not None and value < error_ms else None


def error_of(metric: str, summary: Mapping[str, Any]) -> float:
    """Return how wrong the clocks may make a figure of a summary, ms; 0 for not at all."""
    block = LATENCIES.get(metric) or LATENCIES.get(metric.rpartition(".")[0])
    if block is None or not block.spans_clocks:
        return 0.0
    return summary.get("generator", {}).get("clock_error_ms") or 0.0


def clocks_explain_negatives(record: Record) -> bool:
    """Return whether no latency was further below zero than the clocks' error makes possible."""
    deepest_ms = record.generator["negative_ms_max"].max()
    error_ms = clock_error_ms(record.generator)
    return error_ms is not None and bool(deepest_ms <= error_ms)


def unmeasured_clocks(record: Record) -> str:
    """Return the numbers of the workers whose offset had to be measured and never was."""
    rows = record.generator
    known = set(rows.loc[rows["clock_error_ms"].notna(), "worker"])
    lost = {worker["index"] for worker in record.lost_workers}
    numbers = [
        worker["index"]
        for worker in record.run.get("workers", [])
        if worker.get("clock") == MEASURED and worker["index"] not in known | lost
    ]
    return ", ".join(map(str, numbers))
