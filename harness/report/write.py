"""Write pages with their charts, and the files beside them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Record
from harness.analysis.run.run_file import label_words
from harness.core.errors import MachineError
from harness.report.canvas import Chart
from harness.report.html import render_html, started
from harness.report.markdown import render_markdown
from harness.report.run.charts_delivery import deliveries, faults, stalls
from harness.report.run.charts_latency import completion, distribution, due_or_sent, fan_out
from harness.report.run.charts_users import failures, joins
from harness.report.run.ci import render_junit
from harness.report.run.heatmap import heatmap
from harness.report.run.requests import request_latency

HTML_FILE: Final = "report.html"
MARKDOWN_FILE: Final = "summary.md"
JUNIT_FILE: Final = "junit.xml"
CHARTS_FOLDER: Final = "charts"

_NOTHING_BESIDE: Mapping[str, bytes] = {}
_ANOTHER_PLACE: Final = "free some space, or choose another place"


_MAKERS = (
    *(fan_out, heatmap, distribution, due_or_sent, deliveries, joins, completion, stalls),
    *(faults, request_latency, failures),
)


def write_report(analysis: Analysis) -> Path:
    """Write report.html, summary.md, junit.xml and the charts of a run; return the page's path.

    Raises:
        MachineError: If the folder cannot be written.
    """
    folder = analysis.record.folder
    charts = draw_charts(analysis)
    beside = {MARKDOWN_FILE: render_markdown(analysis).encode(), JUNIT_FILE: render_junit(analysis)}
    hint = f"free some space, then run: harness report {folder}"
    page = folder / HTML_FILE
    write_page(page, render_html(analysis, charts), charts, beside, hint)
    return page


def draw_charts(analysis: Analysis) -> list[Chart]:
    """Draw every chart that the record has data for."""
    layouts = [layout for maker in _MAKERS for layout in maker(analysis)]
    source = _source(analysis.record)
    return [layout.chart(source) for layout in layouts]


def _source(record: Record) -> str:
    """Return which run a chart is of: workload, target, label and tags, start and id."""
    name = f"{record.workload.get('name', 'unknown workload')} on "
    name += str(record.target.get("name", "unknown target"))
    run_id = record.run.get("run_id")
    parts = (name, label_words(record.run), started(record.run), run_id and f"run {run_id}")
    return ", ".join(str(part) for part in parts if part)


def write_page(
    page: Path,
    text: str,
    charts: Sequence[Chart],
    beside: Mapping[str, bytes] = _NOTHING_BESIDE,
    hint: str | None = None,
) -> None:
    """Write a page, further files beside it, and its charts as SVG and PNG.

    Charts are in ``charts/`` beside a ``report.html``, which has its folder to itself, and in
    ``comparison-charts/`` beside a ``comparison.html``.
    Missing folders are created. ``beside`` has the contents of further files by name; ``hint`` says
    what to do if they cannot be written.

    Raises:
        MachineError: If they cannot be written.
    """
    with _writing(page, hint):
        for name, data in beside.items():
            (page.parent / name).write_bytes(data)
        # A report.html has its folder to itself.
        prefix = "" if page.name == HTML_FILE else f"{page.stem}-"
        _write_charts(page.with_name(prefix + CHARTS_FOLDER), charts)
        page.write_text(text, encoding="utf-8")


def write_file(file: Path, data: bytes) -> None:
    """Write one file; missing folders are created.

    Raises:
        MachineError: If it cannot be written.
    """
    with _writing(file):
        file.write_bytes(data)


@contextmanager
def _writing(file: Path, hint: str | None = None) -> Iterator[None]:
    """Create the folder of a file, and say of an error what is required and what to do."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        found = f"cannot be written ({(error.strerror or str(error)).lower()})"
        required = "a writable folder with free space is required"
        raise MachineError(str(file), found, required, hint or _ANOTHER_PLACE) from None


def _write_charts(folder: Path, charts: Sequence[Chart]) -> None:
    """Write the charts, and remove those of an earlier report."""
    if charts:
        folder.mkdir(exist_ok=True)
    files = {f"{chart.name}.svg": chart.wide.encode() for chart in charts}
    files |= {f"{chart.name}.png": chart.png for chart in charts}
    for old in (*folder.glob("*.svg"), *folder.glob("*.png")):
        if old.name not in files:
            old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
