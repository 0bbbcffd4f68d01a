"""The page of a run, and its main figures."""

from datetime import datetime
from typing import Final

from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.run_file import label_words
from harness.analysis.run.validity import saturates
from harness.core.metrics import AGGREGATED
from harness.measure.record_schema import IRREGULAR_COUNTS
from harness.report import formatting as q
from harness.report.canvas import Chart
from harness.report.clocks import latency_figure
from harness.report.glossary import OF_RUNS
from harness.report.page import Figure, Tile, render_page
from harness.report.run.tables import build_tables, environment
from harness.report.summary_text import (
    VERDICT_MARKS,
    VERDICT_WORDS,
    advise,
    irregular_counts,
    verdict_reason,
    what_happened,
)

_EXPLAIN_A_FAILURE: Final = ("failed-joins", "errors")
"""Tables above the charts, unless every objective was met."""


def render_html(analysis: Analysis, charts: list[Chart]) -> str:
    """Return the report as one HTML document."""
    record, summary = analysis.record, analysis.summary
    tables = build_tables(analysis)
    leading = {"objectives", *(_EXPLAIN_A_FAILURE if summary["verdict"] != "pass" else ())}
    return render_page(
        "report",
        OF_RUNS,
        charts=charts,
        advice=advise(analysis),
        emulated=record.target.get("emulated", False),
        environment=environment(analysis),
        length=q.seconds(round(record.ended_s)),
        mark=VERDICT_MARKS[summary["verdict"]],
        started=started(record.run),
        objectives=[table for table in tables if table.name == "objectives"],
        explanations=[table for table in tables if table.name in leading - {"objectives"}],
        reason=verdict_reason(analysis),
        story=what_happened(analysis),
        summary=summary,
        tables=[table for table in tables if table.name not in leading],
        tested=label_words(record.run),
        target=record.target.get("name", "unknown target"),
        tiles=headline(summary),
        word=VERDICT_WORDS[summary["verdict"]],
        workload=record.workload,
    )


def headline(summary: Json) -> list[Tile]:
    """Return the main figures, in reading order."""
    return [
        _fan_out(summary),
        _delivered(summary["deliveries"]),
        _load(summary["deliveries"]),
        _joined(summary),
        _published(summary["publishes"]),
        *_requests(summary),
        _generator(summary),
    ]


def _fan_out(summary: Json) -> Tile:
    block = summary["fan_out_latency_ms"]
    name, title = "fan_out_latency_ms", "Fan-out latency"
    if not block["count"]:
        nothing = [Figure(f"{name}.p99", q.MISSING)]
        return Tile(title, nothing, "", "none in the measured time", is_wide=True)
    figures = [
        Figure(f"{name}.{key}", latency_figure(name, block[key], summary), key)
        for key in ("p50", "p99", "max")
    ]
    detail = "from intended send time to arrival at each subscriber"
    return Tile(title, figures, "ms", detail, is_wide=True)


def _delivered(deliveries: Json) -> Tile:
    figure = Figure("deliveries.ratio", q.percent(deliveries["ratio"]))
    detail = "number owed is unknown" if deliveries["owed"] is None else "no delivery was owed"
    if deliveries["owed"]:
        detail = f"{q.count(deliveries['lost'])} lost of {q.count(deliveries['owed'])} owed"
    details = [detail, *irregular_counts(deliveries)]
    unknown = [kind for kind in IRREGULAR_COUNTS if deliveries.get(kind) is None]
    if unknown and deliveries["owed"] is not None:
        details.append(f"{', '.join(unknown)} not recorded")
    return Tile("Delivered", [figure], "", ", ".join(details))


def _load(deliveries: Json) -> Tile:
    figure = Figure("deliveries.per_s_peak", q.count(deliveries["per_s_peak"]))
    mean = q.rate(deliveries["per_s_mean"] and round(deliveries["per_s_mean"]))
    if deliveries["per_s_peak"] is None:
        is_lost = deliveries["received"] is None
        detail = "number unknown" if is_lost else "none in the measured time"
        return Tile("Peak deliveries", [figure], "", detail)
    return Tile("Peak deliveries", [figure], "/s", f"mean {mean} in the measured time")


def _joined(summary: Json) -> Tile:
    joins = summary["joins"]
    attempted = joins["attempted"]
    detail = (
        "number of attempts unknown" if attempted is None else f"of {q.count(attempted)} attempts"
    )
    p99 = joins["latency_ms"]["p99"]
    if p99 is not None:
        detail += f", p99 {q.milliseconds(p99)}"
    return Tile("Joined", [Figure("joins.succeeded", q.count(joins["succeeded"]))], "", detail)


def _published(publishes: Json) -> Tile:
    parts = [
        f"{q.count(publishes[key])} {key}" for key in ("failed", "throttled") if publishes[key]
    ]
    unsent = (publishes["offered"] or 0) - (publishes["sent"] or 0)
    parts += [f"{q.count(unsent)} not sent"] if unsent else []
    if not parts and publishes["sent"]:
        parts = ["all acknowledged"]
    p99 = publishes["latency_ms"]["p99"]
    parts += [f"p99 {q.milliseconds(p99)}"] if p99 is not None else []
    figure = Figure("publishes.sent", q.count(publishes["sent"]))
    nothing = "none in the measured time" if publishes["sent"] == 0 else "number unknown"
    return Tile("Publishes", [figure], "", ", ".join(parts) or nothing)


def _requests(summary: Json) -> list[Tile]:
    """Return the tile of ordinary requests; none where the run had none."""
    found = summary.get("requests", {}).get(AGGREGATED)
    if found is None:
        return []
    metric = f"requests.{AGGREGATED}.latency_ms"
    latency = found["latency_ms"]
    if latency["p99"] is None:
        nothing = [Figure(f"{metric}.p99", q.MISSING)]
        return [Tile("Requests", nothing, "", "none in the measured time")]
    figures = [Figure(f"{metric}.p99", q.milliseconds(latency["p99"]), "p99")]
    detail = f"{q.rate(found['per_s'])}, {q.count(found['failures'])} failed"
    return [Tile("Requests", figures, "", f"{detail}, of ordinary users")]


def _generator(summary: Json) -> Tile:
    generator, publishes = summary["generator"], summary["publishes"]
    cpu = generator["cpu_ratio_peak"]
    lag, delay = generator["loop_lag_ms"]["p99"], publishes["send_delay_ms"]["p99"]
    figures = [
        Figure("generator.cpu_ratio_peak", q.percent(cpu and round(cpu, 2)), "CPU"),
        Figure("generator.loop_lag_ms.p99", q.milliseconds(lag), "loop lag p99"),
        Figure("publishes.send_delay_ms.p99", q.milliseconds(delay), "send delay p99"),
    ]
    known = [figure for figure in figures if figure.text != q.MISSING]
    # Other programs used the cores: the generator may be fine, but the results of the run are not.
    crowded = {one["code"] for one in summary["warnings"] if saturates(one)} == {"machine_crowded"}
    word = "machine crowded" if crowded else "did not keep up"
    if generator["valid"]:
        word = "kept up" if known else "not measured"
    workers = generator["workers"]
    detail = word + (f", {workers} worker{'s' * (workers != 1)}" if workers else "")
    nothing = [Figure("generator.cpu_ratio_peak", q.MISSING)]
    return Tile("Load generator", known or nothing, "", detail, is_wide=True)


def started(run: Json) -> str:
    """Return when a run began, for people; empty where its record does not tell."""
    try:
        began = datetime.fromisoformat(str(run.get("started_at")))
    except ValueError:
        return ""
    return f"{began.day} {began:%B %Y, %H:%M} UTC"
