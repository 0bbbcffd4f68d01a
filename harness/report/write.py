"""Writing all reports of a run into its folder."""

from collections.abc import Sequence
from pathlib import Path

from harness.analysis.finalise import Analysis
from harness.core.errors import MachineError
from harness.report.charts import draw_charts
from harness.report.html import render_html
from harness.report.junit import render_junit
from harness.report.markdown import render_markdown
from harness.report.sketch import Chart

HTML_FILE = "report.html"
MARKDOWN_FILE = "summary.md"
JUNIT_FILE = "junit.xml"
CHARTS_FOLDER = "charts"


def write_report(analysis: Analysis) -> Path:
    """Write report.html, summary.md, junit.xml and the charts; return the page's path.

    Raises:
        MachineError: If the folder cannot be written.
    """
    folder = analysis.record.folder
    charts = draw_charts(analysis)
    try:
        (folder / MARKDOWN_FILE).write_text(render_markdown(analysis), encoding="utf-8")
        (folder / JUNIT_FILE).write_bytes(render_junit(analysis))
        _write_charts(folder / CHARTS_FOLDER, charts)
        page = folder / HTML_FILE
        page.write_text(render_html(analysis, charts), encoding="utf-8")
    except OSError as error:
        raise MachineError(
            str(folder),
            f"cannot be written ({(error.strerror or str(error)).lower()})",
            "the report needs a writable folder with room",
            f"free some space, then run: harness report {folder}",
        ) from None
    return page


def write_page(page: Path, text: str, charts: Sequence[Chart]) -> None:
    """Write a page that is about no single run, and its charts into a folder beside it.

    The folder of ``comparison.html`` is ``comparison-charts``.

    Raises:
        MachineError: If they cannot be written.
    """
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
        _write_charts(page.with_name(f"{page.stem}-{CHARTS_FOLDER}"), charts)
    except OSError as error:
        found = f"cannot be written ({(error.strerror or str(error)).lower()})"
        raise MachineError(str(page), found, "a file in a writable folder is needed") from None


def _write_charts(folder: Path, charts: Sequence[Chart]) -> None:
    """Write the charts there are, and take away those that an earlier report left."""
    folder.mkdir(exist_ok=True)
    files = {f"{chart.name}.svg": chart.wide.encode() for chart in charts}
    files |= {f"{chart.name}.png": chart.png for chart in charts}
    for old in (*folder.glob("*.svg"), *folder.glob("*.png")):
        if old.name not in files:
            old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
