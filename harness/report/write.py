"""Writing all reports of a run into its folder."""

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


def _write_charts(folder: Path, charts: list[Chart]) -> None:
    """Write the charts there are, and take away those that an earlier report left."""
    folder.mkdir(exist_ok=True)
    names = {f"{chart.name}.svg": chart.wide for chart in charts}
    for old in folder.glob("*.svg"):
        if old.name not in names:
            old.unlink()
    for name, svg in names.items():
        (folder / name).write_text(svg, encoding="utf-8")
