"""The report as Markdown, short enough for a pipeline's step summary."""

from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.run_file import label_words
from harness.report.html import headline
from harness.report.page import Tile
from harness.report.run.detail_tables import disturbed
from harness.report.run.requests import requests
from harness.report.run.tables import objectives
from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS, advise, evidence, summary_text
from harness.report.table_cells import Table

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\|<>*_`[]"})


def render_markdown(analysis: Analysis) -> str:
    """Return verdict, summary text, main figures, objectives, requests and warnings as Markdown."""
    summary, record = analysis.summary, analysis.record
    verdict = summary["verdict"]
    title = f"{record.workload.get('name', 'run')} on {record.target.get('name', 'target')}"
    parts = [
        f"## {VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}: {escape(title)}",
        f"Tested: {escape(tested)}" if (tested := label_words(record.run)) else "",
        escape(summary_text(analysis)),
        escape(advise(analysis)),
        _headline(summary),
        render_table(objectives(summary)),
        render_table(disturbed(summary)),
        render_table(requests(analysis)),
        _warnings(summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown prints as it is, on one line."""
    return " ".join(text.translate(_SPECIAL).split("\n"))


def _headline(summary: Json) -> str:
    rows = [
        f"| {escape(tile.title)} | {_figures(tile)} | {escape(tile.detail)} |"
        for tile in headline(summary)
    ]
    return "\n".join(["| | | |", "| --- | ---: | --- |", *rows])


def _figures(tile: Tile) -> str:
    texts = [f"{figure.name} **{escape(figure.text)}**".strip() for figure in tile.figures]
    return (", ".join(texts) + f" {tile.unit}").strip().replace(" /s", "/s")


def render_table(table: Table) -> str:
    """Return a table as Markdown; empty where it has no rows."""
    if not table.rows:
        return ""
    align = ["---" if place < table.texts else "---:" for place in range(len(table.columns))]
    rows = [table.columns, align, *([escape(cell.text) for cell in row] for row in table.rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _warnings(summary: Json) -> str:
    lines = []
    for warning in summary["warnings"]:
        text = f"{evidence(warning)}. {warning['hint'] or ''}"
        lines.append(f"- **{escape(warning['code'])}**{escape(text).rstrip()}")
    return "\n".join(["### Warnings", "", *lines]) if lines else ""
