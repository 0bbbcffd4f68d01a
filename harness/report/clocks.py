"""The workers' clocks in the report: their table, and latencies too short to be told."""

from typing import Any, Final

import pandas as pd

from harness.analysis.run.clocks import MEASURED, below_clock_error, error_of
from harness.analysis.run.record import Json, Record
from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.report import formatting as q
from harness.report.table_cells import Cell, Table

AT_MOST: Final = f"≤{q.THIN}"
"""Before a latency that the clocks cannot tell from a shorter one."""
WITHIN_CLOCKS: Final = "within the clock error"
"""Said of a difference that the clocks alone may have made."""

_PPM = 1e6
_MS_PER_S = NS_PER_S / NS_PER_MS
_DRIFT_FROM_S = 10
"""Over less than this a drift is lost in the error of the offsets."""


def latency(metric: str, value: float | None, summary: Json) -> str:
    """Return a latency with its unit, or that it was no longer than the clocks' error."""
    return quoted(metric, value, error_of(metric, summary))


def quoted(metric: str, value: float | None, error_ms: float) -> str:
    """Return a figure as its name asks for, or that it was no longer than the clocks' error.

    Args:
        metric: Dotted name of the figure.
        value: The figure, in the metric's unit.
        error_ms: How wrong the clocks may make it; 0 for not at all.
    """
    is_below = value is not None and value < error_ms
    return below(error_ms) if is_below else q.of_metric(metric, value)


def explanation(owner: str) -> str:
    """Return what ``below`` means, without its full stop; ``owner`` is whose clocks they are."""
    return f"Clocks: no latency shorter than its {owner}'s error is quoted ({AT_MOST.strip()})"


def below(error_ms: float) -> str:
    """Return what is said of a latency that the clocks cannot tell from nothing."""
    return f"{AT_MOST}{q.milliseconds(error_ms)}"


def latency_figure(metric: str, value: float | None, summary: Json) -> str:
    """Return the same without a unit."""
    error_ms = below_clock_error(metric, value, summary)
    return q.figure(value) if error_ms is None else f"{AT_MOST}{q.figure(error_ms)}"


def clocks(record: Record, summary: Json) -> Table:
    """Return each worker's offset, its bound and its drift; no rows where there is one clock."""
    workers = record.run.get("workers", [])
    columns = [
        *("Worker", "Host", "Offset", "Error at most", "Error median", "Drift", "Round trip"),
        "Exchanges",
    ]
    title = "Clocks"
    if all(worker.get("clock") != MEASURED for worker in workers):
        return Table("clocks", title, "", columns, [])
    rows = [_row(worker, record.generator) for worker in workers]
    error = q.milliseconds(summary["generator"].get("clock_error_ms"))
    note = (
        "How far the run clock, the master's, was ahead of each worker's; a drift above zero says "
        "that the worker's went slower. Every time on record is corrected for it. A latency "
        f"between two workers may be wrong by the sum of their errors, at most {error} in "
        "the measured time; none shorter than that is quoted."
    )
    return Table("clocks", title, note, columns, rows, texts=2)


def _row(worker: Json, generator: pd.DataFrame) -> list[Cell]:
    name, host = Cell(f"Worker {worker['index']}"), Cell(str(worker.get("host", "")))
    seconds = generator[generator["worker"] == worker["index"]]
    known = seconds[seconds["clock_offset_ms"].notna()].sort_values("second")
    if worker.get("clock") != MEASURED:
        return [name, host, Cell("the run clock's own host"), *[Cell(q.MISSING)] * 5]
    if known.empty:
        return [name, host, Cell("never measured"), *[Cell(q.MISSING)] * 5]
    return [
        name,
        host,
        Cell(_signed(float(known["clock_offset_ms"].iloc[-1]), "ms")),
        Cell(q.milliseconds(float(known["clock_error_ms"].max()))),
        Cell(q.milliseconds(float(known["clock_error_ms"].median()))),
        Cell(_drift(known)),
        Cell(q.milliseconds(float(known["clock_round_trip_ms"].min()))),
        Cell(q.count(int(known["clock_exchanges"].sum()))),
    ]


def _drift(known: pd.DataFrame) -> str:
    """Return by how much the worker's clock was slower than the run clock, per million."""
    span_s = float(known["second"].iloc[-1] - known["second"].iloc[0])
    if span_s < _DRIFT_FROM_S:
        return q.MISSING
    offsets: Any = known["clock_offset_ms"]
    gained_ms = float(offsets.iloc[-1] - offsets.iloc[0])
    return _signed(gained_ms / span_s / _MS_PER_S * _PPM, "ppm")


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{q.figure(abs(value))}{q.THIN}{unit}"
