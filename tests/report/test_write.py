import pytest

from harness.analysis.run.finalize import finalize
from harness.core.errors import MachineError
from harness.core.pricing import priced_systems
from harness.report.canvas import Chart
from harness.report.write import write_file, write_page, write_report
from tests.support.records import run_file, write_record
from tests.support.simulated_run import Simulation


def test_a_report_is_a_page_a_summary_a_junit_file_and_charts(tmp_path):
    """Everything the record promises."""
    folder = Simulation().write(tmp_path / "run")
    assert folder / "report.html" == write_report(finalize(folder))
    for name in ("report.html", "summary.md", "junit.xml", "charts/fan-out-over-time.svg"):
        assert (folder / name).stat().st_size > 0
    assert (folder / "charts/fan-out-over-time.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_chart_that_has_no_data_any_more_is_taken_away(tmp_path):
    """The folder never shows a chart the page does not."""
    folder = write_record(tmp_path / "run")
    (folder / "charts").mkdir()
    (folder / "charts" / "stalls.svg").write_text("old")
    write_report(finalize(folder))
    assert [] == list((folder / "charts").iterdir())


@pytest.mark.parametrize("system", priced_systems())
def test_a_run_of_no_length_has_a_report(tmp_path, system):
    """Ctrl-C may come before the first join."""
    run = run_file(status="interrupted", ended_s=0.0)
    run["plan"]["target"]["system"] = system
    assert write_report(finalize(write_record(tmp_path / "run", run=run))).stat().st_size > 0


def chart(name):
    """Return a chart that nobody has drawn."""
    return Chart(name, "Title", "Caption", f"<svg>{name}</svg>", "", b"\x89PNG", is_full_width=True)


def test_charts_of_a_page_are_files_in_a_folder_named_after_it(tmp_path):
    """As SVG and as PNG; beside a report.html, which has its folder to itself, in charts/."""
    write_page(tmp_path / "new" / "cost.html", "page", [chart("a")], {"cost.json": b"{}"})
    assert ["cost-charts", "cost.html", "cost.json"] == names_in(tmp_path / "new")
    assert ["a.png", "a.svg"] == names_in(tmp_path / "new" / "cost-charts")
    assert b"\x89PNG" == (tmp_path / "new" / "cost-charts" / "a.png").read_bytes()
    write_page(tmp_path / "study" / "report.html", "page", [chart("b")])
    assert ["b.png", "b.svg"] == names_in(tmp_path / "study" / "charts")


def test_a_page_without_charts_leaves_no_empty_folder(tmp_path):
    """Nor charts that its last version had."""
    write_page(tmp_path / "sweep.html", "page", [])
    assert ["sweep.html"] == names_in(tmp_path)
    write_page(tmp_path / "sweep.html", "page", [chart("a"), chart("b")])
    write_page(tmp_path / "sweep.html", "page", [chart("b")])
    assert ["b.png", "b.svg"] == names_in(tmp_path / "sweep-charts")


def names_in(folder):
    """Return the names of what is in a folder."""
    return sorted(one.name for one in folder.iterdir())


@pytest.mark.parametrize("write", [write_file, lambda file, data: write_page(file, "page", [])])
def test_a_file_that_cannot_be_written_says_what_to_do(tmp_path, write):
    """In two lines, the second a hint."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError) as caught:
        write(tmp_path / "file" / "page.html", b"")
    assert "page.html: cannot be written (" in str(caught.value)
    assert "\nhint: free some space, or choose another place" in str(caught.value)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    """Where a file should be there is a folder: no traceback."""
    folder = write_record(tmp_path / "run")
    (folder / "report.html").mkdir()
    analysis = finalize(folder)
    with pytest.raises(MachineError, match=r"cannot be written"):
        write_report(analysis)
