"""The tables of a report, independent of the format that prints them.

Tables without rows are left out.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from harness.analysis.run.finalize import Analysis
from harness.analysis.run.histograms import latency_ms
from harness.analysis.run.record import Json, Record, before_measuring, measured
from harness.analysis.run.slo import figures_of, margin, scope_words
from harness.analysis.run.summary import failed_joins
from harness.core.join_stages import JOIN_FAILURE_STAGES, JOIN_STAGES
from harness.core.metric_types import (
    CHATTER,
    STATISTICS,
    SUBSCRIBER,
    WAIT_LIMITS_S,
    percentile_name,
)
from harness.core.metrics import LATENCIES, title_of
from harness.measure.record_schema import DELIVERY_COUNTS
from harness.report import formatting as q
from harness.report.clocks import clocks, latency, latency_figure
from harness.report.glossary import anchor, capital
from harness.report.run.detail_tables import disturbed, slowest_messages, slowest_subscribers
from harness.report.run.requests import requests
from harness.report.summary_text import limit_text, observed_text, verdict_cell
from harness.report.table_cells import Cell, Row, Table, table_of

_OF_MESSAGES: Final = [
    block for block, one in LATENCIES.items() if one.phase and not block.startswith("generator.")
]
_MOST_ERRORS = 25
_STAGE_NAMES: Final = {
    "tcp": "TCP",
    "tls": "TLS",
    "upgrade": "WebSocket upgrade",
    "init": "protocol init",
}
_CAUSE_NAMES: Final = {"tls": "TLS", "http_status": "HTTP status"}


def build_tables(analysis: Analysis) -> list[Table]:
    """Return every table that has rows, in reading order."""
    tables = (
        objectives(analysis.summary),
        _latencies(analysis),
        disturbed(analysis.summary),
        _deliveries(analysis),
        _stalls(analysis.summary),
        slowest_messages(analysis.record, analysis.summary),
        slowest_subscribers(analysis.record),
        _joins(analysis),
        requests(analysis),
        _failed_joins(analysis.record),
        _phases(analysis),
        _errors(analysis),
        _generator(analysis),
        clocks(analysis.record, analysis.summary),
    )
    return [table for table in tables if table.rows]


def objectives(summary: Json) -> Table:
    """Return the SLOs with what was observed, the limit and the margin between them."""
    rows: list[Row] = []
    for slo in summary["slos"]:
        metric, room = slo["metric"], margin(slo)
        # On a page a figure that names its metric is the summary's; one of a part is not.
        summed = "" if scope_words(slo) else metric
        distance = q.MISSING if room is None else q.of_metric(metric, room)
        rows.append(
            {
                "Objective": capital(title_of(metric)) + scope_words(slo),
                "Verdict": verdict_cell(slo["verdict"]),
                "Observed": Cell(observed_text(slo), metric=summed, link=anchor(metric)),
                "Required": Cell(limit_text(slo), link=anchor(metric)),
                "Margin": Cell(distance, link=anchor(metric)),
            }
        )
    return table_of("objectives", "Objectives", "", rows, texts=2)


def figures_table(summary: Json) -> Table:
    """Return every figure of the catalogue, with the name that an SLO gives it."""
    rows: list[Row] = [
        {"Figure": name, "Meaning": title_of(name), "Value": latency(name, value, summary)}
        for name, value in figures_of(summary).items()
    ]
    return table_of("figures", "Figures", "", rows, texts=2)


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
        ("Received by", found.get("receive_path")),
        ("Through a proxy", ", ".join(found.get("proxies", ()))),
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
    for metric in _OF_MESSAGES:
        block: Any = analysis.summary
        for key in metric.split("."):
            block = block[key]
        if not block["count"]:
            unmeasured.append(LATENCIES[metric].name)
            continue
        rows.append(_latency_row(capital(LATENCIES[metric].name), block, metric, analysis.summary))
        if metric == "fan_out_latency_ms":
            rows += _fan_out_by_class(analysis)
        if metric == "service_latency_ms":
            rows.append(_left_out(analysis.summary))
    note = "Of messages meant for the measured time."
    if unmeasured:
        note += f" Not measured in this run: {', '.join(unmeasured)}."
    columns = ["Milliseconds", *map(percentile_name, STATISTICS), "Values"]
    return Table("latencies", "Latencies", note, columns, rows)


def _fan_out_by_class(analysis: Analysis) -> Iterator[list[Cell]]:
    """Yield a row for each class of users, where there is more than one."""
    histograms = analysis.record.histograms
    blocks = {
        user_class: histograms.block_ms("fan_out_latency_ms", user_class=user_class)
        for user_class in (SUBSCRIBER, CHATTER)
    }
    if all(block["count"] for block in blocks.values()):
        for user_class, block in blocks.items():
            name, metric = f"at {user_class}s", "fan_out_latency_ms"
            row = _latency_row(name, block, metric, analysis.summary, tone="detail")
            yield _explained(row, metric)


def _left_out(summary: Json) -> list[Cell]:
    """Return by how much service latency is below fan-out latency: what it leaves out."""
    due, sent = summary["fan_out_latency_ms"], summary["service_latency_ms"]
    name = Cell("what it leaves out", tone="detail")
    figures = [Cell(q.figure(_less(due[key], sent[key]))) for key in STATISTICS]
    return _explained([name, *figures, Cell("")], "service_latency_ms")


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _latency_row(name: str, block: Json, metric: str, summary: Json, tone: str = "") -> list[Cell]:
    """Return a latency's percentiles, none of them below what the clocks can tell."""
    figures = [
        Cell(latency_figure(metric, block[key], summary), metric=f"{metric}.{key}")
        for key in STATISTICS
    ]
    return [Cell(name, tone=tone), *figures, Cell(q.count(block["count"]), link=anchor(metric))]


def _explained(row: list[Cell], metric: str) -> list[Cell]:
    """Return a row whose figures link to the definition of a metric that is not quite theirs."""
    return [row[0], *(replace(cell, metric="", link=anchor(metric)) for cell in row[1:])]


def _deliveries(analysis: Analysis) -> Table:
    record, summary = analysis.record, analysis.summary["deliveries"]
    if summary["owed"] is None:
        return Table("deliveries", "Deliveries", "", [], [])
    counts = ("lost", *DELIVERY_COUNTS[1:])
    columns = ["Messages", "Owed", "Received", *map(capital, counts), "Ratio"]
    names = {key: f"deliveries.{key}" for key in ("owed", "received", *counts, "ratio")}
    of_phase = [Cell(q.of_metric(name, summary[key]), name) for key, name in names.items()]
    rows = [[Cell("Measured"), Cell(q.count(len(measured(record.messages)))), *of_phase]]
    before = before_measuring(record.messages)
    if len(before):
        rows.append(_ledger_row("Before measuring", before))
    rows.append(_ledger_row("Whole run", record.messages))
    note = "Verdict and objectives are about the measured row alone." if len(before) else ""
    meanings = ("", "publishes.sent", *names.values())
    return Table("ledger", "Deliveries", note, ["Span", *columns], rows, meanings=meanings)


def _ledger_row(name: str, messages: pd.DataFrame) -> list[Cell]:
    total = messages[["owed", "delivered", "lost", *DELIVERY_COUNTS[1:]]].sum()
    ratio = total["delivered"] / total["owed"] if total["owed"] else None
    counts = [Cell(q.count(int(count))) for count in total]
    return [Cell(name), Cell(q.count(len(messages))), *counts, Cell(q.percent(ratio))]


def _stalls(summary: Json) -> Table:
    keys = (*STATISTICS, *(f"over_{limit}s_ratio" for limit in WAIT_LIMITS_S))
    rows = []
    for name, block in (("Longest stall", "stall_s"), ("First message", "first_message_s")):
        found = summary.get(block) or {}  # Records of before it was counted have no first message.
        if found.get("max") is not None:
            metrics = [(f"{block}.{key}", found[key]) for key in keys]
            rows.append([Cell(name), *(Cell(q.of_metric(m, value), m) for m, value in metrics)])
    shares = (f"Over {limit}{q.THIN}s" for limit in WAIT_LIMITS_S)
    columns = ["Waiting", *map(percentile_name, STATISTICS), *shares]
    note = (
        "Over all subscribers: the longest time that each was owed a message and got none, and the "
        "time from its first attempt to join to its first message, failed attempts included."
    )
    return Table("stall-shares", "Waiting", note, columns, rows)


def _joins(analysis: Analysis) -> Table:
    histograms, name = analysis.record.histograms, "joins.latency_ms"
    rows = []
    for stage in JOIN_STAGES:
        merged = histograms.merged(f"join_{stage}")
        if merged.count:
            row = _latency_row(_stage_name(stage), latency_ms(merged), name, analysis.summary)
            rows.append(_explained(row, name))
    block = analysis.summary["joins"]["latency_ms"]
    if block["count"]:
        rows.append(_latency_row("Whole join", block, name, analysis.summary))
    columns = ["Milliseconds", *map(percentile_name, STATISTICS), "Values"]
    return Table("joins", "Joins by stage", "Of all users, over the whole run.", columns, rows)


def _stage_name(stage: str) -> str:
    return capital(_STAGE_NAMES.get(stage, stage))


def _failed_joins(record: Record) -> Table:
    """Return a row for each cause of failed joins, with the stages at which they failed."""
    counts = failed_joins(record.errors)
    stages = [stage for stage in JOIN_FAILURE_STAGES if stage in counts.columns]
    rows = [
        {
            "Cause": _CAUSE_NAMES.get(cause, capital(cause.replace("_", " "))),
            **{_stage_name(stage): q.count(int(counts.loc[cause, stage])) for stage in stages},
            "All": q.count(int(counts.loc[cause].sum())),
        }
        for cause in counts.index
    ]
    note = "Attempts, retries included, by the stage at which they failed, over the whole run."
    meanings = ("", *["joins.failed_by_cause"] * (len(stages) + 1))
    return table_of("failed-joins", "Failed joins", note, rows, meanings=meanings)


def _phases(analysis: Analysis) -> Table:
    timeline = analysis.record.timeline
    rows = []
    for phase in analysis.record.phases:
        inside = timeline[(timeline["phase"] == phase["name"]).to_numpy(dtype=bool)]
        if inside.empty:
            continue
        at_end = inside[inside["second"] == inside["second"].max()]
        rows.append(
            {
                "Phase": capital(phase["name"].replace("_", "-")),
                "From": f"{phase['start_s']:g}{q.THIN}s",
                "Length": q.seconds(phase["end_s"] - phase["start_s"]),
                "Connected": q.count(int(at_end["connected"].sum())),
                "Publishes": q.count(int(inside["publishes_sent"].sum())),
                "Deliveries": q.count(int(inside["deliveries"].sum())),
                "Errors": q.count(int(inside["errors"].sum())),
            }
        )
    note = "What happened in the seconds of each phase; users connected at its end."
    meanings = (
        *("", "time", "time", "population.subscribers_peak", "publishes.sent"),
        *("deliveries.per_s_peak", "errors.count"),
    )
    return table_of("phases", "Phases", note, rows, meanings=meanings)


def _errors(analysis: Analysis) -> Table:
    kinds = ["stage", "error_class", "code", "message"]
    errors = analysis.record.errors.fillna(dict.fromkeys(kinds, ""))
    grouped = errors.groupby(kinds)
    merged = grouped.agg(
        count=("count", "sum"), first=("second", "min"), last=("second", "max")
    ).sort_values("count", ascending=False)
    rows = [
        {
            "Stage": row["stage"],
            "Code": row["code"] or row["error_class"],
            "Message": row["message"],
            "Times": q.count(row["count"]),
            "Seconds": _span(row),
        }
        for _, row in merged.head(_MOST_ERRORS).reset_index().iterrows()
    ]
    note = ""
    if len(merged) > _MOST_ERRORS:
        note = f"The {_MOST_ERRORS} most frequent of {len(merged)} kinds."
    meanings = ("", "", "", "errors.count", "time")
    return table_of("errors", "Errors", note, rows, texts=3, meanings=meanings)


def _span(row: "pd.Series[Any]") -> str:
    first, last = int(row["first"]), int(row["last"])
    return str(first) if first == last else f"{first} to {last}"


def _generator(analysis: Analysis) -> Table:
    rows = [
        {"Worker": f"Worker {worker}"}
        | {title: printed(summed(seconds[name])) for title, name, summed, printed, _ in _HEALTH}
        for worker, seconds in analysis.record.generator.groupby("worker")
    ]
    meanings = ("", *(meaning for *_, meaning in _HEALTH))
    note = "Over the whole run, with the worst single second where it is not a mean or a number."
    if analysis.record.target.get("emulated"):
        note += " The system was emulated on this machine and shared its cores with the load."
    if not analysis.record.is_complete:
        note += " Some workers may be missing."
    return table_of("generator", "Load generator", note, rows, meanings=meanings)


def _mean(column: "pd.Series[Any]") -> float | None:
    return round(float(column.mean()), 3) if column.notna().any() else None


def _highest(column: "pd.Series[Any]") -> float | None:
    return round(float(column.max()), 3) if column.notna().any() else None


def _farthest(column: "pd.Series[Any]") -> float | None:
    return _highest(column.abs())


def _total(column: "pd.Series[Any]") -> int | None:
    return int(column.sum()) if column.notna().any() else None


_HEALTH: Final = (
    ("CPU mean", "cpu_ratio", _mean, q.percent, "generator.cpu_ratio_peak"),
    ("CPU peak", "cpu_ratio", _highest, q.percent, "generator.cpu_ratio_peak"),
    ("CPU wait", "cpu_wait_ratio", _highest, q.percent, "generator.cpu_wait_ratio_peak"),
    (
        *("Other programs", "machine_others_ratio", _highest, q.percent),
        "generator.machine_others_ratio_peak",
    ),
    ("Loop lag max", "loop_lag_ms_max", _highest, q.milliseconds, "generator.loop_lag_ms"),
    ("Send delay max", "send_delay_ms_max", _highest, q.milliseconds, "publishes.send_delay_ms"),
    ("Receive delay p99", "receive_delay_ms_p99", _highest, q.milliseconds, "receive_delay_ms"),
    ("Receive backlog", "receive_backlog", _highest, q.count, "generator.receive_backlog_peak"),
    ("GC pause max", "gc_pause_ms_max", _highest, q.milliseconds, "generator.gc_pause_max_ms"),
    ("Late slots", "late_slots", _total, q.count, "generator.late_slots_ratio"),
    ("Clock step", "clock_step_ms", _farthest, q.milliseconds, "generator.clock_step_max_ms"),
    ("Without stamp", "unstamped_receives", _total, q.count, "generator.unstamped_receives"),
    ("Memory peak", "rss_bytes", _highest, q.size, "generator.rss_bytes_peak"),
    ("Connections", "connections", _highest, q.count, "generator.rss_bytes_peak"),
    ("Open files", "open_files", _highest, q.count, "generator.rss_bytes_peak"),
)
"""Columns of the load generator's table: heading, column of the record, how its seconds are summed
up, how that is printed, and what explains it."""
