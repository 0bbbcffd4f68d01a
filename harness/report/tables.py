"""The tables of a report, as text in cells, for whatever prints them.

A table without rows is not made: an empty table says nothing that a missing one does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.columns import COUNTS
from harness.analysis.finalise import Analysis
from harness.analysis.histograms import latency_ms
from harness.analysis.record import MEASURE, Json, measured
from harness.analysis.slo import margin
from harness.analysis.summary import CHATTER, SUBSCRIBER, is_complete
from harness.measure.record import JOIN_STAGES
from harness.report import quantities as q
from harness.report.definitions import DEFINITIONS, label, percentile_name
from harness.report.story import VERDICT_MARKS, VERDICT_WORDS, limit_words, observed_words

PERCENTILES = ("p50", "p90", "p99", "p999", "max")

_STAGE_NAMES = {
    "tcp": "TCP",
    "tls": "TLS",
    "upgrade": "WebSocket upgrade",
    "init": "protocol init",
    "subscribe": "subscribe",
}
_LATENCIES = (
    "fan_out_latency_ms",
    "service_latency_ms",
    "receive_delay_ms",
    "completion_latency_ms",
    "publishes.latency_ms",
    "publishes.send_delay_ms",
)
_MOST_ERRORS = 25


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What it shows.
        metric: Dotted name of the summary figure it shows, if it is one.
        tone: A verdict whose colour it takes, "detail" for smaller print, or nothing.
    """

    text: str
    metric: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Its id on a page.
        title: Its heading.
        note: What a reader must know to read it; may be empty.
        columns: Column headings; the first is for the rows' headings.
        rows: One list of cells a row, as many as there are columns.
        texts: How many columns, from the left, hold words and not numbers.
    """

    name: str
    title: str
    note: str
    columns: list[str]
    rows: list[list[Cell]]
    texts: int = 1


def build_tables(analysis: Analysis) -> list[Table]:
    """Return every table that has rows, in reading order."""
    tables = (
        objectives(analysis.summary),
        _latencies(analysis),
        _deliveries(analysis),
        _joins(analysis),
        _phases(analysis),
        _errors(analysis),
        _generator(analysis),
    )
    return [table for table in tables if table.rows]


def objectives(summary: Json) -> Table:
    """Return the SLOs with what was observed, the limit and the margin between them."""
    rows = []
    for slo in summary["slos"]:
        metric, verdict = slo["metric"], slo["verdict"]
        room = margin(slo)
        rows.append(
            [
                Cell(_capital(label(metric))),
                Cell(f"{VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}", tone=verdict),
                Cell(observed_words(slo), metric=metric),
                Cell(limit_words(slo)),
                Cell(q.MISSING if room is None else q.of_metric(metric, room)),
            ]
        )
    columns = ["Objective", "Verdict", "Observed", "Required", "Margin"]
    return Table("objectives", "Objectives", "", columns, rows, texts=2)


def environment(analysis: Analysis) -> list[tuple[str, str]]:
    """Return what the run was made with, as pairs of name and value."""
    run, found = analysis.record.run, analysis.record.run.get("environment", {})
    plan = run.get("plan", {})
    versions = ", ".join(f"{name} {number}" for name, number in found.get("versions", {}).items())
    pairs = [
        ("Run", run.get("run_id")),
        ("Workload", plan.get("workload_file")),
        ("Target", plan.get("target_file")),
        ("Seed", analysis.record.workload.get("seed")),
        ("Host", found.get("host")),
        ("System", found.get("os")),
        ("Processor", _processor(found)),
        ("Memory", q.size(found["memory_bytes"]) if found.get("memory_bytes") else None),
        ("Open files", q.count(found["open_files_limit"]) if "open_files_limit" in found else None),
        ("Python", found.get("python")),
        ("Packages", versions),
        ("Revision", found.get("git_revision")),
    ]
    return [(name, str(value)) for name, value in pairs if value not in {None, ""}]


def _processor(environment: Json) -> str | None:
    model, cpus = environment.get("cpu_model"), environment.get("cpus")
    return f"{model}, {cpus} CPUs" if model and cpus else model


def _latencies(analysis: Analysis) -> Table:
    rows = []
    unmeasured = []
    for metric in _LATENCIES:
        block: Any = analysis.summary
        for key in metric.split("."):
            block = block[key]
        if not block["count"]:
            unmeasured.append(DEFINITIONS[metric].name)
            continue
        rows.append(_latency_row(_capital(DEFINITIONS[metric].name), block, metric))
        if metric == "fan_out_latency_ms":
            rows += _fan_out_by_class(analysis)
    note = "Of messages meant for the measured time."
    if unmeasured:
        note += f" Not measured in this run: {', '.join(unmeasured)}."
    columns = ["Milliseconds", *map(percentile_name, PERCENTILES), "Values"]
    return Table("latencies", "Latencies", note, columns, rows)


def _fan_out_by_class(analysis: Analysis) -> Iterator[list[Cell]]:
    """Yield a row for each class of users, where there is more than one."""
    blocks = {}
    for user_class in (SUBSCRIBER, CHATTER):
        merged = analysis.record.histograms.merged(
            "fan_out_latency", user_class=user_class, phase=MEASURE
        )
        if merged.count:
            blocks[user_class] = latency_ms(merged)
    if len(blocks) > 1:
        for user_class, block in blocks.items():
            yield _latency_row(f"at {user_class}s", block, tone="detail")


def _latency_row(name: str, block: Json, metric: str = "", tone: str = "") -> list[Cell]:
    figures = [
        Cell(q.figure(block[key]), metric=f"{metric}.{key}" if metric else "")
        for key in PERCENTILES
    ]
    return [Cell(name, tone=tone), *figures, Cell(q.count(block["count"]))]


def _deliveries(analysis: Analysis) -> Table:
    record, summary = analysis.record, analysis.summary["deliveries"]
    if summary["owed"] is None:
        return Table("deliveries", "Deliveries", "", [], [])
    columns = ["Messages", "Owed", "Received", *map(_capital, ("lost", *COUNTS[1:])), "Ratio"]
    whole = record.messages[["owed", "delivered", "lost", *COUNTS[1:]]].sum()
    ratio = whole["delivered"] / whole["owed"] if whole["owed"] else None
    keys = ("owed", "received", "lost", *COUNTS[1:], "ratio")
    of_phase = [Cell(q.of_metric(key, summary[key]), metric=f"deliveries.{key}") for key in keys]
    of_run = [Cell(q.count(int(total))) for total in whole]
    rows = [
        [Cell("Measured"), Cell(q.count(len(measured(record.messages)))), *of_phase],
        [Cell("Whole run"), Cell(q.count(len(record.messages))), *of_run, Cell(q.percent(ratio))],
    ]
    return Table("ledger", "Deliveries", "", ["Span", *columns], rows)


def _joins(analysis: Analysis) -> Table:
    histograms = analysis.record.histograms
    rows = []
    for stage in JOIN_STAGES:
        merged = histograms.merged(f"join_{stage}")
        if merged.count:
            rows.append(_latency_row(_capital(_STAGE_NAMES[stage]), latency_ms(merged)))
    block = analysis.summary["joins"]["latency_ms"]
    if block["count"]:
        rows.append(_latency_row("Whole join", block, "joins.latency_ms"))
    columns = ["Milliseconds", *map(percentile_name, PERCENTILES), "Values"]
    return Table("joins", "Joins by stage", "Of all users, over the whole run.", columns, rows)


def _phases(analysis: Analysis) -> Table:
    timeline = analysis.record.timeline
    rows = []
    for phase in analysis.record.phases:
        inside = timeline[(timeline["phase"] == phase["name"]).to_numpy(dtype=bool)]
        if inside.empty:
            continue
        at_end = inside[inside["second"] == inside["second"].max()]
        rows.append(
            [
                Cell(_capital(phase["name"].replace("_", "-"))),
                Cell(f"{phase['start_s']:g}{q.THIN}s"),
                Cell(q.seconds(phase["end_s"] - phase["start_s"])),
                Cell(q.count(int(at_end["connected"].sum()))),
                Cell(q.count(int(inside["publishes_sent"].sum()))),
                Cell(q.count(int(inside["deliveries"].sum()))),
                Cell(q.count(int(inside["errors"].sum()))),
            ]
        )
    columns = ["Phase", "From", "Length", "Connected", "Publishes", "Deliveries", "Errors"]
    note = "What happened in the seconds of each phase; users connected at its end."
    return Table("phases", "Phases", note, columns, rows)


def _errors(analysis: Analysis) -> Table:
    kinds = ["stage", "error_class", "code", "message"]
    errors = analysis.record.errors.fillna(dict.fromkeys(kinds, ""))
    grouped = errors.groupby(kinds)
    merged = grouped.agg(
        count=("count", "sum"), first=("second", "min"), last=("second", "max")
    ).sort_values("count", ascending=False)
    rows = [
        [
            Cell(str(kind[0])),
            Cell(str(kind[2] or kind[1])),
            Cell(str(kind[3])),
            Cell(q.count(row["count"])),
            Cell(_span(row)),
        ]
        for kind, row in _items(merged.head(_MOST_ERRORS))
    ]
    note = ""
    if len(merged) > _MOST_ERRORS:
        note = f"The {_MOST_ERRORS} most frequent of {len(merged)} kinds."
    columns = ["Stage", "Code", "Message", "Times", "Seconds"]
    return Table("errors", "Errors", note, columns, rows, texts=3)


def _items(frame: pd.DataFrame) -> Iterator[tuple[Any, "pd.Series[Any]"]]:
    """Yield a frame's rows with their index, which is a tuple here and no plain label."""
    yield from frame.iterrows()


def _span(row: "pd.Series[Any]") -> str:
    first, last = int(row["first"]), int(row["last"])
    return str(first) if first == last else f"{first} to {last}"


def _generator(analysis: Analysis) -> Table:
    rows = []
    for worker, seconds in analysis.record.generator.groupby("worker"):
        rows.append(
            [
                Cell(f"Worker {worker}"),
                Cell(q.percent(_mean(seconds["cpu_ratio"]))),
                Cell(q.percent(_highest(seconds["cpu_ratio"]))),
                Cell(q.percent(_highest(seconds["cpu_wait_ratio"]))),
                Cell(q.percent(_highest(seconds["machine_others_ratio"]))),
                Cell(q.milliseconds(_highest(seconds["loop_lag_ms_max"]))),
                Cell(q.milliseconds(_highest(seconds["receive_delay_ms_p99"]))),
                Cell(q.milliseconds(_highest(seconds["gc_pause_ms_max"]))),
                Cell(q.count(_total(seconds["late_slots"]))),
                Cell(q.milliseconds(_highest(seconds["clock_step_ms"].abs()))),
                Cell(q.count(_total(seconds["unstamped_receives"]))),
                Cell(q.size(_highest(seconds["rss_bytes"]))),
                Cell(q.count(_highest(seconds["connections"]))),
                Cell(q.count(_highest(seconds["open_files"]))),
            ]
        )
    columns = [
        *("Worker", "CPU mean", "CPU peak", "CPU wait", "Other programs", "Loop lag max"),
        *("Receive delay p99", "GC pause max", "Late slots", "Clock step", "Without stamp"),
        *("Memory peak", "Connections", "Open files"),
    ]
    note = "Over the whole run, with the worst single second where it is not a mean or a number."
    if analysis.record.target.get("emulated"):
        note += " The system was emulated on this machine and shared its cores with the load."
    if not is_complete(analysis.record):
        note += " Some workers may be missing."
    return Table("generator", "Load generator", note, columns, rows)


def _mean(column: "pd.Series[Any]") -> float | None:
    return round(float(column.mean()), 3) if column.notna().any() else None


def _highest(column: "pd.Series[Any]") -> float | None:
    return round(float(column.max()), 3) if column.notna().any() else None


def _total(column: "pd.Series[Any]") -> int | None:
    return int(column.sum()) if column.notna().any() else None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
