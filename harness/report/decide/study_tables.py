"""The tables of a study."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from harness.analysis.decide.comparison import Difference
from harness.analysis.decide.study import Assessment, Contest, Findings, origin_of
from harness.analysis.decide.study_paper import SystemCost
from harness.report import formatting as q
from harness.report.decide.compare_tables import change_text, figure_text
from harness.report.decide.study_text import (
    STANDINGS,
    judged_text,
    marked,
    most_expensive_lines,
    paper_text,
    seen_text,
    size_text,
    standing_text,
)
from harness.report.glossary import anchor
from harness.report.summary_text import verdict_cell
from harness.report.table_cells import Cell, Row, Table, several, table_of

BESIDE: Final = ("fan_out_latency_ms.p50", "fan_out_latency_ms.p99", "deliveries.ratio")
"""Metrics shown for every system side by side."""


def matrix(findings: Findings) -> Table:
    """Return the standings: a row for each requirement, a column for each system."""
    rows = [
        [
            Cell(row[0].requirement.need),
            *(replace(_standing(answer), link=_table_of(number)) for answer in row),
        ]
        for number, row in enumerate(findings.answers, 1)
    ]
    columns = ["Requirement", *(one.label for one in findings.study.systems)]
    note = (
        "Met: every objective held at the required size. Held at smaller size: every objective "
        "held in smaller runs. The tables below contain the figures."
    )
    title = "Requirements and results"
    return Table("matrix", title, note, columns, rows, texts=len(columns))


def approaches(findings: Findings) -> Table:
    """Return how each system delivers a message."""
    targets = {
        one.system.name: str(one.runs[0].record.target.get("name"))
        for one in findings.outcomes
        if one.runs
    }
    rows = [
        {
            "System": one.label,
            "How it delivers a message": one.approach or q.MISSING,
            "Target of the runs": targets.get(one.name, q.MISSING),
        }
        for one in findings.study.systems
    ]
    return table_of("approaches", "The approaches", "", rows, texts=3)


def requirement_tables(findings: Findings) -> list[Table]:
    """Return a table for each requirement: every system with its figures, quotas and prices."""
    return [_requirement(number, row) for number, row in enumerate(findings.answers, 1)]


def costs(findings: Findings) -> Table:
    """Return the cost of a day of the study's load on each system."""
    need = findings.study.need
    most_expensive = dict(most_expensive_lines(findings.costs))
    rows = [_cost(cost, most_expensive.get(cost.system.name, q.MISSING)) for cost in findings.costs]
    note = (
        f"A day of {q.count(need.connected)} users connected, {q.count(need.messages_per_day)} "
        f"messages of {q.count(need.event_bytes)} bytes to all of them, at list prices. “As "
        "measured” uses the event sizes, recipients and handler invocations of a run."
    )
    meanings = ("", "", "line", "usd_day", "idle", "as_measured", "cost.usd_run")
    return table_of("costs", "Cost of a day", note, rows, texts=3, meanings=meanings)


def beside_tables(findings: Findings) -> list[Table]:
    """Return for each workload every system compared with the baseline."""
    return [_beside(contest) for contest in findings.contests if contest.comparison]


def runs(findings: Findings) -> Table:
    """Return every run with its verdict."""
    rows = [
        [
            Cell(outcome.workload.label),
            Cell(outcome.system.label),
            verdict_cell(run.summary["verdict"]),
            Cell(run.record.folder.name),
            Cell(str(run.record.run.get("environment", {}).get("git_revision") or q.MISSING)),
        ]
        for outcome in findings.outcomes
        for run in outcome.runs
    ]
    columns = ["Workload", "System", "Verdict", "Folder in runs/", "Revision"]
    note = "Each folder contains a report. Verdicts are by the objectives of the workload."
    return Table("runs", "Runs", note, columns, rows, texts=len(columns))


def _standing(answer: Assessment) -> Cell:
    text = standing_text(answer)
    if answer.size is not None and answer.standing in {"held", "met"}:
        text += f", {size_text(answer)}"
    failed = [words for words, slo in judged_text(answer) if slo["verdict"] != "pass"]
    short = [paper_text(one) for one in answer.paper if one.is_enough is False]
    if answer.standing == "missed":
        text += ": " + "; ".join((failed or short)[:1])
    elif short and answer.standing != "met":
        return Cell(f"{text}; on paper {'; '.join(short)}", tone="fail")
    return Cell(text, tone=STANDINGS[answer.standing][2])


def _requirement(number: int, answers: Sequence[Assessment]) -> Table:
    rows: list[Row] = [
        {
            "System": one.system.label,
            "Standing": Cell(standing_text(one), tone=STANDINGS[one.standing][2]),
            "Size": Cell(size_text(one), link=anchor("tried")),
            "Objectives": several((words, slo["metric"]) for words, slo in judged_text(one)),
            "Other metrics": several((seen_text(seen), seen.metric) for seen in one.figures),
            "On paper": several((paper_text(figure), "paper") for figure in one.paper),
        }
        for one in answers
    ]
    first = answers[0].requirement
    note = f"Workload {first.workload}; the worst run of each cell."
    sources = dict.fromkeys(figure.source for one in answers for figure in one.paper)
    note += f" On paper: {'; '.join(sources)}." if sources else ""
    return table_of(_table_of(number), first.need, note, rows, texts=6)


def _table_of(number: int) -> str:
    """Return the name of a requirement's table."""
    return f"requirement-{number}"


def _cost(cost: SystemCost, most_expensive: str) -> dict[str, str]:
    figures = {
        "Most expensive line": most_expensive,
        "Per day": q.money(cost.usd_day),
        "Idle per day": q.money(cost.usd_idle),
        "Per day as measured": q.money(cost.usd_measured),
        "The run": q.money(cost.usd_run),
    }
    return {"System": cost.system.label, "Price lists": cost.name or "none"} | {
        heading: marked(text, "paper") for heading, text in figures.items()
    }


def _beside(contest: Contest) -> Table:
    comparison = contest.comparison
    assert comparison is not None  # noqa: S101 - callers check
    label = contest.systems[0].label
    changes = ["", *map(_change, comparison.differences)]
    rows = [
        {
            "System": marked(system.label, origin_of(side.runs)),
            "Fan-out p50": figure_text(side, BESIDE[0]),
            "Fan-out p99": figure_text(side, BESIDE[1]),
            "Delivered": figure_text(side, BESIDE[2]),
            "p99 against the first": change,
        }
        for system, side, change in zip(contest.systems, comparison.sides, changes, strict=True)
    ]
    note = (
        f"Change of fan-out p99 against {label} with its 95 % confidence interval; “no difference "
        "shown” where the interval contains 0."
    )
    name = f"beside-{contest.workload.name}"
    title, meanings = f"{contest.workload.label}: side by side", ("", *BESIDE, "beside")
    return table_of(name, title, note, rows, meanings=meanings)


def _change(differences: Sequence[Difference]) -> str:
    seen = next(one for one in differences if one.metric == "fan_out_latency_ms.p99")
    ratio = q.MISSING if seen.ratio is None else f"{q.figure(seen.ratio)} times"
    return f"{ratio}, {change_text(seen)}"
