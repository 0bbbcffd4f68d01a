"""Write the report of a study: a page, a Markdown summary and JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson

from harness.analysis.decide.cost_study import CostStudy, study_day
from harness.analysis.decide.study import Assessment, Findings, origin_of
from harness.analysis.decide.study_paper import day_of_need
from harness.analysis.run.record import Json
from harness.report import formatting as q
from harness.report.canvas import Chart
from harness.report.decide import study_tables as tables
from harness.report.decide.compare_charts import Contestant, draw_contest
from harness.report.decide.cost_page import draw_curves
from harness.report.decide.cost_tables import cost_tables
from harness.report.decide.study_text import ORIGINS, counted, in_short, limits, marked
from harness.report.glossary import OF_COSTS, OF_STUDIES
from harness.report.markdown import escape, render_table
from harness.report.page import Figure, Tile, render_page
from harness.report.table_cells import Table
from harness.report.theme import looks_of
from harness.report.write import HTML_FILE, MARKDOWN_FILE, write_page

JSON_FILE: Final = "study.json"
JSON_VERSION: Final = 1
"""Version of ``study.json``; incremented when a name disappears or changes its meaning."""

_OF_THE_COST: Final = ("totals", "idle", "break-even", "grid", "switches", "coalescing", "sizes")


def write_study(findings: Findings, folder: Path) -> Path:
    """Write report.html, summary.md, study.json and the charts; return the page's path.

    Raises:
        MachineError: If the folder cannot be written.
    """
    day = _day(findings)
    evidence, curves = _charts(findings), _cost_charts(day)
    beside = {
        MARKDOWN_FILE: study_markdown(findings).encode(),
        JSON_FILE: orjson.dumps(study_json(findings), option=orjson.OPT_INDENT_2),
    }
    page = folder / HTML_FILE
    write_page(page, _render(findings, day, evidence, curves), [*evidence, *curves], beside)
    return page


def _day(findings: Findings) -> CostStudy:
    need = findings.study.need
    return study_day(day_of_need(need), chatters_ratio=need.chatters / need.connected)


def _render(
    findings: Findings, day: CostStudy, evidence: Sequence[Chart], curves: Sequence[Chart]
) -> str:
    of_cost = {
        table.name: replace(table, title=marked(table.title, "paper")) for table in cost_tables(day)
    }
    return render_page(
        "study",
        _explained(findings),
        study=findings.study,
        size=findings.size,
        tiles=_tiles(findings),
        tiles_class="systems",
        tiles_label="Cost of a day by system",
        in_short=in_short(findings),
        answers=[tables.matrix(findings), tables.approaches(findings)],
        evidence=evidence,
        details=[*tables.requirement_tables(findings), *tables.beside_tables(findings)],
        cost_charts=curves,
        costs=[tables.costs(findings), *(of_cost.pop(name) for name in _OF_THE_COST)],
        bills=list(of_cost.values()),
        runs=[tables.runs(findings)],
        limits=limits(findings),
        origins=ORIGINS.values(),
    )


def study_markdown(findings: Findings) -> str:
    """Return standings, costs and limits of the evidence as Markdown."""
    parts = [
        f"# {escape(findings.study.title)}",
        escape(findings.study.problem),
        "\n".join(f"- {escape(sentence)}" for sentence in in_short(findings)),
        *_section(tables.matrix(findings)),
        *_section(tables.costs(findings)),
        "## Limits of this evidence",
        "\n".join(f"- {escape(sentence)}" for sentence in limits(findings)),
        ", ".join(f"\\[{mark}\\] {escape(words)}" for mark, words in ORIGINS.values()) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def study_json(findings: Findings) -> Json:
    """Return a study's findings as JSON data under stable names."""
    return {
        "version": JSON_VERSION,
        "name": findings.study.name,
        "size": findings.size,
        "whole": findings.is_whole,
        "requirements": [_answer_json(one) for row in findings.answers for one in row],
        "costs": [
            {
                "system": one.system.name,
                "price_lists": one.name,
                "usd_day": one.usd_day,
                "usd_idle": one.usd_idle,
                "usd_day_as_measured": one.usd_measured,
                "usd_run": one.usd_run,
                "origin": "paper",
            }
            for one in findings.costs
        ],
        "cells": [
            {
                "workload": one.workload.name,
                "system": one.system.name,
                "planned": one.planned,
                "missing": one.missing or None,
                "runs": [
                    {"folder": run.record.folder.name, "verdict": run.summary["verdict"]}
                    for run in one.runs
                ],
            }
            for one in findings.outcomes
        ],
        "limits": limits(findings),
    }


def _answer_json(answer: Assessment) -> Json:
    return {
        "about": answer.requirement.about,
        "system": answer.system.name,
        "standing": answer.standing,
        "origin": answer.origin,
        "size": answer.size,
        "needed": answer.needed,
        "objectives": list(answer.judged),
        "figures": {one.metric: one.value for one in answer.figures},
        "paper": [
            {"text": one.text, "enough": one.is_enough, "source": one.source}
            for one in answer.paper
        ],
    }


def _section(table: Table) -> tuple[str, str]:
    return f"## {escape(table.title)}", render_table(table)


def _tiles(findings: Findings) -> list[Tile]:
    """Return a tile for each system: its cost and the standings of its requirements."""
    tiles = []
    for place, cost in enumerate(findings.costs):
        answers = [row[place] for row in findings.answers]
        detail = f"of {len(answers)} requirements: " + ", ".join(counted(answers))
        figure = Figure("", q.money(cost.usd_day), link="costs")
        tiles.append(Tile(cost.system.label, [figure], marked("a day", "paper"), detail))
    return tiles


def _charts(findings: Findings) -> list[Chart]:
    """Draw every workload that has valid runs, all its systems on the same axes."""
    systems = findings.study.systems
    found = looks_of([one.priced_as or one.name for one in systems])
    looks = {one.name: look for one, look in zip(systems, found, strict=True)}
    charts = []
    for contest in findings.contests:
        sides = contest.comparison.sides if contest.comparison else ()
        contestants = [
            Contestant(
                marked(system.label, origin_of(side.runs)),
                looks[system.name],
                side.runs,
                side.latencies,
            )
            for system, side in zip(contest.systems, sides, strict=True)
        ]
        about = f": {contest.workload.label.lower()}"
        charts += draw_contest(contestants, contest.workload.name, about) if contestants else []
    return charts


def _cost_charts(day: CostStudy) -> list[Chart]:
    return [replace(one, title=marked(one.title, "paper")) for one in draw_curves(day.curves)]


def _explained(findings: Findings) -> Iterator[str]:
    """Yield every metric and term that the page shows."""
    yield from (*OF_COSTS, *OF_STUDIES, *tables.BESIDE, "cost.usd_run")
    for one in findings.study.requirements:
        yield from (*one.figures, *(slo.metric for slo in one.objectives))
