"""Clock errors in the report: the clock table, and latencies below the clock error."""

from typing import Any, Final

import pandas as pd

from harness.analysis.run.clocks import MEASURED, below_clock_error, error_of
from harness.analysis.run.record import Json, Record
from harness.report import formatting as q
from harness.report.table_cells import Table, table_of

AT_MOST: Final = f"≤{q.THIN}"
"""Prefix of a latency below the clock error."""
WITHIN_CLOCKS: Final = "within the clock error"
"""Text for a difference that the clock error alone can explain."""

_DRIFT_FROM_S = 10
"""Minimum span for a drift; over less, the error of the offsets dominates."""


def latency(metric: str, value: float | None, summary: Json) -> str:
    """Return a latency with its unit, or the clock error as its upper bound."""
    return quoted(metric, value, error_of(metric, summary))


def quoted(metric: str, value: float | None, error_ms: float) -> str:
    """Return a metric's value with its unit, or the clock error, 0 for none, as its upper bound."""
    is_below = value is not None and value < error_ms
    return below(error_ms) if is_below else q.of_metric(metric, value)


def explanation(owner: str) -> str:
    """Return the meaning of ``below``, without a full stop; ``owner`` is a run, side or step."""
    return (
        f"Latencies below the clock error of the {owner} are shown as an upper bound "
        f"({AT_MOST.strip()})"
    )


def below(error_ms: float) -> str:
    """Return the text for a latency below the clock error."""
    return f"{AT_MOST}{q.milliseconds(error_ms)}"


def latency_figure(metric: str, value: float | None, summary: Json) -> str:
    """Return the same as ``latency`` without a unit."""
    error_ms = below_clock_error(metric, value, summary)
    return q.figure(value) if error_ms is None else f"{AT_MOST}{q.figure(error_ms)}"


def clocks(record: Record, summary: Json) -> Table:
    """Return offset, error bound and drift of each worker's clock; no rows for a single clock."""
    workers = record.run.get("workers", [])
    if all(worker.get("clock") != MEASURED for worker in workers):
        workers = []
    error = q.milliseconds(summary["generator"].get("clock_error_ms"))
    note = (
        "Offset of the run clock, the master's, from each worker's clock. A positive drift "
        "means that the worker's clock is slower. All recorded times are corrected. The error of "
        f"a latency between two workers is the sum of their errors, at most {error} in the "
        "measured time; latencies below that are shown as an upper bound."
    )
    rows = [_row(worker, record.generator) for worker in workers]
    return table_of("clocks", "Clocks", note, rows, texts=2)


def _row(worker: Json, generator: pd.DataFrame) -> dict[str, str]:
    seconds = generator[generator["worker"] == worker["index"]]
    known = seconds[seconds["clock_offset_ms"].notna()].sort_values("second")
    is_measured = worker.get("clock") == MEASURED
    row = {
        "Worker": f"Worker {worker['index']}",
        "Host": str(worker.get("host", "")),
        "Offset": "never measured" if is_measured else "the run clock's own host",
        **dict.fromkeys(
            ("Error at most", "Error median", "Drift", "Round trip", "Exchanges"), q.MISSING
        ),
    }
    if not is_measured or known.empty:
        return row
    return row | {
        "Offset": _signed(float(known["clock_offset_ms"].iloc[-1]), "ms"),
        "Error at most": q.milliseconds(float(known["clock_error_ms"].max())),
        "Error median": q.milliseconds(float(known["clock_error_ms"].median())),
        "Drift": _drift(known),
        "Round trip": q.milliseconds(float(known["clock_round_trip_ms"].min())),
        "Exchanges": q.count(int(known["clock_exchanges"].sum())),
    }


def _drift(known: pd.DataFrame) -> str:
    """Return the drift of the worker's clock against the run clock, in ppm."""
    span_s = float(known["second"].iloc[-1] - known["second"].iloc[0])
    if span_s < _DRIFT_FROM_S:
        return q.MISSING
    offsets: Any = known["clock_offset_ms"]
    gained_ms = float(offsets.iloc[-1] - offsets.iloc[0])
    return _signed(1000 * gained_ms / span_s, "ppm")  # 1 ms a second is 1,000 ppm.


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{q.figure(abs(value))}{q.THIN}{unit}"
