"""All files of a report."""

import pytest

from harness.analysis.finalise import finalise
from harness.core.errors import MachineError
from harness.report.write import write_report
from tests.analysis.simulated_run import Simulation
from tests.analysis.synthetic_record import write_record


def test_a_report_is_a_page_a_summary_a_junit_file_and_charts(tmp_path):
    """Everything the record promises."""
    folder = Simulation().write(tmp_path / "run")
    page = write_report(finalise(folder))
    assert folder / "report.html" == page
    for name in ("report.html", "summary.md", "junit.xml", "charts/fan-out-over-time.svg"):
        assert (folder / name).stat().st_size > 0
    assert (folder / "charts/fan-out-over-time.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_chart_that_has_no_data_any_more_is_taken_away(tmp_path):
    """The folder never shows a chart the page does not."""
    folder = write_record(tmp_path / "run")
    (folder / "charts").mkdir()
    (folder / "charts" / "stalls.svg").write_text("old")
    write_report(finalise(folder))
    assert [] == list((folder / "charts").iterdir())


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    """Where a file should be there is a folder: no traceback."""
    folder = write_record(tmp_path / "run")
    (folder / "report.html").mkdir()
    analysis = finalise(folder)
    with pytest.raises(MachineError, match=r"cannot be written"):
        write_report(analysis)
