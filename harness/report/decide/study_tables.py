"""The tables of a study."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from harness.analysis.decide.comparison import Difference
from harness.analysis.decide.study import Answer, Contest, Findings
from harness.analysis.decide.study_paper import SystemCost
from harness.report import formatting as q
from harness.report.decide.compare_tables import figure_words, tell_change
from harness.report.decide.study_text import (
    STANDINGS,
    judged_words,
    marked,
    note_lines,
    origin_of,
    paper_words,
    seen_words,
    size_words,
    standing_words,
)
from harness.report.glossary import anchor
from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS
from harness.report.table_cells import Cell, Table, several

BESIDE: Final = ("fan_out_latency_ms.p50", "fan_out_latency_ms.p99", "deliveries.ratio")
"""What is shown of every system beside the others."""


def matrix(findings: Findings) -> Table:
    """Return what stands where: a row for each requirement, a column for each system."""
    rows = [
        [
            Cell(row[0].requirement.need),
            *(replace(_standing(answer), link=_table_of(number)) for answer in row),
        ]
        for number, row in enumerate(findings.answers, 1)
    ]
    columns = ["What is needed", *(one.label for one in findings.study.systems)]
    note = (
        "Met: at the size needed. Held, smaller: every objective was kept, at a smaller size. "
        "The tables below have the figures."
    )
    return Table("matrix", "What was needed, and what was seen", note, columns, rows,
                 texts=len(columns))  # fmt: skip


def approaches(findings: Findings) -> Table:
    """Return how each system carries a message."""
    targets = {
        one.system.name: str(one.runs[0].record.target.get("name"))
        for one in findings.outcomes
        if one.runs
    }
    rows = [
        [
            Cell(one.label),
            Cell(one.approach or q.MISSING),
            Cell(targets.get(one.name, q.MISSING)),
        ]
        for one in findings.study.systems
    ]
    columns = ["System", "How it carries a message", "Target of the runs"]
    return Table("approaches", "The approaches", "", columns, rows, texts=3)


def requirement_tables(findings: Findings) -> list[Table]:
    """Return a table for each requirement: every system with its figures and its paper."""
    return [_requirement(number, row) for number, row in enumerate(findings.answers, 1)]


def costs(findings: Findings) -> Table:
    """Return what a day of the need costs on each system."""
    need = findings.study.need
    dearest = dict(note_lines(findings.costs))
    rows = [_cost(cost, dearest.get(cost.system.name, q.MISSING)) for cost in findings.costs]
    note = (
        f"A day of {q.count(need.connected)} users connected, {q.count(need.messages_per_day)} "
        f"messages of {q.count(need.event_bytes)} bytes to all of them, at list prices. “As "
        "measured” is the same day with the event sizes, the reach and the handler calls of a run."
    )
    columns = ["System", "Price lists", "Dearest line", "A day", "Nobody connected"]
    columns += ["A day as measured", "The run itself"]
    meanings = ("", "", "line", "usd_day", "idle", "as_measured", "cost.usd_run")
    return Table("costs", "Cost of a day", note, columns, rows, texts=3, meanings=meanings)


def beside_tables(findings: Findings) -> list[Table]:
    """Return for each workload every system beside the baseline."""
    return [_beside(contest) for contest in findings.contests if contest.comparison]


def runs(findings: Findings) -> Table:
    """Return every run with its verdict."""
    rows = [
        [
            Cell(outcome.workload.label),
            Cell(outcome.system.label),
            Cell(
                f"{VERDICT_MARKS[run.summary['verdict']]} {VERDICT_WORDS[run.summary['verdict']]}",
                tone=run.summary["verdict"],
            ),
            Cell(run.record.folder.name),
            Cell(str(run.record.run.get("environment", {}).get("git_revision") or q.MISSING)),
        ]
        for outcome in findings.outcomes
        for run in outcome.runs
    ]
    columns = ["Workload", "System", "Verdict", "Folder in runs/", "Revision"]
    note = "Each folder has a report of its own. A verdict is by the workload's own objectives."
    return Table("runs", "Runs", note, columns, rows, texts=len(columns))


def _standing(answer: Answer) -> Cell:
    text = standing_words(answer)
    if answer.size is not None and answer.standing in {"held", "met"}:
        text += f", {size_words(answer)}"
    failed = [words for words, slo in judged_words(answer) if slo["verdict"] != "pass"]
    short = [paper_words(one) for one in answer.paper if one.is_enough is False]
    if answer.standing == "missed":
        text += ": " + "; ".join((failed or short)[:1])
    elif short and answer.standing != "met":
        return Cell(f"{text}; on paper {'; '.join(short)}", tone="fail")
    return Cell(text, tone=STANDINGS[answer.standing][2])


def _requirement(number: int, answers: Sequence[Answer]) -> Table:
    rows = [
        [
            Cell(one.system.label),
            Cell(standing_words(one), tone=STANDINGS[one.standing][2]),
            Cell(size_words(one), link=anchor("tried")),
            several(
                [(words, anchor(slo["metric"])) for words, slo in judged_words(one)], q.MISSING
            ),
            several([(seen_words(seen), anchor(seen.metric)) for seen in one.figures], q.MISSING),
            several([(words, anchor("paper")) for words in map(paper_words, one.paper)], q.MISSING),
        ]
        for one in answers
    ]
    columns = ["System", "Standing", "Tried", "Objectives", "Also seen", "On paper"]
    first = answers[0].requirement
    note = f"From the workload {first.workload}, the worst of each cell's runs."
    sources = dict.fromkeys(figure.source for one in answers for figure in one.paper)
    note += f" On paper: {'; '.join(sources)}." if sources else ""
    return Table(_table_of(number), first.need, note, columns, rows, texts=len(columns))


def _table_of(number: int) -> str:
    """Return the name of the table that has a requirement's figures."""
    return f"requirement-{number}"


def _cost(cost: SystemCost, dearest: str) -> list[Cell]:
    return [
        Cell(cost.system.label),
        Cell(cost.name or "none"),
        Cell(marked(dearest, "paper")),
        Cell(marked(q.money(cost.usd_day), "paper")),
        Cell(marked(q.money(cost.usd_idle), "paper")),
        Cell(marked(q.money(cost.usd_measured), "paper")),
        Cell(marked(q.money(cost.usd_run), "paper")),
    ]


def _beside(contest: Contest) -> Table:
    comparison = contest.comparison
    assert comparison is not None  # noqa: S101 - asked for where there is one
    label = contest.systems[0].label
    origins = [origin_of(side) for side in comparison.sides]
    rows = [
        [
            Cell(marked(label, origins[0])),
            *(Cell(figure_words(comparison.sides[0], name)) for name in BESIDE),
            *[Cell("")],
        ]
    ]
    others = zip(
        *(contest.systems[1:], origins[1:], comparison.sides[1:], comparison.differences),
        strict=True,
    )
    for system, origin, side, differences in others:
        figures = [Cell(figure_words(side, name)) for name in BESIDE]
        rows.append([Cell(marked(system.label, origin)), *figures, Cell(_change(differences))])
    note = (
        f"Fan-out p99 beside that of {label}, with where the change may lie at 95 %; “no "
        "difference shown” where that holds 0."
    )
    columns = ["System", "Fan-out p50", "Fan-out p99", "Delivered", "p99 beside the first"]
    name = f"beside-{contest.workload.name}"
    title, meanings = f"{contest.workload.label}: side by side", ("", *BESIDE, "beside")
    return Table(name, title, note, columns, rows, meanings=meanings)


def _change(differences: Sequence[Difference]) -> str:
    seen = next(one for one in differences if one.metric == "fan_out_latency_ms.p99")
    ratio = q.MISSING if seen.ratio is None else f"{q.figure(seen.ratio)} times"
    return f"{ratio}, {tell_change(seen)}"
