"""The table of a series of runs of one plan: each run, and how far apart they are."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from harness.analysis.run.clocks import error_of
from harness.analysis.run.run_file import Json
from harness.analysis.run.slo import observe
from harness.report import formatting as q
from harness.report.clocks import quoted
from harness.report.summary_text import verdict_cell
from harness.report.table_cells import Row, Table, table_of

_FIGURES: Final = {
    "fan_out_latency_ms.p50": "Fan-out p50",
    "fan_out_latency_ms.p95": "p95",
    "fan_out_latency_ms.p99": "p99",
    "deliveries.ratio": "Delivery ratio",
    "deliveries.lost": "Lost",
    "joins.latency_ms.p99": "Join p99",
    "joins.failed": "Failed joins",
}


def repeat_table(runs: Mapping[str, Json], planned: int) -> Table:
    """Return a row for each run, by its name, then the median and the range of the valid runs.

    Args:
        runs: The ``run.json`` of each.
        planned: How many there were to be.
    """
    valid = [run["summary"] for run in runs.values() if _verdict(run) not in {"", "invalid"}]
    rows = [_row(name, run) for name, run in runs.items()]
    if valid:
        rows += [_of_all("Median", valid, median), _of_all("Lowest to highest", valid, min, max)]
    title = f"{len(runs)} runs" if len(runs) == planned else f"{len(runs)} of {planned} runs"
    some = len(valid) < len(runs)
    note = f"Median and range are those of the {len(valid)} valid runs." if valid and some else ""
    meanings = ("", "", "", "", *_FIGURES)
    return table_of("repeat", title, note, rows, texts=4, meanings=meanings)


def _row(name: str, run: Json) -> Row:
    summary, verdict = run.get("summary") or {}, _verdict(run)
    values = {metric: observe(summary, metric) for metric in _FIGURES}
    return {
        "Run": name,
        "Seed": f"{run.get('plan', {}).get('workload', {}).get('seed', q.MISSING)}",
        "Verdict": verdict_cell(verdict) if verdict else "not judged",
        "Exit code": f"{summary.get('exit_code', q.MISSING)}",
        **{title: quoted(m, values[m], error_of(m, summary)) for m, title in _FIGURES.items()},
    }


def _verdict(run: Json) -> str:
    return str((run.get("summary") or {}).get("verdict") or "")


def _of_all(
    name: str, summaries: Sequence[Json], *figures: Callable[[Sequence[float]], float]
) -> Row:
    """Return a row with figures of each column, over those runs that measured it."""
    row = {"Run": name, "Seed": "", "Verdict": "", "Exit code": ""}
    for metric, title in _FIGURES.items():
        known = [value for one in summaries if (value := observe(one, metric)) is not None]
        error_ms = max(error_of(metric, one) for one in summaries)
        texts = [quoted(metric, figure(known), error_ms) for figure in figures] if known else []
        row[title] = " – ".join(texts) or q.MISSING
    return row
