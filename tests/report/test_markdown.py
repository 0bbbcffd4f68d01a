from harness.analysis.run.finalize import analyse
from harness.report import formatting as q
from harness.report.markdown import escape, render_markdown
from tests.support.records import run_file, three_subscribers, write_record


def test_it_holds_verdict_figures_objectives_and_warnings(tmp_path):
    """Enough to know without opening the page."""
    folder = three_subscribers(tmp_path / "run", run=run_file(ended_s=10.5))
    text = render_markdown(analyse(folder)).replace(q.THIN, " ")
    assert text.startswith("## ! Invalid: by-hand on emulated\n")
    assert "| Delivered | **80 %** | 1 lost of 5 owed |" in text
    assert "| Delivery ratio | ✕ Fail | 80 % | at least 100 % | -20 % |" in text
    assert "- **run\\_cut\\_short**: 10.5, where at least 12.0 is required" in text


def test_a_run_without_warnings_has_no_heading_for_them(tmp_path):
    """Nothing to say is not said."""
    assert "### Warnings" not in render_markdown(analyse(three_subscribers(tmp_path / "run")))


def test_an_empty_record_has_a_summary_too(tmp_path):
    """A run that was killed at once."""
    assert "No user attempted to join." in render_markdown(analyse(write_record(tmp_path / "run")))


def test_text_cannot_break_out_of_its_cell():
    """A bar or a line end in an error message stays text."""
    assert r"a\|b \<i\> c" == escape("a|b <i>\nc")
